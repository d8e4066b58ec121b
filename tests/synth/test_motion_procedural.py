"""Families of movements and the inverse kinematics below them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.errors import UserError
from egorear.synth.actions import ACTIONS
from egorear.synth.contacts import foot_skate_mm
from egorear.synth.figure import BODY, LEG, joints, lowest, rest
from egorear.synth.posing import ANKLE, ARM, FLEXION, HIP_HEIGHT, solve, two_bones
from egorear.synth.procedural import ARMS, FAMILIES, LEGS
from egorear.synth.procedural.curves import ease, through, wander
from egorear.synth.procedural.draw import Draw
from egorear.synth.procedural.gait import stand, steps

T = np.arange(90) / 30


def flexion(placed, upper, middle, end):
    """Degrees by which a hinge is bent."""
    a, b = placed[:, BODY[middle]] - placed[:, BODY[upper]], placed[:, BODY[end]] - placed[:, BODY[middle]]
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_family_moves_like_a_person(name, seed):
    rotations, root = FAMILIES[name].clip(seed, T)
    placed = joints(rotations, root * LEG)
    assert lowest(rotations, root * LEG).min() > -1e-6
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-6)
    for side in ("Left", "Right"):
        for hinge in (("UpLeg", "Leg", "Foot"), ("Arm", "ForeArm", "Hand")):
            bent = flexion(placed, *(side + part for part in hinge))
            assert bent.min() > np.degrees(FLEXION[0]) - 0.5
            assert bent.max() < np.degrees(FLEXION[1]) + 0.5
            # The lower bone turns about the hinge only: knees bend back and elbows forward, as in the rest pose.
            relative = np.swapaxes(rotations[:, BODY[side + hinge[0]]], -1, -2) @ rotations[:, BODY[side + hinge[1]]]
            first, second = (rest(side + b) - rest(side + a) for a, b in pairwise(hinge))
            if hinge[0] == "UpLeg":
                axis = np.cross(first, second) / np.linalg.norm(np.cross(first, second))
                np.testing.assert_allclose(relative @ axis, np.tile(axis, (len(T), 1)), atol=1e-6)
    speed = np.linalg.norm(np.diff(placed, axis=0), axis=-1).max() / (T[1] - T[0])
    assert speed < 15  # metres a second: fast kicks, no jumps
    # "At 30 fps" holds of these times too, but for the unit.
    assert foot_skate_mm(rotations, root * LEG) < 4


@pytest.mark.parametrize("name", ["look_around", "walk", "sit"])
def test_heads_move(name):
    turned = [FAMILIES[name].clip(seed, T)[0][:, BODY["Head"]] for seed in range(5)]
    angles = [np.arccos(np.clip((np.einsum("tij,ij->t", R, R[0]) - 1) / 2, -1, 1)).max() for R in turned]
    assert np.degrees(np.mean(angles)) > 15


def test_every_family_has_a_class_and_every_movement_a_family():
    assert {family.action for family in FAMILIES.values()} <= set(ACTIONS)
    assert set(LEGS) == {name for family in FAMILIES.values() for name in family.legs}
    assert set(ARMS) == {name for family in FAMILIES.values() for name in family.arms}


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_have_names_and_any_one_can_be_given(name):
    family = FAMILIES[name]
    drawn = family.parameters(11)
    other = family.parameters(12, legs=drawn["legs"], arms=drawn["arms"])
    for parameter, value in other.items():
        again = family.parameters(11, **{"legs": drawn["legs"], "arms": drawn["arms"], parameter: value})
        assert again == drawn | {parameter: value}


def test_speed_that_is_given_is_walked():
    for speed in (0.5, 1.7):
        _, root = FAMILIES["walk"].clip(3, T, speed=speed, turning=0.0)
        assert np.linalg.norm(root[-1, :2] - root[0, :2]) * LEG / T[-1] == pytest.approx(speed, abs=0.05)


@pytest.mark.parametrize(
    ("given_parameters", "complaint"),
    [({"sped": 1.0}, "no parameter 'sped'.*speed"), ({"speed": 40.0}, "0.4 to 1.8"), ({"legs": "fly"}, "fly")],
)
def test_impossible_parameters_are_refused(given_parameters, complaint):
    with pytest.raises(UserError, match=complaint):
        FAMILIES["walk"].clip(0, T, **given_parameters)


def test_families_compose():
    seated, _ = FAMILIES["reach"].clip(0, T, legs="sit_floor", arms="phone")
    assert FAMILIES["reach"].parameters(0, legs="sit_floor", arms="phone")["reads"] in (0.0, 1.0)
    assert seated.shape == (len(T), len(BODY), 3, 3)


def test_clip_is_a_function_of_time():
    whole, root = FAMILIES["reach"].clip((1, 5), T)
    part, part_root = FAMILIES["reach"].clip((1, 5), T[10:20:3])
    np.testing.assert_allclose(part, whole[10:20:3], atol=1e-9)
    np.testing.assert_allclose(part_root, root[10:20:3], atol=1e-9)


def test_reaching_covers_the_workspace_of_both_hands():
    hands = {"Left": [], "Right": []}
    for seed in range(60):
        rotations, root = FAMILIES["reach"].clip(seed, T[::12])
        placed = joints(rotations, root)
        chest = rotations[:, BODY["Spine2"]]
        for side, seen in hands.items():
            reach = placed[:, BODY[f"{side}Hand"]] - placed[:, BODY[f"{side}Arm"]]
            seen.append((reach[:, None] @ chest)[:, 0] / ARM)
    for side, sign in (("Left", 1), ("Right", -1)):
        x, y, z = np.concatenate(hands[side]).T * [[sign], [1], [1]]
        assert (z > 0.4).mean() > 0.1, "overhead"
        assert (y > 0.15).mean() > 0.03, "behind"
        assert (y < -0.6).mean() > 0.1, "far in front"
        assert (x < -0.2).mean() > 0.08, "across"


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_two_bones_reach_the_target_with_the_knee_at_the_pole(seed):
    rng = np.random.default_rng(seed)
    start, direction = rng.normal(size=(1, 3)), rng.normal(size=(1, 3))
    target = start + direction / np.linalg.norm(direction) * rng.uniform(0.3, 0.83)
    pole = rng.normal(size=(1, 3))
    thigh, shin = two_bones("LeftUpLeg", "LeftLeg", "LeftFoot", start, target, pole)
    knee = start + thigh @ (rest("LeftLeg") - rest("LeftUpLeg"))
    ankle = knee + shin @ (rest("LeftFoot") - rest("LeftLeg"))
    np.testing.assert_allclose(ankle, target, atol=1e-9)
    assert ((knee - start) * pole).sum() - ((target - start) * pole).sum() * (
        ((knee - start) * (target - start)).sum() / ((target - start) ** 2).sum()
    ) > 0


def test_out_of_reach_the_limb_points_at_the_target():
    thigh, shin = two_bones(
        "LeftUpLeg", "LeftLeg", "LeftFoot", np.zeros((1, 3)), np.array([[0, 0, -5.0]]), np.array([[0, -1.0, 0]])
    )
    ankle = thigh @ (rest("LeftLeg") - rest("LeftUpLeg")) + shin @ (rest("LeftFoot") - rest("LeftLeg"))
    np.testing.assert_allclose(ankle[0, :2], 0, atol=1e-9)


def test_standing_is_one_leg_length_high_with_feet_where_they_were_put():
    pose = stand(Draw(np.random.default_rng(0)), T)
    rotations, root = solve(pose)
    placed = joints(rotations, root * LEG)
    assert 0.94 < root[:, 2].mean() < 1.02
    np.testing.assert_allclose(placed[:, BODY["LeftFoot"]], pose.ankles[:, 0], atol=0.02)
    assert HIP_HEIGHT / LEG < 1


def test_planted_palms_lie_flat():
    rotations, _ = FAMILIES["crawl"].clip(0, T)
    for side, sign in (("Left", 1), ("Right", -1)):
        fingers = rest(f"{side}HandMiddle1") - rest(f"{side}Hand")
        knuckles = rest(f"{side}HandPinky1") - rest(f"{side}HandIndex1")
        back = sign * np.cross(fingers, knuckles)
        up = (rotations[:, BODY[f"{side}Hand"]] @ (back / np.linalg.norm(back)))[:, 2]
        assert up.mean() > 0.8


def test_steps_keep_the_planted_foot_still():
    times = np.linspace(0, 4, 400)
    _, _, ankles, _ = steps(times, (0.0, 1.3), 0.5, 0.9, 0.6, 0.1, 0.08, roll=0.0)
    on_ground = (times * 0.9) % 1 < 0.6
    still = on_ground[1:] & on_ground[:-1]
    moved = np.linalg.norm(np.diff(ankles[:, 0, :2], axis=0), axis=-1)
    assert moved[still].max() < 1e-9
    assert moved[~still].max() > 0.01
    assert ankles[..., 2].min() > ANKLE - 1e-9


def test_curves_are_smooth_and_bounded():
    np.testing.assert_allclose(ease(np.array([-1.0, 0, 0.5, 1, 2])), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(through(np.array([0.0, 1, 2, 3]), [0, 1, 3], [5, 7, 9]), [5, 7, 8, 9])
    fine = np.linspace(0, 20, 4000)
    curve = wander(np.random.default_rng(0), fine, [-1.0, 2.0], [1.0, 3.0])
    assert (curve.min(0) >= [-1, 2]).all()
    assert (curve.max(0) <= [1, 3]).all()
    assert np.abs(np.diff(curve, axis=0)).max() < 2 * 1.875 / 0.4 * (fine[1] - fine[0]) + 1e-9
