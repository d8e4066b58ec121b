"""Joints to rotations: known rotations are found again, forward kinematics gives the joints back, nothing leaps."""

from pathlib import Path

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.geometry.rotations import about, to_quaternion
from egorear.geometry.skeleton import EGO4VIEW, EGOPW, SKELETONS, Skeleton
from egorear.outputs.humanoid import BACK, DOWN, HINGES, LEFT, REST, RIGHT, Humanoid, HumanoidPose

LENGTH_M = 0.3


def posed(skeleton: Skeleton = EGO4VIEW, frames: int = 1, **rotations: np.ndarray) -> HumanoidPose:
    """A humanoid at rest but for the bones given ("3 3" or "N 3 3"), all bones as long as each other."""
    humanoid = Humanoid(skeleton)
    local = np.tile(np.eye(3), (frames, len(humanoid.names), 1, 1))
    for name, R in rotations.items():
        local[:, humanoid.names.index(name)] = R
    offsets = LENGTH_M * np.stack([REST[name][1] for name in humanoid.names])
    quaternions = np.roll(to_quaternion(local), -1, -1)
    return HumanoidPose(np.full((frames, 3), 0.5), quaternions, humanoid.names, humanoid.parents, offsets)


def joints_of(pose: HumanoidPose, skeleton: Skeleton = EGO4VIEW) -> np.ndarray:
    """Those of the skeleton; what is no bone of a humanoid lies at the origin."""
    places = dict(zip(pose.names, np.moveaxis(pose.forward()[0], 1, 0), strict=True))
    return np.stack([places.get(name, np.zeros((len(pose.root), 3))) for name in skeleton.names], 1)


def rotation_of(pose: HumanoidPose, bone: str) -> np.ndarray:
    """Unit quaternions with a positive w, "N 4"."""
    quaternion = pose.local[:, pose.names.index(bone)]
    return np.where(quaternion[:, 3:] < 0, -quaternion, quaternion)


