"""People: plausible, dressed all round, and moved as their bones say."""

from dataclasses import fields

import numpy as np
import pytest

from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.anatomy import CHILD_SHARE, sample_shape
from egorear.synth.appearance import skin_tone
from egorear.synth.body import ASSET, BONES, EGO4VIEW_BONES, PARENTS, Person, body_model, pose_person, sample_person
from egorear.synth.garments import Part

IDENTITY = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [sample_person(np.random.default_rng(seed)) for seed in range(40)]


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K).astype(np.float32)


def test_asset_is_small():
    assert len(ASSET.read_bytes()) < 2.5e6


def test_mouth_is_closed():
    """The body's mesh has no rim but those of the eyelids."""
    triangles = body_model().meshes["body"]
    edges = {edge for t in triangles.tolist() for edge in zip(t, t[1:] + t[:1], strict=True)}
    rim = np.unique([a for a, b in edges if (b, a) not in edges])
    assert (np.abs(body_model().shape_mean[rim, 0]) > 0.015).all()


def test_ego4view_joints_are_bones_by_name():
    assert tuple(BONES[b] for b in EGO4VIEW_BONES) == EGO4VIEW.names
    assert PARENTS[0] == -1
    assert (PARENTS[1:] < np.arange(1, len(BONES))).all()


def test_same_seed_same_person_other_seed_another(people):
    again = sample_person(np.random.default_rng(3))
    for field in fields(Person):
        assert np.array_equal(getattr(again, field.name), getattr(people[3], field.name)), field.name
    assert len({person.leg_length for person in people}) == len(people)
    assert np.std([np.ptp(person.vertices[:, 2]) for person in people]) > 0.05


def test_meshes_are_sound(people):
    for person in people:
        assert 1.4 < np.ptp(person.vertices[:, 2]) < 2.1
        assert np.isfinite(person.vertices).all()
        assert np.array_equal(np.unique(person.triangles), np.arange(len(person.vertices)))
        assert len(person.part) == len(person.triangles)
        assert person.skin_bones.max() < len(BONES)
        np.testing.assert_allclose(person.skin_weights.sum(1), 1, atol=1e-5)
        assert person.skin_weights.min() >= 0
        assert ((person.albedo >= 0) & (person.albedo <= 1)).all()
        corners = person.vertices[person.triangles]
        edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)
        assert np.quantile(edges, 0.95) < 0.06, "long edges bend visibly in a fisheye"
        assert np.quantile(edges, 0.999) < 0.13
        assert 0.7 < person.leg_length < 1.3


def test_triangles_wind_outward():
    model = body_model()
    vertices = model.shape_mean[: len(model.wear)]
    for mesh in ("body", "tights", "skirt"):
        a, b, c = vertices[model.meshes[mesh].T]
        centre = (a + b + c).mean(0) / 3
        # Six times the volume that the surface encloses, positive if it faces out.
        assert (np.cross(a - centre, b - centre) * (c - centre)).sum() > 0, mesh


def test_identity_is_the_rest_pose(people):
    vertices, joints = pose_person(people[0], IDENTITY, people[0].rest_joints[0])
    np.testing.assert_allclose(vertices, people[0].vertices, atol=1e-5)
    np.testing.assert_allclose(joints, people[0].rest_joints, atol=1e-5)


def test_turning_all_bones_turns_the_body(people):
    rng = np.random.default_rng(0)
    pose = np.stack([turn(rng.standard_normal(3), rng.uniform(0, 1)) for _ in BONES])
    R, root = turn(rng.standard_normal(3), 1.3), np.array([0.5, -2, 1], np.float32)
    vertices, joints = pose_person(people[1], pose, np.zeros(3, np.float32))
    turned_vertices, turned_joints = pose_person(people[1], R @ pose, root)
    np.testing.assert_allclose(turned_vertices, vertices @ R.T + root, atol=1e-5)
    np.testing.assert_allclose(turned_joints, joints @ R.T + root, atol=1e-5)


def test_bones_keep_their_lengths_and_flesh_its_joints(people):
    person = people[2]
    pose = IDENTITY.copy()
    for b in (i for i in range(len(BONES)) if BONES[i].startswith("LeftForeArm") or "LeftHand" in BONES[i]):
        pose[b] = turn(np.array([0.0, 0, 1]), 1.2)
    vertices, joints = pose_person(person, pose, person.rest_joints[0])
    length, rest_length = (np.linalg.norm(j[1:] - j[PARENTS[1:]], axis=1) for j in (joints, person.rest_joints))
    np.testing.assert_allclose(length, rest_length, atol=1e-5)
    moved = np.linalg.norm(joints - person.rest_joints, axis=1) > 0.02
    assert {name for name, m in zip(BONES, moved, strict=True) if m} == {n for n in BONES if "LeftHand" in n}
    for joint in joints[EGO4VIEW_BONES]:
        assert np.linalg.norm(vertices - joint, axis=1).min() < 0.15


