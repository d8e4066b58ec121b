"""Skirts and coats in motion: they hang, follow, cover and never blow up."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.errors import UserError
from egorear.geometry.rotations import about
from egorear.synth.body import BONES, Person, pose_person, sample_person
from egorear.synth.cloth import cloth_vertices, drape
from egorear.synth.cloth_colliders import Colliders, clearance, measure_colliders
from egorear.synth.cloth_weave import THICKNESS_M, weave_cloth
from egorear.synth.garments import Part
from egorear.synth.motion import MotionLibrary

FPS = 30.0
SIDEWAYS, BACK, UP = np.eye(3)
LEG = ("UpLeg", "Leg", "Foot", "ToeBase")


@cache
def wearer(*parts: Part) -> Person:
    """The first person whose cloth is one of those parts and comes down to the knees."""
    for seed in range(300):
        person = sample_person(np.random.default_rng(seed))
        knee = person.rest_joints[BONES.index("LeftLeg"), 2]
        if person.loose.any() and person.part[person.loose][0] in parts and lowest(person) < knee:
            return person
    raise AssertionError("nobody wears that")


def lowest(person: Person) -> float:
    return person.vertices[cloth_vertices(person), 2].min()


def still(person: Person, frames: int) -> tuple[np.ndarray, np.ndarray]:
    rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (frames, len(BONES), 3, 3)).copy()
    return rotations, np.tile(np.array((0, 0, person.leg_length), np.float32), (frames, 1))


def turned(person: Person, angles: np.ndarray, axis: np.ndarray, bones: tuple[str, ...] = BONES):
    """A motion from rest: those bones turned about an axis by an angle in each frame."""
    rotations, root = still(person, len(angles))
    numbers = [BONES.index(bone) for bone in bones]
    rotations[:, numbers] = np.stack([about(axis, angle) for angle in angles])[:, None]
    return rotations, root


def stretch(person: Person, rotations, root, frames, cloth) -> tuple[np.ndarray, np.ndarray]:
    """How much longer each edge of freely hanging cloth is than it may be, and than at rest (as shares)."""
    vertices, weave = weave_cloth(person, measure_colliders(person))
    posed = np.stack([pose_person(person, rotations[t], root[t])[0][vertices] for t in frames])
    posed[:, : cloth.shape[1]] = cloth
    free = np.concatenate((weave.looseness > 0.03, np.zeros(len(vertices) - cloth.shape[1], bool)))
    pairs = free[weave.edges].all(1)
    a, b = weave.edges[pairs].T
    length = np.linalg.norm(posed[:, b] - posed[:, a], axis=2)
    return tuple(
        (length - rest[pairs]) / np.maximum(rest[pairs], 0.01) for rest in (weave.edge_most, weave.edge_length)
    )


def depth(person: Person, rotations, root, frames, cloth) -> np.ndarray:
    """How far each vertex is from the posed body (negative: inside), metres."""
    rest = measure_colliders(person)
    joints = np.stack([pose_person(person, rotations[t], root[t])[1] for t in frames])
    body = rest.posed(person.rest_joints, rotations[frames], joints)
    axes = (
        Colliders(o.astype(float), b.astype(float), body.length, body.blunt, body.radius)
        for o, b in zip(body.origin, body.basis, strict=True)
    )
    return np.stack([clearance(now, places.astype(float))[0] for now, places in zip(axes, cloth, strict=True)])


@pytest.mark.parametrize("part", [Part.SKIRT, Part.DRESS, Part.COAT, Part.ROBE])
def test_hangs_at_rest_on_a_person_who_stands_still(part):
    person = wearer(part)
    rotations, root = still(person, 31)
    start, soon, *cloth = drape(person, rotations, root, FPS, np.array([0, 1, 0, 30]))
    cloth = np.stack(cloth)
    assert np.abs(soon - start).max() * FPS < 0.1  # m/s: settled before time began
    assert np.percentile(np.abs(cloth[1] - cloth[0]), 95) < 0.03
    assert stretch(person, rotations, root, [0, 30], cloth)[0].max() < 0.15
    hem = person.leg_length - person.rest_joints[0, 2] + lowest(person)
    assert abs(cloth[..., 2].min() - hem) < 0.04
    own = clearance(measure_colliders(person), person.vertices[cloth_vertices(person)].astype(float))[0]
    assert (depth(person, rotations, root, [0, 30], cloth) > np.minimum(own, 0) - 0.003).mean() > 0.99


def test_falls_to_the_legs_of_a_person_held_level_in_the_air():
    person = wearer(Part.SKIRT)
    rotations, root = turned(person, np.full(40, np.pi / 2), SIDEWAYS)
    root[:, 2] = 2
    cloth = drape(person, rotations, root, FPS, np.array([39]))[0]
    skinned = pose_person(person, rotations[0], root[0])[0][cloth_vertices(person)]
    assert cloth[:, 2].mean() < skinned[:, 2].mean() - 0.02


def test_a_run_does_not_leave_the_skirt_behind():
    person = wearer(Part.SKIRT)
    rotations, root = still(person, 60)
    standing = drape(person, rotations, root, FPS, np.array([59]))[0] - root[59]
    root[:, 1] = -5 * np.arange(60) / FPS
    running = drape(person, rotations, root, FPS, np.array([59]))[0] - root[59]
    trail = running[:, 1] - standing[:, 1]  # the person runs to -y
    assert 0.002 < trail.mean() < 0.25


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([10.0, 30.0, 60.0]))
def test_stays_whole_in_any_motion(seed, fps):
    person = wearer(Part.SKIRT, Part.DRESS, Part.ROBE)
    motion = MotionLibrary().sample(np.random.default_rng(seed), "train", 60, 1)
    root = (motion.root * person.leg_length).astype(np.float32)
    frames = np.arange(5, 60, 9)
    cloth = drape(person, motion.rotations, root, fps, frames)
    assert np.isfinite(cloth).all()
    assert cloth[..., 2].min() >= 0
    over, longer = stretch(person, motion.rotations, root, frames, cloth)
    assert np.percentile(over, 95) < 0.4
    assert (longer > 1).mean() < 0.03
    assert (depth(person, motion.rotations, root, frames, cloth) < -THICKNESS_M - 0.01).mean() < 0.02


def test_survives_nonsense():
    person = wearer(Part.SKIRT)
    rng = np.random.default_rng(0)
    rotations = np.linalg.qr(rng.standard_normal((20, len(BONES), 3, 3)))[0].astype(np.float32)
    root = rng.normal(0, 2, (20, 3)).astype(np.float32)
    cloth = drape(person, rotations, root, FPS, np.arange(20))
    assert np.isfinite(cloth).all()
    assert cloth[..., 2].min() >= 0


def test_a_split_stays_covered_by_one_skirt():
    person = wearer(Part.SKIRT)
    apart = 0.7 * np.minimum(np.arange(40) / 30, 1)  # radians, each leg
    rotations, root = turned(person, -apart, BACK, tuple("Left" + bone for bone in LEG))
    right = [BONES.index("Right" + bone) for bone in LEG]
    rotations[:, right] = turned(person, apart, BACK)[0][:, right]
    cloth = drape(person, rotations, root, FPS, np.array([39]))
    over, longer = stretch(person, rotations, root, [39], cloth)
    assert np.percentile(over, 95) < 0.4
    assert np.percentile(longer, 99.5) < 0.8
    # Between the thighs, in front and behind, there is still cloth.
    middle = cloth[0][np.abs(cloth[0][:, 0] - root[39, 0]) < 0.03]
    joints = pose_person(person, rotations[39], root[39])[1]
    below = middle[middle[:, 2] < joints[0, 2] - 0.15]
    assert (below[:, 1] < joints[0, 1]).any()
    assert (below[:, 1] > joints[0, 1]).any()


def test_a_kick_lifts_the_hem():
    person = wearer(Part.SKIRT)
    angles = -1.4 * np.clip(np.arange(30) / 8, 0, 1)
    rotations, root = turned(person, angles, SIDEWAYS, tuple("Left" + b for b in LEG))
    before, after = drape(person, rotations, root, FPS, np.array([0, 29]))
    left = before[:, 0] > 0.1
    assert (after - before)[left, 2].max() > 0.15
    assert (depth(person, rotations, root, [29], after[None]) > -THICKNESS_M).mean() > 0.97


def test_the_same_motion_gives_the_same_bytes_whatever_is_kept():
    person = wearer(Part.COAT, Part.ROBE)
    rotations, root = turned(person, np.linspace(0, 6, 25), UP)
    once = drape(person, rotations, root, FPS, np.arange(25))
    again = drape(person, rotations, root, FPS, np.array([24, 3, 3]))
    assert again.tobytes() == once[[24, 3, 3]].tobytes()


def test_one_frame_no_frame_and_nothing_loose():
    person = wearer(Part.SKIRT)
    count = len(cloth_vertices(person))
    rotations, root = still(person, 1)
    assert drape(person, rotations, root, 120.0, np.array([0])).shape == (1, count, 3)
    assert drape(person, rotations, root, FPS, np.array([], int)).shape == (0, count, 3)
    tight = replace(person, looseness=np.zeros_like(person.looseness))
    assert drape(tight, rotations, root, FPS, np.array([0, 0])).shape == (2, 0, 3)


@pytest.mark.parametrize(("fps", "keep", "frames"), [(0.0, [0], 2), (FPS, [2], 2), (FPS, [-1], 2), (FPS, [], 0)])
def test_refuses_what_is_no_motion(fps, keep, frames):
    person = wearer(Part.SKIRT)
    with pytest.raises(UserError):
        drape(person, *still(person, frames), fps, np.array(keep, int))


def test_colliders_lie_on_the_skin():
    person = wearer(Part.SKIRT)
    colliders = measure_colliders(person)
    shins = person.skin_bones[:, 0] == BONES.index("LeftLeg")
    skin = np.unique(person.triangles[(person.part == Part.SKIN) & shins[person.triangles].all(1)])
    distance, _ = clearance(colliders, person.vertices[skin].astype(float))
    assert np.abs(np.median(distance)) < 0.006
    assert distance.max() < 0.01


def test_cloth_is_woven_from_each_edge_once_and_hangs_by_the_shortest_way():
    person = wearer(Part.SKIRT)
    vertices, weave = weave_cloth(person, measure_colliders(person))
    assert len(np.unique(np.sort(weave.edges, 1), axis=0)) == len(weave.edges)
    assert ((weave.edge_share >= 0) & (weave.edge_share <= 1)).all()
    rest = person.vertices[vertices]
    straight = np.linalg.norm(rest[: len(weave.reach)] - rest[weave.anchor], axis=1)
    assert (weave.reach >= straight - 1e-6).all()
    assert (weave.reach < 1.2 * straight + 0.05).all()
    assert (person.looseness[vertices[weave.anchor]] == 0).all()