def steps_deg(pose: HumanoidPose, bone: str) -> np.ndarray:
    turned = pose.forward()[1][:, pose.names.index(bone)]
    cosine = (np.einsum("nij,nij->n", turned[:-1], turned[1:]) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("name", SKELETONS)
def test_forward_kinematics_gives_constant_bones_back(name):
    skeleton = SKELETONS[name]
    humanoid = Humanoid(skeleton)
    scattered = np.random.default_rng(0).normal(size=(30, len(skeleton), 3))
    joints = joints_of(humanoid.solve(scattered), skeleton)  # any pose at all, but bones of constant length
    places, turned = humanoid.solve(joints).forward()
    np.testing.assert_allclose(places, humanoid.places(joints), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-9)


def test_the_rest_pose_has_no_rotations():
    pose = Humanoid(EGO4VIEW).solve(joints_of(posed()))
    np.testing.assert_allclose(pose.local, np.tile([0, 0, 0, 1], (1, 20, 1)), atol=1e-9)
    np.testing.assert_allclose(pose.lengths, [0.0 if name in ("Hips", "Spine") else LENGTH_M for name in pose.names])


def test_known_rotations_are_found_again():
    """Pelvis and trunk turned and twisted, limbs twisted by what only a bent elbow or knee can tell."""
    rng = np.random.default_rng(1)
    turns = {
        "Hips": about(np.array([0.6, 0.0, 0.8]), np.radians(70)),
        "Spine": about(BACK, np.radians(-20)) @ about(DOWN, np.radians(35)),  # it cannot bow: that is the pelvis's
        "Head": np.eye(3),
    }
    for side, out in (("Left", LEFT), ("Right", RIGHT)):
        for upper, lower, along in (("Arm", "ForeArm", out), ("UpLeg", "Leg", DOWN)):
            across = np.cross(along, HINGES[side + upper])
            swing = about(across, np.radians(rng.uniform(-50, 50)))
            turns[side + upper] = swing @ about(along, np.radians(rng.uniform(-60, 60)))
            turns[side + lower] = about(HINGES[side + upper], np.radians(rng.uniform(40, 120)))
    true = posed(EGO4VIEW, **turns)
    found = Humanoid(EGO4VIEW).solve(joints_of(true))
    for bone in set(turns) - {"Head"}:
        np.testing.assert_allclose(rotation_of(found, bone), rotation_of(true, bone), atol=1e-9, err_msg=bone)


def test_elbows_bend_forward_and_knees_backward():
    bent = np.radians(60)
    forearm = joints_of(posed(LeftForeArm=about(HINGES["LeftArm"], bent)))[0, EGO4VIEW.index("LeftHand")]
    shin = joints_of(posed(RightLeg=about(HINGES["RightUpLeg"], bent)))[0, EGO4VIEW.index("RightFoot")]
    rest = joints_of(posed())[0]
    assert forearm[1] < rest[EGO4VIEW.index("LeftHand"), 1] - 0.2  # y is backward
    assert shin[1] > rest[EGO4VIEW.index("RightFoot"), 1] + 0.2


def test_the_head_is_turned_as_the_device_and_a_set_without_head_has_no_such_bone():
    humanoid = Humanoid(EGO4VIEW)
    pose = humanoid.solve(np.random.default_rng(2).normal(size=(5, 16, 3)))
    np.testing.assert_allclose(
        pose.forward()[1][:, humanoid.names.index("Head")], np.tile(np.eye(3), (5, 1, 1)), atol=1e-9
    )
    assert "Head" not in Humanoid(EGOPW).names


@pytest.mark.parametrize(
    ("bone", "axis", "most_deg"),
    [
        ("LeftArm", HINGES["LeftArm"], 1.5),
        ("RightUpLeg", HINGES["RightUpLeg"], 0.01),
        ("LeftUpLeg", np.array([0.6, 0.8, 0.0]), 4.5),  # sideways, as no knee can: the thigh twists after it
    ],
)
def test_a_limb_that_goes_through_straight_does_not_leap(bone, axis, most_deg):
    """Bent as it may be and as it may not be (a hyperextended knee), in half degrees."""
    lower = bone.replace("Arm", "ForeArm").replace("UpLeg", "Leg")
    angles = np.radians(np.arange(-90, 90, 0.5))
    pose = posed(frames=len(angles), **{bone: about(RIGHT, 0.3), lower: about(axis, angles)})
    assert steps_deg(Humanoid(EGO4VIEW).solve(joints_of(pose)), bone).max() < most_deg


def test_twists_that_no_limb_has_fade_out_without_a_leap():
    """The plane of a bent elbow goes once round the arm: nowhere may the arm leap from +180° to -180°."""
    round_about = np.radians(np.arange(0, 360, 1.0))
    for bent in np.radians([20.0, 60.0]):  # the first shows its hinge in part only
        pose = posed(frames=360, LeftArm=about(LEFT, round_about), LeftForeArm=about(HINGES["LeftArm"], bent))
        assert steps_deg(Humanoid(EGO4VIEW).solve(joints_of(pose)), "LeftArm").max() < 2.5


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-4])
def test_bones_without_length_or_folded_back_give_finite_rotations(spread):
    joints = spread * np.random.default_rng(3).normal(size=(4, 16, 3))
    joints[2:] += joints_of(posed())
    joints[3, EGO4VIEW.index("LeftHand")] = joints[3, EGO4VIEW.index("LeftArm")]  # an elbow folded by 180°
    joints[3, [EGO4VIEW.index("LeftUpLeg"), EGO4VIEW.index("RightUpLeg")]] = joints[
        3, [EGO4VIEW.index("RightUpLeg"), EGO4VIEW.index("LeftUpLeg")]
    ]
    pose = Humanoid(EGO4VIEW).solve(joints)
    np.testing.assert_allclose(np.linalg.norm(pose.local, axis=-1), 1, atol=1e-9)
    places, turned = pose.forward()
    assert np.isfinite(places).all()
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-9)