def test_joints_lie_inside_the_limbs(people):
    """Flesh lies on all sides of each joint, none nearer than is plausible for the stated limb radius."""
    for person in people[:10]:
        for joint, radius in zip(person.rest_joints[EGO4VIEW_BONES], person.limb_radius, strict=True):
            near = person.vertices[np.linalg.norm(person.vertices - joint, axis=1) < 3 * radius + 0.05] - joint
            assert ((near.min(0) < 0) & (near.max(0) > 0)).all()
            assert 0.01 < radius < 0.2


def test_nobody_loses_a_finger(people):
    """What a skirt or sleeve hides never takes what merely hangs at its height."""
    tips = [b for b, name in enumerate(BONES) if "Hand" in name and name.endswith("3")]
    toes = [BONES.index(side + "ToeBase") for side in ("Left", "Right")]
    for person in people:
        on_view = person.triangles[np.isin(person.part, (Part.SKIN, Part.GLOVES, Part.SHOES))]
        mainly = person.skin_bones[np.arange(len(person.vertices)), person.skin_weights.argmax(1)]
        assert set(tips + toes) <= set(mainly[on_view].ravel().tolist())


def test_headset_points_lie_on_the_head(people):
    for person in people:
        head = person.rest_joints[BONES.index("Head")]
        assert person.forehead[1] < head[1] < person.back_of_head[1]
        assert 0.17 < person.back_of_head[1] - person.forehead[1] < 0.3
        assert head[2] < person.forehead[2] < person.crown[2] < person.vertices[:, 2].max() + 1e-4
        assert person.crown[2] > person.vertices[:, 2].max() - 0.15, "no bun or curls are higher"


def test_limbs_name_the_joint_that_moves_the_triangle(people):
    """Turning a hand moves the hand's triangles and hardly any other."""
    person, hand = people[4], BONES.index("LeftHand")
    pose = IDENTITY.copy()
    for b in (i for i, name in enumerate(BONES) if name.startswith("LeftHand")):
        pose[b] = turn(np.array([0.0, 0, 1]), 1.0)
    vertices, _ = pose_person(person, pose, person.rest_joints[0])
    moved = np.linalg.norm(vertices - person.vertices, axis=1)[person.triangles].min(1) > 0.01
    on_hand = person.limb == EGO4VIEW.index(BONES[hand])
    assert on_hand[moved].mean() > 0.95
    assert on_hand.sum() < 3 * moved.sum()
    assert set(np.unique(person.limb)) == set(range(16))


def test_only_hanging_clothes_are_loose(people):
    """Cloth hangs from places that stay with the body, the farther down the freer."""
    hanging = (Part.SKIRT, Part.DRESS, Part.COAT, Part.ROBE)
    worn = 0
    for person in people:
        assert not person.loose[~np.isin(person.part, hanging)].any()
        assert np.array_equal(person.loose, (person.looseness[person.triangles] > 0).any(1))
        assert person.looseness.min() >= 0
        if person.loose.any():
            worn += 1
            skirt = np.isin(person.part, hanging)
            assert not person.loose[skirt].all(), "a garment without a seam falls off"
            assert 0.04 < person.looseness.max() < 0.5
    assert worn > 4


def test_skin_tones_cover_the_whole_range_evenly():
    """In lightness L*, as people see it: fair, dark and all between, each fifth of the range about as often."""
    tones = np.stack([skin_tone(np.random.default_rng(seed)) for seed in range(600)])
    lightness = 116 * (tones @ [0.2126, 0.7152, 0.0722]) ** (1 / 3) - 16
    assert lightness.min() < 22
    assert lightness.max() > 78
    share = np.histogram(lightness, bins=5)[0] / len(tones)
    assert (share > 0.1).all()


def test_children_come_only_when_asked_for():
    adults = [sample_shape(np.random.default_rng(seed), children=False) for seed in range(60)]
    mixed = [sample_shape(np.random.default_rng(seed), children=True) for seed in range(60)]
    small = [shape for shape in mixed if shape.size < 0.8]
    assert min(shape.size for shape in adults) > 0.8
    assert 0.3 * CHILD_SHARE < len(small) / len(mixed) < 1.5 * CHILD_SHARE

    def heads_high(shape) -> float:
        body, head = shape.surfaces["body"].points[:, 2], shape.joints[BONES.index("Head"), 2]
        return np.ptp(body) / (body.max() - head)

    assert np.mean([heads_high(shape) for shape in small]) < np.mean([heads_high(shape) for shape in adults]) - 0.8
