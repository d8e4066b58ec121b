"""The headset sits before the forehead, looks down, and slips slowly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from egorear.geometry.rig import ego4view_syn
from egorear.synth.body import sample_person
from egorear.synth.mount import CAMERA_SHIFT_STD_M, HEAD, sample_mount, shaken

seeds = st.integers(0, 2**32)
PERSON = sample_person(np.random.default_rng(0))


def mount(seed: int):
    return sample_mount(np.random.default_rng(seed), np.random.default_rng(seed + 1), PERSON)


def standing(seed: int, seconds: float = 0.0) -> np.ndarray:
    head = PERSON.rest_joints[HEAD]
    return mount(seed).T_device_world(PERSON, np.eye(3, dtype=np.float32), head, seconds)


@given(seeds)
def test_axes_point_to_the_wearers_right_backward_and_down(seed):
    R = standing(seed)[:3, :3]
    assert np.allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) > 0
    right, backward, down = R @ ([-1, 0, 0], [0, 1, 0], [0, 0, -1])
    assert min(right[0], backward[1], down[2]) > np.cos(np.radians(35))


@given(seeds)
def test_it_sits_before_the_forehead(seed):
    T = standing(seed)
    origin = -T[:3, :3].T @ T[:3, 3]
    assert np.linalg.norm(origin - PERSON.forehead) < 0.12
    assert origin[1] < PERSON.forehead[1]  # the person faces -y


@given(seeds, st.floats(0, 600))
def test_it_slips_a_little_and_never_jumps(seed, seconds):
    rotation, position = mount(seed).worn(0.0)
    later, there = mount(seed).worn(seconds)
    soon, _ = mount(seed).worn(seconds + 1 / 30)
    assert np.allclose(rotation, mount(seed).rotation)
    assert np.allclose(position, mount(seed).position)
    assert np.linalg.norm(there - position) < 0.06
    assert turn_degrees(rotation, later) < 25
    assert turn_degrees(later, soon) < 0.6


def test_a_person_wears_it_alike_in_all_takes():
    one, two = (sample_mount(np.random.default_rng(7), np.random.default_rng(take), PERSON) for take in (1, 2))
    assert (one.rotation == two.rotation).all()
    assert (one.turn != two.turn).any()


@given(seeds)
def test_shaken_cameras_stay_rigid_and_near(seed):
    T = ego4view_syn().T_camera_device.double().numpy()
    moved = shaken(np.random.default_rng(seed), T)
    assert np.allclose(moved[:, :3, :3] @ moved[:, :3, :3].mT, np.eye(3), atol=1e-9)
    centres = [-np.linalg.inv(each[:, :3, :3]) @ each[:, :3, 3:] for each in (T, moved)]
    assert np.abs(centres[0] - centres[1]).max() < 20 * CAMERA_SHIFT_STD_M
    assert (moved != T).any()


def turn_degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))
