"""Joint sets, and how one becomes another."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egorear.errors import UserError
from egorear.geometry.skeleton import (
    DERIVED,
    EGO4VIEW,
    EGOCAP,
    EGOCAP_BODY,
    EGOPW,
    HEATMAP_JOINTS,
    PARTS,
    SKELETONS,
    SMPL,
    Skeleton,
    convert,
)

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
SIDES = {"Left": "Right", "Right": "Left"}


def of_names(*names):
    """A set without a tree that has these joints."""
    joints = tuple(range(len(names)))
    mirror = tuple(names.index(other_side(name)) for name in names)
    return Skeleton(names, (0,) * len(names), {"all": joints}, (), mirror, joints)


def other_side(name):
    return next((other + name[len(side) :] for side, other in SIDES.items() if name.startswith(side)), name)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@every_skeleton
def test_parents_form_one_tree_root_first(skeleton):
    assert len(skeleton.parents) == len(skeleton)
    assert skeleton.parents[0] == 0
    assert all(parent < joint for joint, parent in enumerate(skeleton.parents) if joint)


@every_skeleton
def test_names_are_of_the_vocabulary_and_unique(skeleton):
    known = {name for names in PARTS.values() for name in names} | {"Camera"}
    assert set(skeleton.names) <= known
    assert len(set(skeleton.names)) == len(skeleton)


@every_skeleton
def test_mirroring_swaps_left_and_right_and_keeps_the_tree(skeleton):
    for joint, other in enumerate(skeleton.mirror):
        assert skeleton.names[other] == other_side(skeleton.names[joint])
        assert skeleton.mirror[skeleton.parents[joint]] == skeleton.parents[other]


@every_skeleton
def test_parts_partition_what_is_scored_and_so_do_the_halves(skeleton):
    whole = sorted(skeleton.groups["all"])
    assert sorted(joint for joints in skeleton.parts.values() for joint in joints) == whole
    assert sorted(skeleton.groups["upper"] + skeleton.groups["lower"]) == whole
    assert set(skeleton.groups) == {*skeleton.parts, "upper", "lower", "all"}
    for part, joints in skeleton.parts.items():
        assert {skeleton.names[joint] for joint in joints} == set(PARTS[part])
        assert {skeleton.mirror[joint] for joint in joints} == set(joints)


@every_skeleton
def test_bones_join_what_is_scored_into_one_figure_and_the_hips(skeleton):
    assert len(set(skeleton.bones)) == len(skeleton.bones)
    reached = {skeleton.bones[0][0]}
    for _ in skeleton.bones:
        reached |= {joint for bone in skeleton.bones if set(bone) & reached for joint in bone}
    assert reached == set(skeleton.groups["all"])
    mirrored = {frozenset(skeleton.mirror[joint] for joint in bone) for bone in skeleton.bones}
    assert mirrored == {frozenset(bone) for bone in skeleton.bones}
    hips = frozenset((skeleton.index("LeftUpLeg"), skeleton.index("RightUpLeg")))
    assert (hips in mirrored) == ("Hips" not in skeleton.names)


def test_which_joints_have_heatmaps():
    assert EGO4VIEW.names[1:] == HEATMAP_JOINTS
    assert EGOCAP.heatmaps == tuple(range(1, 18))
    for skeleton in (EGOPW, EGOCAP_BODY):
        assert skeleton.heatmaps == tuple(range(len(skeleton)))


def test_the_published_orders():
    assert EGO4VIEW.parents == (0, 0, 1, 1, 2, 3, 4, 5, 2, 3, 8, 9, 10, 11, 12, 13)
    assert EGO4VIEW.names[0] == "Head"
    assert EGO4VIEW.groups["upper"] + EGO4VIEW.groups["lower"] == EGO4VIEW.groups["all"] == tuple(range(16))
    assert len(EGO4VIEW.bones) == 16
    assert EGOPW.parents == (0, 0, 1, 2, 0, 4, 5, 1, 7, 8, 9, 4, 11, 12, 13)
    assert EGOPW.names[:4] == ("Neck", "RightArm", "RightForeArm", "RightHand")
    assert EGOCAP_BODY.names == EGOCAP.names[1:]
    assert SMPL.parents == (0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
    assert (SMPL.names[0], SMPL.names[15], SMPL.names[23]) == ("Hips", "Head", "RightFinger")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (EGO4VIEW, EGOPW), (EGOCAP, EGOPW), (EGOCAP, EGOCAP_BODY), (EGOCAP_BODY, EGOPW),
        (SMPL, EGO4VIEW), (SMPL, EGOPW), (SMPL, EGOCAP_BODY), *((each, each) for each in SKELETONS.values()),
    ],
)  # fmt: skip
def test_every_joint_that_both_have_keeps_its_place_exactly(source, target):
    joints = draw(2, 3, len(source), 3)
    converted = convert(joints, source, target)
    assert converted.shape == (2, 3, len(target), 3)
    for place, name in enumerate(target.names):
        assert torch.equal(converted[..., place, :], joints[..., source.index(name), :])


@pytest.mark.parametrize(
    ("source", "target", "joint"),
    [
        (EGOPW, EGO4VIEW, "Head"), (EGOCAP, EGO4VIEW, "Head"), (EGO4VIEW, EGOCAP, "Camera"), (SMPL, EGOCAP, "Camera"),
        (EGO4VIEW, EGOCAP_BODY, "LeftFinger"), (EGO4VIEW, SMPL, "Spine"), (EGOPW, SMPL, "Spine"),
        (EGOCAP_BODY, SMPL, "Spine"), (EGOCAP_BODY, EGOCAP, "Camera"), (EGOPW, EGOCAP_BODY, "LeftFinger"),
    ],
)  # fmt: skip
def test_a_joint_that_is_not_to_be_had_is_named(source, target, joint):
    with pytest.raises(UserError, match=f"joint '{joint}' is not to be had") as refusal:
        convert(draw(len(source), 3), source, target)
    assert "\n" not in str(refusal.value)


def test_the_hips_are_midway_between_the_legs_unless_the_source_has_them():
    target = of_names("Hips", "LeftUpLeg", "RightUpLeg")
    for source in (EGO4VIEW, EGOCAP, EGOPW):
        joints = draw(4, len(source), 3)
        hips, left, right = convert(joints, source, target).unbind(-2)
        torch.testing.assert_close(hips, (left + right) / 2)
    joints = draw(4, len(SMPL), 3)
    assert torch.equal(convert(joints, SMPL, target)[:, 0], joints[:, 0])
    with pytest.raises(UserError, match="joint 'Hips' is not to be had"):
        convert(draw(2, 3), Skeleton(("Neck", "LeftUpLeg"), (0, 0), {"all": (0, 1)}, (), (0, 1), ()), target)


def test_derived_joints_are_no_others_mirror_image():
    for name, pair in DERIVED.items():
        assert {other_side(each) for each in pair} == set(pair)
        assert other_side(name) == name


@given(st.sampled_from(list(SKELETONS.values())), st.data())
def test_any_subset_keeps_its_places_and_mirroring_commutes(source, data):
    pairs = sorted({tuple(sorted((name, other_side(name)))) for name in source.names})
    kept = data.draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    subset = of_names(*dict.fromkeys(name for names in kept for name in names))
    channels = data.draw(st.integers(1, 4))
    joints = draw(len(source), channels, seed=data.draw(st.integers(0, 99)))
    there = convert(joints, source, subset)
    index = [source.index(name) for name in subset.names]
    assert torch.equal(there, joints[index])
    mirrored = convert(joints[list(source.mirror)], source, subset)
    assert torch.equal(mirrored, there[list(subset.mirror)])


@pytest.mark.parametrize(("source", "target"), [(EGO4VIEW, EGOPW), (EGOCAP, EGOPW), (SMPL, EGO4VIEW)])
def test_mirroring_commutes_between_the_published_sets(source, target):
    joints = draw(5, len(source), 3)
    torch.testing.assert_close(
        convert(joints[:, list(source.mirror)], source, target),
        convert(joints, source, target)[:, list(target.mirror)],
    )


def test_there_and_back_is_the_same_where_both_have_the_joint():
    joints = draw(3, len(EGOPW), 2)
    there = of_names("Hips", *EGOPW.names)
    assert torch.equal(convert(convert(joints, EGOPW, there), there, EGOPW), joints)


def test_gradients_flow_and_a_nan_stays_in_its_own_joint():
    target = of_names("Hips", "Neck", "LeftUpLeg", "RightUpLeg")
    joints = draw(2, len(EGOPW), 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: convert(x, EGOPW, target), joints)
    broken = joints.detach().clone()
    broken[0, EGOPW.index("LeftUpLeg")] = float("nan")
    broken.requires_grad_()
    converted = convert(broken, EGOPW, target)
    assert converted.isnan().any(-1).tolist() == [[True, False, True, False], [False] * 4]
    converted[:, [1, 3]].sum().backward()
    assert broken.grad.isfinite().all()


def test_as_many_joints_as_the_source_has():
    with pytest.raises(UserError, match="16 joints, but those of the set to convert from are 15"):
        convert(draw(16, 3), EGOPW, EGOPW)
