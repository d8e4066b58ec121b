"""Limb maps say what the detector believes of the joints, and an angle as exact as is stated."""

from dataclasses import replace

import pytest
import torch
from tests.studies.test_controlled import make

from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS
from egorear.heatmaps import limb_angle
from egorear.studies.limb_noise import believed_limb_maps
from egorear.studies.noise import Detections, NoiseModel, detect, draw
from egorear.studies.truth_data import Truth, select

SIZE = 32
PARENTS = list(EGO4VIEW.parents[1:])
NOISE = NoiseModel()


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make(300, seed=2)


@pytest.fixture(scope="module")
def found(truth: Truth) -> Detections:
    return detect(truth.places, truth.visibility, truth.rig.views, NOISE, SIZE, seed=1)


@pytest.fixture(scope="module")
def maps(found: Detections, truth: Truth) -> torch.Tensor:
    return believed_limb_maps(found, truth, truth.rig.views, NOISE, SIZE, seed=1)


def at(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The value of each map at a place relative to the image, zero outside."""
    grid = (2 * places - 1).flatten(0, -2)[:, None, None]
    sampled = torch.nn.functional.grid_sample(maps.flatten(0, -3)[:, None], grid, align_corners=False)
    return sampled.reshape(places.shape[:-1])


def test_a_limb_lies_between_the_believed_joints_and_is_as_bright_as_the_fainter(found, maps) -> None:
    drawn = maps.norm(dim=2)  # of cosine and sine: the limb itself, a tenth lower between cells
    ends = torch.cat((found.places[:, :, :1], found.places), dim=2)  # the head's place is never asked for
    parent, child = ends[:, :, PARENTS][:, :, 1:], found.places[:, :, 1:]
    peaks = torch.cat((found.peaks[..., :1], found.peaks), dim=-1)
    dimmer = torch.minimum(peaks[..., PARENTS], peaks[..., 1:])[..., 1:]
    length = SIZE * (child - parent).norm(dim=-1)
    middle = (parent + child) / 2
    inside = ((middle > 0.1) & (middle < 0.9)).all(-1)
    ridge = at(drawn[:, :, 1:], middle)
    long = inside & (length > 5) & (dimmer > 0)
    assert long.sum() > 500
    torch.testing.assert_close(ridge[long] / dimmer[long], torch.full_like(ridge[long], 0.798), atol=0.12, rtol=0)
    across = torch.stack((parent[..., 1] - child[..., 1], child[..., 0] - parent[..., 0]), -1)
    beside = middle + 3 * across / length[..., None].clamp_min(1e-6)
    assert (at(drawn[:, :, 1:], beside)[long] < 0.1 * ridge[long]).all()


def test_a_lost_joint_loses_its_limbs_and_nothing_else(found, maps) -> None:
    peaks = torch.cat((found.peaks[..., :1], found.peaks), dim=-1)  # the head has the neck's
    lost = (peaks[..., PARENTS] == 0) | (peaks[..., 1:] == 0)
    assert 0.02 < lost.float().mean() < 0.9
    assert not maps.transpose(2, 3)[lost].any()
    on_map = ((found.places > 0) & (found.places < 1)).all(-1)
    assert (maps.norm(dim=2).amax((-2, -1))[~lost & on_map] > 0).all()


def test_angles_err_as_stated_and_those_of_wrong_places_say_nothing(found, truth) -> None:
    noise = replace(NOISE, angle=0.3)
    maps = believed_limb_maps(found, truth, truth.rig.views, noise, SIZE, seed=1)
    cos, sin = maps.flatten(-2).sum(-1).unbind(2)
    camera = truth.rig.to_camera(truth.joints)
    true = limb_angle(camera[:, :, PARENTS], camera[:, :, 1:])
    peaks, wrong = (torch.cat((each[..., :1], each), dim=-1) for each in (found.peaks, found.wrong))
    drawn = torch.minimum(peaks[..., PARENTS], peaks[..., 1:]) > 0
    drawn &= cos.abs() + sin.abs() > 1e-3
    mistaken = wrong[..., PARENTS] + wrong[..., 1:] > 0
    error = torch.atan2(sin, cos) - true
    gentle = drawn & ~mistaken & (true.abs() < 0.6)  # steeper ones are clamped at 90 degrees
    assert error[gentle].std().item() == pytest.approx(0.3, rel=0.05)
    assert error[gentle].mean().abs() < 0.02
    same = gentle[:, 0] & gentle[:, 1]
    common = torch.corrcoef(torch.stack((error[:, 0][same], error[:, 1][same])))[0, 1].item()
    assert common == pytest.approx(noise.pair, abs=0.08)
    assert (cos[drawn] >= -1e-6).all()  # as the angle is at most 90 degrees
    assert error[drawn & mistaken].abs().mean() > 0.6


def test_the_neck_limb_starts_at_the_true_head_displaced_like_the_neck(truth) -> None:
    views = truth.rig.views
    exact = Detections(truth.places + 0.1, *(torch.full(truth.places.shape[:-1], value) for value in (0.0, 1.0, 0.0)))
    maps = believed_limb_maps(exact, truth, views, replace(NOISE, angle=0.0), SIZE, seed=1)
    head = (truth.rig.project(truth.joints[:, :1])[0] + 0.5) / 872
    neck = HEATMAP_JOINTS.index("Neck")
    middle = (head[:, :, 0] + truth.places[:, :, neck]) / 2 + 0.1
    length = SIZE * (head[:, :, 0] - truth.places[:, :, neck]).norm(dim=-1)
    clear = ((middle > 0.1) & (middle < 0.9)).all(-1) & (length > 5)
    assert clear.sum() > 50
    assert (at(maps[:, :, :, neck].norm(dim=2), middle)[clear] > 0.65).all()


def test_limbs_leave_the_joints_noise_alone_and_cameras_leave_each_other_alone(found, truth, maps) -> None:
    again = detect(truth.places, truth.visibility, truth.rig.views, NOISE, SIZE, seed=1)
    assert torch.equal(draw(again, SIZE), draw(found, SIZE))
    some = believed_limb_maps(found, truth, ("back_left", "front_right"), NOISE, SIZE, seed=1)
    assert torch.equal(some, maps[:, [2, 1]])
    assert select(truth, ("back_left",)).places.shape[1] == 1
    assert not torch.equal(believed_limb_maps(found, truth, truth.rig.views, NOISE, SIZE, seed=2), maps)
