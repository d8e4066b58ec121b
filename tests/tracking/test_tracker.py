"""The tracker: same poses however frames are given, honest about rigs it was not trained for."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.people import STANDING, TINY, pictures, save_tiny, two_camera_rig

from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix, rigid
from egorear.models.egorear import EgoRear
from egorear.models.images import normalize
from egorear.models.pretrained import save_pretrained
from egorear.tracking import PoseTracker
from egorear.tracking.pose_network import raw_confidence
from egorear.tracking.weights import find_weights, shipped

RIG = ego4view_syn()


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    return PoseTracker.from_pretrained(save_tiny(tmp_path_factory.mktemp("weights") / "tiny"))


def test_the_training_rig_is_not_rendered_again(tracker):
    """At its own resolution the tracker is the network: same images, same rig, same pose."""
    images = pictures(RIG, size=(64, 64))
    tensor = torch.from_numpy(np.stack(list(images.values()))).permute(0, 3, 1, 2)
    expected = tracker.network.model(normalize(tensor[None]), RIG.resized(64, 64)).poses[0, -1]
    pose = tracker(images, RIG)
    torch.testing.assert_close(pose.joints, expected, atol=1e-5, rtol=1e-5)
    assert pose.joints.shape == (16, 3)
    assert pose.confidence.shape == (16,)
    assert pose.joints_2d.shape == (4, 15, 2)
    assert ((pose.confidence >= 0) & (pose.confidence <= 1)).all()
    assert pose.confidence[0] == pose.confidence[1]
    assert not tracker.remarks(RIG)


def test_a_confidence_head_is_asked_before_the_heatmaps(tmp_path):
    torch.manual_seed(0)
    save_pretrained(EgoRear(replace(TINY, confidence=True)), tmp_path / "sure")
    tracker = PoseTracker.from_pretrained(tmp_path / "sure")
    images = pictures(RIG, size=(64, 64))
    tensor = torch.from_numpy(np.stack(list(images.values()))).permute(0, 3, 1, 2)
    expected = tracker.network.model(normalize(tensor[None]), RIG.resized(64, 64)).confidence
    assert raw_confidence(tracker.network.model) == "head"
    torch.testing.assert_close(tracker(images, RIG).confidence, expected[0].sigmoid(), atol=1e-5, rtol=1e-5)


def test_one_frame_a_batch_and_a_tensor_agree(tracker):
    frames = [pictures(RIG, seed, (96, 96)) for seed in range(3)]
    tensor = torch.from_numpy(np.stack([np.stack(list(frame.values())) for frame in frames])).permute(0, 1, 4, 2, 3)
    batch, by_tensor = tracker.predict(frames, RIG), tracker(tensor, RIG)
    single = torch.stack([tracker(frame, RIG).joints for frame in frames])
    assert not torch.equal(single[0], single[1])
    torch.testing.assert_close(batch.joints, single, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(by_tensor.joints, batch.joints)
    torch.testing.assert_close(by_tensor.joints_2d, batch.joints_2d)


def test_peaks_are_pixels_of_the_images_given(tracker):
    """The same view at twice the resolution peaks at the same place, x' = 2(x + 0.5) - 0.5."""
    small = pictures(RIG, size=(64, 64))
    large = {view: image.repeat(2, axis=0).repeat(2, axis=1) for view, image in small.items()}
    torch.testing.assert_close(
        tracker(large, RIG).joints_2d, 2 * (tracker(small, RIG).joints_2d + 0.5) - 0.5, atol=0.01, rtol=0
    )


def test_each_frames_peaks_are_pixels_of_its_own_images(tracker):
    """A batch may hold images of several resolutions: a camera changed it, or frames were gathered."""
    small, large = pictures(RIG, size=(64, 64)), pictures(RIG, size=(128, 128))
    together = tracker.predict([small, large], RIG)
    for row, images in enumerate((small, large)):
        torch.testing.assert_close(together.joints_2d[row], tracker.predict([images], RIG).joints_2d[0])


def test_two_cameras_of_another_calibration(tracker):
    rig = two_camera_rig()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pose = tracker(pictures(rig), rig)
    assert ["lacks back_left, back_right" in str(w.message) for w in warned] == [True, False]
    assert "re-rendered" in str(warned[1].message)
    assert pose.views == ("front_left", "front_right")
    assert pose.joints_2d.shape == (2, 15, 2)
    assert pose.joints.isfinite().all()


def test_the_network_is_told_where_the_users_cameras_are(tracker):
    """Training orientation, user's centres: a joint is then projected where the re-rendered image shows it."""
    rig = two_camera_rig()
    cameras = tracker.cameras
    warps = {view: cameras.warp(rig, view, rig.cameras[view]) for view in rig.views}
    network = cameras.network_rig(rig, warps)
    pixels, seen = network.project(STANDING)
    originals, in_image = rig.project(STANDING)
    for index, view in enumerate(rig.views):
        both = seen[index] & in_image[index]
        assert both.sum() >= 8
        torch.testing.assert_close(
            warps[view].to_source(pixels[index])[both], originals[index][both], atol=0.02, rtol=0
        )