def test_what_hangs_on_a_bone_without_length_stays_where_it_is():
    joints = joints_of(posed(LeftArm=about(DOWN, 0.5), LeftForeArm=about(DOWN, 1.0), LeftLeg=about(LEFT, 0.7)))
    for lost, at in (("LeftForeArm", "LeftArm"), ("LeftLeg", "LeftUpLeg")):
        joints[:, EGO4VIEW.index(lost)] = joints[:, EGO4VIEW.index(at)]
    humanoid = Humanoid(EGO4VIEW)
    np.testing.assert_allclose(humanoid.solve(joints).forward()[0], humanoid.places(joints), atol=1e-9)


def test_a_batch_is_its_frames_and_lengths_can_be_given():
    humanoid = Humanoid(EGO4VIEW)
    joints = np.random.default_rng(4).normal(size=(6, 16, 3)).astype(np.float32)
    lengths = humanoid.measure(joints)
    whole = humanoid.solve(joints)
    np.testing.assert_array_equal(whole.lengths, lengths)
    single = np.concatenate([humanoid.solve(frame[None], lengths).local for frame in joints])
    np.testing.assert_allclose(single, whole.local, atol=1e-12)
    np.testing.assert_array_equal(humanoid.solve(joints[:1], 2 * lengths).lengths, 2 * lengths)


def test_lengths_are_medians():
    joints = np.repeat(joints_of(posed()), 5, 0)
    joints[0, EGO4VIEW.index("LeftHand")] += [9.0, 9.0, 9.0]  # one bad frame
    np.testing.assert_allclose(Humanoid(EGO4VIEW).measure(joints), Humanoid(EGO4VIEW).measure(joints[1:]))


def test_moved_into_the_world_joints_move_along():
    pose = Humanoid(EGO4VIEW).solve(np.random.default_rng(5).normal(size=(3, 16, 3)))
    T = np.tile(np.eye(4), (3, 1, 1))
    T[:, :3, :3], T[:, :3, 3] = about(np.array([0.0, 0.6, 0.8]), np.array([0.1, 2.0, 3.0])), [[1, 2, 3]]
    expected = pose.forward()[0] @ T[:, :3, :3].swapaxes(-1, -2) + T[:, None, :3, 3]
    np.testing.assert_allclose(pose.moved(T).forward()[0], expected, atol=1e-9)


def test_between_two_poses_bones_turn_half_way():
    pose = posed(frames=2, LeftArm=about(DOWN, np.radians([0.0, 80.0])))
    halfway = pose.between(np.array([0.0, 0.5, 1.0]))
    expected = posed(frames=3, LeftArm=about(DOWN, np.radians([0.0, 40.0, 80.0])))
    np.testing.assert_allclose(rotation_of(halfway, "LeftArm"), rotation_of(expected, "LeftArm"), atol=1e-9)


def test_what_is_no_humanoid_is_told():
    legless = Skeleton(("Head", "Neck"), (0, 0), {}, (), (0, 1), ())
    with pytest.raises(UserError, match="joint 'LeftUpLeg', which a humanoid needs, is not among Head, Neck"):
        Humanoid(legless)
    humanoid = Humanoid(EGO4VIEW)
    with pytest.raises(UserError, match="15 joints, but those of the skeleton are 16"):
        humanoid.solve(np.zeros((1, 15, 3)))
    with pytest.raises(UserError, match="finite"):
        humanoid.solve(np.full((1, 16, 3), np.nan))
    with pytest.raises(UserError, match="without a pose"):
        humanoid.measure(np.zeros((0, 16, 3)))


def test_the_documented_lines_run():
    docs = (Path(__file__).parents[2] / "docs/outputs.md").read_text()
    names = {"joints": np.random.default_rng(6).normal(size=(3, 16, 3))}
    exec(docs.partition("```python\n")[2].partition("```")[0], names)
    assert names["pose"].local.shape == (3, 20, 4)
