import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egorear.synth import hands
from egorear.synth.body import BONES
from egorear.synth.figure import rest
from egorear.synth.hands import FINGERS, HIGHEST, LOWEST, POSES, finger_rotations, sample_hands

FPS = 30.0


def tips(pose: np.ndarray, side: str = "Left") -> dict[str, np.ndarray]:
    """Where the fingertips are against the wrist (metres), for angles in degrees and an unturned hand."""
    turned = {bone: R[0] for bone, R in finger_rotations(np.radians(pose)[None], side).items()}
    found = {}
    for finger in FINGERS:
        first, second, third = (f"{side}Hand{finger}{i}" for i in (1, 2, 3))
        tip = rest(first) - rest(f"{side}Hand") + turned[first] @ (rest(second) - rest(first))
        tip = tip + turned[second] @ (rest(third) - rest(second))
        found[finger] = tip + turned[third] @ (rest(third) - rest(second))  # the end taken as long as the middle
    return found


def bends(pose: np.ndarray) -> dict[str, float]:
    """How far each fingertip is from the wrist, as a share of the open hand's."""
    reach, most = tips(pose), tips(POSES["open"])
    return {finger: float(np.linalg.norm(reach[finger]) / np.linalg.norm(most[finger])) for finger in FINGERS}


@given(st.integers(0, 2**32), st.sampled_from(("Left", "Right")), st.integers(1, 200))
def test_hands_give_proper_rotations_of_every_finger_bone(seed, side, frames):
    found = sample_hands(np.random.default_rng(seed), frames, FPS, side)
    assert set(found) == {bone for bone in BONES if bone.startswith(f"{side}Hand") and bone[-1] in "123"}
    for R in found.values():
        assert R.shape == (frames, 3, 3)
        np.testing.assert_allclose(R @ R.swapaxes(-1, -2), np.broadcast_to(np.eye(3), R.shape), atol=3e-7)
        assert (np.linalg.det(R) > 0).all()


@given(st.integers(0, 2**32))
def test_angles_stay_within_the_joints_limits_and_never_jump(seed):
    angles = hands._angles(np.random.default_rng(seed), np.arange(600) / FPS)
    assert (angles >= LOWEST).all()
    assert (angles <= HIGHEST).all()
    # A change of 120 degrees in the shortest time peaks at 1.9 times its mean speed.
    assert np.abs(np.diff(angles, axis=0)).max() < 1.9 * 130 / (hands.CHANGE_S[0] * FPS)


def test_a_long_window_shows_several_poses_and_holds_them():
    angles = hands._angles(np.random.default_rng(3), np.arange(60 * 30) / FPS)
    speed = np.abs(np.diff(angles, axis=0)).max((1, 2)) * FPS
    still = speed < 40  # degrees a second: the fidget
    assert 0.5 < still.mean() < 0.98
    assert np.count_nonzero(np.diff(still.astype(int)) == 1) >= 5


def test_poses_do_what_their_names_say():
    assert min(bends(POSES["open"]).values()) == 1
    fist = bends(POSES["fist"])
    assert max(fist[finger] for finger in FINGERS[1:]) < 0.65
    point = bends(POSES["point"])
    assert point["Index"] > 0.95
    assert max(point[finger] for finger in FINGERS[2:]) < 0.65
    pinch = tips(POSES["pinch"])
    assert np.linalg.norm(pinch["Thumb"] - pinch["Index"]) < 0.03
    assert all(fist[f] < bends(POSES["grasp"])[f] < bends(POSES["relaxed"])[f] < 1 for f in FINGERS[1:])
    up = tips(POSES["thumb_up"])
    assert np.linalg.norm(up["Thumb"] - up["Index"]) > 0.07


def test_fingers_bend_towards_the_palm_of_either_hand():
    # In the rest pose the arms hang to the sides with the palms facing the body and down.
    for side, inward in (("Left", -1), ("Right", 1)):
        moved = tips(POSES["grasp"], side)["Middle"] - tips(POSES["open"], side)["Middle"]
        assert moved[0] * inward > 0.02


@pytest.mark.parametrize("pose", POSES)
def test_the_right_hand_mirrors_the_left(pose):
    left, right = tips(POSES[pose], "Left"), tips(POSES[pose], "Right")
    for finger in FINGERS:
        np.testing.assert_allclose(right[finger], left[finger] * [-1, 1, 1], atol=1e-9)


def test_same_generator_state_same_fingers():
    one, two = (sample_hands(np.random.default_rng(5), 40, FPS, "Left") for _ in range(2))
    assert all((one[bone] == two[bone]).all() for bone in one)