def test_a_camera_lost_in_a_frame_is_as_if_the_rig_had_none(tracker):
    """Frames of one batch may lack different views; what another frame shows there changes nothing."""
    frames = [pictures(RIG, seed, (64, 64)) for seed in range(3)]
    lost = [(), ("front_left",), ("front_right", "back_left")]
    batch = tracker.predict([f | dict.fromkeys(views) for f, views in zip(frames, lost, strict=True)], RIG)
    assert batch.views == RIG.views
    for number, (frame, missing) in enumerate(zip(frames, lost, strict=True)):
        kept = [view for view in RIG.views if view not in missing]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = tracker(frame, RIG.select(kept))
        there = [RIG.views.index(view) for view in kept]
        torch.testing.assert_close(batch.joints[number], alone.joints, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(batch.confidence[number], alone.confidence, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(batch.joints_2d[number, there], alone.joints_2d)
        absent = [RIG.views.index(view) for view in missing]
        assert batch.joints_2d[number, absent].isnan().all()
        assert not batch.scores_2d[number, absent].any()


def test_a_frame_without_any_image_is_refused(tracker):
    whole = pictures(RIG, size=(64, 64))
    with pytest.raises(UserError, match="frame 1 of 2 has no image of any of front_left, front_right"):
        tracker.predict([whole, dict.fromkeys(RIG.views)], RIG)


def test_views_the_network_does_not_know_are_ignored(tracker):
    extra = replace(
        RIG,
        cameras={**RIG.cameras, "chin": RIG.cameras["front_left"]},
        T_camera_device=torch.cat((RIG.T_camera_device, torch.eye(4)[None])),
    )
    images = pictures(RIG, size=(64, 64))
    with pytest.warns(UserWarning, match="chin"):
        pose = tracker(images, extra)
    torch.testing.assert_close(pose.joints, tracker(images, RIG).joints)


def test_rigs_that_cannot_work_are_refused(tracker):
    images = pictures(RIG, size=(64, 64))
    renamed = replace(RIG, cameras={f"cam{i}": camera for i, camera in enumerate(RIG.cameras.values())})
    with pytest.raises(UserError, match=r"cam0.*needs at least one of front_left, front_right"):
        tracker(images, renamed)
    half_turn = rigid(axis_angle_to_matrix(torch.tensor([3.14, 0, 0])), torch.zeros(3))
    with pytest.raises(UserError, match=r"'front_left' sees \d% .*T_camera_device"):
        tracker(images, RIG.with_extrinsics(half_turn.expand(4, 4, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.pop("back_left"), "no image of view 'back_left'"),
        (lambda images: images.update(back_left=np.zeros((64, 90, 3), np.uint8)), "90x64 but must have the aspect"),
    ],
)
def test_frames_that_do_not_fit_the_rig_are_refused(tracker, change, message):
    images = pictures(RIG, size=(64, 64))
    change(images)
    with pytest.raises(UserError, match=message):
        tracker(images, RIG)


def test_unknown_weights(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no weights 'egorear-giant'"):
        find_weights("egorear-giant")
    with pytest.raises(UserError, match=r"config\.json"):
        PoseTracker.from_pretrained(tmp_path)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(UserError, match="is a file, but weights are given as the folder that holds it"):
        find_weights(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        find_weights("someone/egorear-base")
    assert "egorear-giant" not in shipped()


def test_weights_bring_their_own_rig(tmp_path):
    folder = save_tiny(tmp_path / "visor")
    turned = RIG.with_extrinsics(
        RIG.T_camera_device @ rigid(axis_angle_to_matrix(torch.tensor([0.5, 0, 0])), torch.zeros(3))
    )
    turned.save(folder / "rig.json")
    tracker = PoseTracker.from_pretrained(folder)
    assert tracker.model_id == "visor"
    assert not tracker.remarks(turned)
    assert "re-rendered" in tracker.remarks(RIG)[0]


@pytest.mark.parametrize(
    ("mistake", "view"), [("swapped", "back_left"), ("inverted", "front_left"), ("other axes", "back_left")]
)
def test_cameras_in_the_wrong_place_are_told(tracker, mistake, view):
    """All of them see what the network expects, so that nothing else would tell."""
    T = RIG.T_camera_device
    axes = torch.tensor([[1.0, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1]])
    wrong = {"swapped": T.flip(0), "inverted": T.inverse(), "other axes": T @ axes @ axes}[mistake]
    told = [remark for remark in tracker.remarks(RIG.with_extrinsics(wrong)) if "in training" in remark]
    assert len(told) == 1
    assert f"camera '{view}' is at (" in told[0]
    assert "T_camera_device" in told[0]


def test_other_headsets_are_not_taken_for_mistakes(tracker):
    """Cameras 5 cm wider apart, and rear ones 15 cm nearer."""
    T = RIG.T_camera_device.clone()
    T[:, 0, 3] += 0.05 * T[:, 0, 3].sign()
    T[2:, 1, 3] -= 0.15
    assert not [remark for remark in tracker.remarks(RIG.with_extrinsics(T)) if "in training" in remark]


def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="device 'cuda:77' cannot be used"):
        PoseTracker.from_pretrained(save_tiny(tmp_path / "tiny"), device="cuda:77")
