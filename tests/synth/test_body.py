"""People: plausible, dressed all round, and moved as their bones say."""

from dataclasses import fields

import numpy as np
import pytest

from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.body import ASSET, BONES, EGO4VIEW_BONES, PARENTS, Person, body_model, pose_person, sample_person
from egorear.synth.garments import Cut, Part

IDENTITY = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [sample_person(np.random.default_rng(seed)) for seed in range(40)]


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K).astype(np.float32)


def test_asset_is_small():
    assert ASSET.stat().st_size < 7e6


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


def test_headset_points_lie_on_the_head(people):
    for person in people:
        head = person.rest_joints[BONES.index("Head")]
        assert person.forehead[1] < head[1] < person.back_of_head[1]
        assert 0.17 < person.back_of_head[1] - person.forehead[1] < 0.3
        assert head[2] < person.forehead[2] < person.crown[2] == pytest.approx(person.vertices[:, 2].max(), abs=1e-4)


def test_skin_stays_under_the_shirt(people):
    """Where a shirt covers the trunk, no skin vertex lies in front of it, seen along the shirt's own normals."""
    outside = checked = 0
    for person in people:
        shirt = person.triangles[person.part == Part.SHIRT]
        skin = np.unique(person.triangles[person.part == Part.SKIN])
        a, b, c = person.vertices[shirt.T]
        centre, normal = (a + b + c) / 3, np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        offset = person.vertices[skin][:, None] - centre
        near = np.linalg.norm(offset, axis=-1).argmin(1)
        offset = offset[np.arange(len(skin)), near]
        height = (offset * normal[near]).sum(1)
        beside = np.linalg.norm(offset - height[:, None] * normal[near], axis=1) < 0.012
        checked += beside.sum()
        outside += (beside & (height > 0.0) & (np.abs(height) < 0.03)).sum()
    assert checked > 500
    assert outside < 0.01 * checked


def test_cut_shrinks_by_its_margin():
    trunk, cuff, hand, hem, knee = (
        [0.0, 0, 0, 0],
        [0.0, 0.19, 0, 0],
        [0.0, 0.3, 0, 0],
        [-0.05, 0, 0, 0],
        [-0.5, 0, 0.4, 0],
    )
    wear = np.array([trunk, cuff, hand, hem, knee], np.float32)
    shirt = Cut(bottom=-0.06, top=0.5, sleeve=0.2)
    assert shirt.covers(wear).tolist() == [True, True, False, True, False]
    assert shirt.covers(wear, 0.03).tolist() == [True, False, False, False, False]
