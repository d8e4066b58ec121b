"""Each fault gives the pictures and the rig that its name says, and touches nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.moments import Moments
from tests.people import two_camera_rig

from egorear.evaluation.faults import (
    Black,
    Blurred,
    Frozen,
    Late,
    Lost,
    NoFault,
    Noisy,
    Swapped,
    Take,
    Turned,
    standard_faults,
)
from egorear.evaluation.view_sets import view_sets
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.transforms import invert_rigid, matrix_to_axis_angle

VIEWS = ego4view_syn().views
FRAME = 4


def take(seed: int = 0, name: str = "anna/0") -> Take:
    return Take(Moments([6]), name, range(6), VIEWS, seed)


def shown(fault) -> dict:
    """Frame and view each view's picture is of, at frame 4; none for no picture."""
    images, rig = fault.apply(take(), FRAME)
    assert torch.equal(rig.T_camera_device, ego4view_syn().T_camera_device)
    return {view: None if image is None else divmod(int(image[0, 0, 0]), 10) for view, image in images.items()}


TRUE = {view: (FRAME, v) for v, view in enumerate(VIEWS)}


def test_no_fault_is_the_frame_as_it_is():
    assert shown(NoFault()) == TRUE


def test_a_lost_camera_has_no_picture_and_the_others_theirs():
    assert shown(Lost(("back_left",))) == TRUE | {"back_left": None}


def test_a_black_camera_has_a_picture_of_zeros():
    assert shown(Black(("front_right",))) == TRUE | {"front_right": (0, 0)}


def test_a_frozen_camera_shows_the_first_frame_of_the_sequence():
    assert shown(Frozen(("front_right",))) == TRUE | {"front_right": (0, 1)}


def test_swapped_cameras_show_each_others_picture_under_their_own_rig():
    assert shown(Swapped(("back_left", "back_right"))) == TRUE | {"back_left": (FRAME, 3), "back_right": (FRAME, 2)}


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_late_camera_shows_the_frame_so_many_before(frames):
    fault = Late(("front_left",), frames)
    assert shown(fault) == TRUE | {"front_left": (FRAME - frames, 0)}
    assert fault.history == frames
    assert fault.name == f"late {frames} frames: front_left"


@settings(deadline=None, max_examples=25)
@given(degrees=st.floats(0.1, 30), seed=st.integers(0, 2**32 - 1))
def test_a_turned_camera_is_off_by_so_many_degrees_about_its_own_centre(degrees, seed):
    images, told = Turned(("front_right", "back_left"), degrees).apply(take(seed), FRAME)
    true = ego4view_syn()
    R = told.T_camera_device[:, :3, :3].double() @ true.T_camera_device[:, :3, :3].double().mT
    angles = torch.rad2deg(matrix_to_axis_angle(R).norm(dim=-1)).tolist()
    assert angles == pytest.approx([0, degrees, degrees, 0], abs=0.05)
    here, there = (invert_rigid(each.T_camera_device.double())[:, :3, 3] for each in (told, true))
    torch.testing.assert_close(here, there, atol=1e-6, rtol=0)
    assert [int(image[0, 0, 0]) for image in images.values() if image is not None] == [40, 41, 42, 43]


def test_axes_depend_on_seed_sequence_and_camera_but_not_on_frame_or_level():
    def axes(seed=0, name="anna/0", degrees=5.0, index=FRAME):
        T = Turned(None, degrees).apply(take(seed, name), index)[1].T_camera_device.double()
        R = T[:, :3, :3] @ ego4view_syn().T_camera_device[:, :3, :3].double().mT
        return torch.nn.functional.normalize(matrix_to_axis_angle(R), dim=-1)

    first = axes()
    torch.testing.assert_close(axes(degrees=2.0), first, atol=1e-3, rtol=0)
    assert torch.equal(axes(index=1), first)
    assert (first @ first.T - torch.eye(4)).max() < 0.999
    assert (axes(seed=1) * first).sum(-1).max() < 0.999
    assert (axes(name="anna/1") * first).sum(-1).max() < 0.999


def test_blur_has_the_width_that_is_told():
    image = np.zeros((101, 101, 3), np.uint8)
    image[:, 50:] = 200
    edge = Take(Moments([1]), "anna/0", range(1), VIEWS)
    edge._images = {(0, view): image for view in VIEWS}
    blurred = Blurred(None, 4.0).apply(edge, 0)[0]["back_left"]
    assert blurred is not None
    slope = np.diff(blurred[50, :, 0].astype(float)) / 200
    places = np.arange(100) - 49.0
    assert slope.sum() == pytest.approx(1)
    assert np.sqrt((slope * places**2).sum()) == pytest.approx(4.04, rel=0.05)


def test_noise_has_the_strength_that_is_told_and_repeats_with_the_seed():
    def noisy(seed, index=0, view="front_left", level=10.0):
        grey = take(seed)
        grey._images = {(index, each): np.full((64, 64, 3), 128, np.uint8) for each in VIEWS}
        image = Noisy(None, level).apply(grey, index)[0][view]
        assert image is not None
        return image.astype(float) - 128

    assert noisy(0).std() == pytest.approx(25.5, rel=0.03)
    assert abs(noisy(0).mean()) < 1
    assert (noisy(0) == noisy(0)).all()
    for other in (noisy(1), noisy(0, index=2), noisy(0, view="front_right")):
        assert abs(np.corrcoef(noisy(0).ravel(), other.ravel())[0, 1]) < 0.05


def test_the_study_of_four_cameras_has_every_fault_once_and_no_fault_first():
    faults = standard_faults(ego4view_syn(), VIEWS, 10)
    assert faults[0] == NoFault()
    names = [fault.name for fault in faults]
    assert len(set(names)) == len(names) == 1 + 3 * 4 + 2 + 3 * 4 + 4 * 5 + 3 + 3
    assert {"swapped: front_left, front_right", "swapped: back_left, back_right"} < set(names)
    assert "extrinsics 5°: every camera" in names


def test_a_rig_of_two_cameras_and_short_sequences_have_the_faults_that_can_be():
    rig = two_camera_rig()
    faults = standard_faults(rig, rig.views, 2)
    assert [fault.cameras for fault in faults if isinstance(fault, Swapped)] == [("front_left", "front_right")]
    assert {fault.level for fault in faults if isinstance(fault, Late)} == {1}
    assert all(set(fault.cameras or ()) <= set(rig.views) for fault in faults)
    families = {fault.family for fault in standard_faults(rig, rig.views, 1)}
    assert families == {"none", "lost", "black", "swapped", "extrinsics", "blur", "noise"}
    alone = standard_faults(rig, ["front_left"], 1)
    assert {fault.family for fault in alone} == {"none", "extrinsics", "blur", "noise"}
    assert len([fault for fault in alone if isinstance(fault, Turned)]) == 4


def test_view_sets_are_all_fifteen_by_count_and_lose_the_rest():
    sets = view_sets(VIEWS)
    kept = [tuple(view for view, seen in shown(each).items() if seen) for each in sets]
    assert len(set(kept)) == len(kept) == 15
    assert [len(views) for views in kept] == [1] * 4 + [2] * 6 + [3] * 4 + [4]
    assert [", ".join(views) for views in kept] == [each.name for each in sets]
    assert shown(sets[-1]) == TRUE
    assert sets[-1].cameras == ()
