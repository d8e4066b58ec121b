"""Clean-up of recordings: still feet, floor and joint limits."""

import numpy as np
import pytest

from egorear.geometry.rotations import about, turn
from egorear.synth.contacts import clean, foot_skate_mm, leaves_floor, on_floor, stance
from egorear.synth.figure import BODY, LEG, REST, joints, lowest, sole_points
from egorear.synth.limits import LIMITS, within_limits
from egorear.synth.procedural import FAMILIES

T = np.arange(120) / 30


def walk(seed=0, **given):
    rotations, root = FAMILIES["walk"].clip(seed, T, stoop=0.0, **given)
    return rotations, root * LEG


def sliding(rotations, root, speed=0.25):
    """The same motion on a treadmill that runs the wrong way: every foot slides by `speed` m/s."""
    return rotations, root + speed * T[:, None] * [1.0, 0, 0]


def test_a_slide_of_known_speed_is_measured():
    rotations, root = FAMILIES["stand"].clip(0, T)
    root = root * LEG
    assert foot_skate_mm(rotations, root) < 0.1
    assert foot_skate_mm(*sliding(rotations, root)) == pytest.approx(1000 * 0.25 / 30, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_sliding_feet_are_held_and_the_body_hardly_moves(seed):
    rotations, root = sliding(*walk(seed, speed=1.0), speed=0.15)
    standing = stance(sole_points(rotations, root))
    cleaned, moved = clean(rotations, root)
    assert foot_skate_mm(rotations, root, standing) > 3
    assert foot_skate_mm(cleaned, moved, standing) < 0.5
    before, after = joints(rotations, root), joints(cleaned, moved)
    upper = [BODY[bone] for bone in ("Head", "LeftHand", "RightHand", "Spine2")]
    assert np.linalg.norm(after - before, axis=-1)[:, upper].max() < 0.1
    # No pops: the ankles are as smooth as they were.
    ankles = [BODY["LeftFoot"], BODY["RightFoot"]]
    jerk = [np.abs(np.diff(placed[:, ankles], 3, axis=0)).max() for placed in (before, after)]
    assert jerk[1] < 2 * jerk[0] + 0.02


def test_good_motion_stays_as_it_is():
    rotations, root = walk()
    cleaned, moved = clean(rotations, root)
    np.testing.assert_allclose(joints(cleaned, moved), joints(rotations, root), atol=0.05)


def test_feet_come_up_from_under_the_floor_and_down_to_it():
    rotations, root = walk()
    wavy = root + 0.03 * np.sin(2 * np.pi * 0.4 * T)[:, None] * [0, 0, 1]
    cleaned, moved = clean(rotations, wavy)
    assert lowest(rotations, wavy).min() < -0.02
    assert lowest(cleaned, moved).min() > -1e-6
    standing = stance(sole_points(rotations, wavy))
    firm = standing[1:-1] & standing[2:] & standing[:-2]
    heights = sole_points(cleaned, moved)[1:-1, ..., 2].min(-1)
    assert np.median(heights[firm]) < 0.003


def test_floor_is_where_most_stances_are():
    rotations, root = FAMILIES["jump"].clip(0, T)
    lifted = on_floor(rotations, root * LEG + [0, 0, 3.0], True)
    assert np.median(np.abs(lowest(rotations, lifted))) < 0.01
    assert not leaves_floor(rotations, lifted)
    climbing = root * LEG + np.linspace(0, 2, len(T))[:, None] * [0, 0, 1]
    assert leaves_floor(rotations, on_floor(rotations, climbing, True))
    assert lowest(rotations, on_floor(rotations, climbing, False)).min() == pytest.approx(0, abs=1e-9)


def test_one_frame_and_no_stance_are_no_trouble():
    rotations, root = walk()
    cleaned, moved = clean(rotations[:1], root[:1])
    assert cleaned.shape == (1, len(BODY), 3, 3)
    assert foot_skate_mm(cleaned, moved) == 0
    assert foot_skate_mm(rotations, root + np.array([0, 0, 1.0])) == 0


def test_impossible_joints_come_back_and_possible_ones_stay():
    still = np.broadcast_to(np.eye(3), (3, len(BODY), 3, 3)).copy()
    same, over = within_limits(still)
    assert not over.any()
    np.testing.assert_array_equal(same, still)
    broken = still.copy()
    broken[:, BODY["Head"]] = about(np.array([0.0, 0, 1]), np.radians(170.0))
    broken[:, BODY["RightUpLeg"]] = about(np.array([1.0, 0, 0]), np.radians(120.0))  # far back
    fixed, over = within_limits(broken)
    assert over.sum(1).tolist() == [2, 2, 2]
    back = (fixed[0, BODY["RightUpLeg"]] @ (REST[0] - [0, 0, 1]))[1] > 0
    assert back
    assert not within_limits(fixed)[1].any()


def test_limits_are_the_same_on_both_sides():
    rng = np.random.default_rng(0)
    rotations = turn(rng.normal(0, 0.8, (40, len(BODY), 3)))
    mirror = np.outer([-1.0, 1, 1], [-1.0, 1, 1])
    for left in (bone for bone in LIMITS if bone.startswith("Left")):
        for bone in (left, LIMITS[left].parent):
            if bone.startswith("Left"):
                rotations[:, BODY[bone.replace("Left", "Right")]] = rotations[:, BODY[bone]] * mirror
    for bone in ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"):
        rotations[:, BODY[bone]] = np.eye(3)
    fixed, _ = within_limits(rotations)
    for left in (bone for bone in LIMITS if bone.startswith("Left")):
        right = left.replace("Left", "Right")
        np.testing.assert_allclose(fixed[:, BODY[right]], fixed[:, BODY[left]] * mirror, atol=1e-9)
