"""Recorded videos: every frame once, from a window that bridges nothing, whatever the camera."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.clips import CAUSAL, WINDOW, WINDOWED, clip_network, save_clip_network, square_rig, video
from tests.people import save_tiny

from egorear.datasets.windows import covering, runs
from egorear.errors import UserError
from egorear.geometry.rig import shipped
from egorear.geometry.transforms import axis_angle_to_matrix, rigid
from egorear.models.images import normalize
from egorear.tracking import ClipTracker, PoseTracker
from egorear.tracking.opening import open_tracker
from egorear.tracking.sources import Frame

RIG = square_rig()
NAMES = [f"anna/s1/{i:06d}" for i in (*range(11), *range(12, 15))] + [f"anna/s2/{i:06d}" for i in range(9)]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@torch.no_grad()
def whole(model, images):
    return model(normalize(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))[None])


@pytest.mark.parametrize("config", [WINDOWED, CAUSAL])
def test_every_frame_of_every_recording_once(config):
    """Two sequences, one of them with a gap; batches that know nothing of either."""
    model, images = clip_network(config), video(len(NAMES))
    tracker = ClipTracker(model, RIG, "tiny")
    frames = [
        Frame(name, {"front": image}, RIG, 0.5 * i) for i, (name, image) in enumerate(zip(NAMES, images, strict=True))
    ]
    tracked = list(tracker.track((frames[i : i + 5] for i in range(0, len(frames), 5)), NAMES))
    assert [each.known for each in tracked] == [(frame.name, frame.timestamp) for frame in frames]
    windows = covering(runs(NAMES), len(NAMES) if config.motion.causal else WINDOW)
    outputs = [(whole(model, images[window.start : window.stop]), counted) for window, counted in windows]
    poses = torch.cat([output.poses[0, counted] for output, counted in outputs])
    torch.testing.assert_close(torch.stack([each.joints for each in tracked]), poses, **CLOSE)
    peaks = torch.cat([output.heatmap_logits[0, counted] for output, counted in outputs]).sigmoid().amax((-2, -1))
    torch.testing.assert_close(torch.stack([each.confidence for each in tracked]), peaks, **CLOSE)


def test_gaps_and_short_videos_are_told_in_one_remark_each():
    tracker = ClipTracker(clip_network(WINDOWED), RIG, "tiny")
    gap, short = tracker.remarks_on(NAMES)
    assert gap.startswith("in the frame numbers there is a gap before 'anna/s1/000012'")
    assert short.startswith("1 of 3 videos are shorter than the 8 frames that 'tiny' looks at together (3 at the")
    assert len(ClipTracker(clip_network(CAUSAL), RIG).remarks_on(NAMES)) == 1  # it has no window to fill
    assert not tracker.remarks_on(NAMES[-9:])
    with pytest.raises(UserError, match="'left' has no number"):
        tracker.remarks_on(["left", "right"])


def test_a_video_as_a_list_of_images():
    model, images = clip_network(replace(WINDOWED, skeleton="ego4view")), video(WINDOW)
    clip = ClipTracker(model, RIG)(images, RIG)
    output = whole(model, images)
    torch.testing.assert_close(clip.joints, output.poses[0], **CLOSE)
    assert clip.confidence.shape == (WINDOW, 16)
    assert clip.confidence[:, 0].equal(clip.confidence[:, 1])  # the head has no heatmap
    with pytest.raises(UserError, match="no frame"):
        ClipTracker(model, RIG)([], RIG)


def test_images_of_another_lens_are_re_rendered():
    """The whole picture of EgoPW's camera, of which the network knows the square in the middle."""
    tracker = ClipTracker(clip_network(WINDOWED), RIG, "tiny")
    y, x = np.mgrid[:1024, :1280]
    picture = np.stack((x / 5, y / 4, np.full_like(x, 255)), axis=-1).astype(np.uint8)
    square = np.ascontiguousarray(picture[:, 128:-128])
    retake = tracker.network.cameras.retake
    from_whole = retake([{"front": picture}], shipped("egopw")).images[0, 0].int()
    from_square = retake([{"front": square}], RIG).images[0, 0].int()
    seen = from_whole[2] > 250  # black beyond the lens's field of view
    assert seen.float().mean() > 0.7
    assert (from_whole - from_square)[:, seen].abs().max() <= 3
    with pytest.warns(UserWarning, match=r"re-rendered .*front \(\d+% covered\)"):
        assert tracker([picture], shipped("egopw")).joints.isfinite().all()


def test_poses_are_in_the_device_frame_of_the_users_rig():
    """A camera that sits elsewhere on the device, with the same lens: the same pictures show the same pose to it."""
    tracker, images = ClipTracker(clip_network(WINDOWED), RIG), video(WINDOW)
    T_camera_device = rigid(axis_angle_to_matrix(torch.tensor([0.05, 0.1, 0.0])), torch.tensor([0.1, -0.2, 0.3]))
    moved = RIG.with_extrinsics(T_camera_device[None])
    seen_by_camera = tracker(images, RIG).joints  # there device and camera frame are one
    joints = tracker(images, moved).joints
    torch.testing.assert_close(joints @ T_camera_device[:3, :3].T + T_camera_device[:3, 3], seen_by_camera, **CLOSE)


def test_weights_open_as_what_they_are(tmp_path):
    folder = save_clip_network(tmp_path / "clip")
    tracker = open_tracker(folder)
    assert isinstance(tracker, ClipTracker)
    assert tracker.model_id == "clip"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.stream(RIG)
    (folder / "rig.json").unlink()
    published = ClipTracker.from_pretrained(folder)
    assert not published.remarks(shipped("egopw"))  # whole images of 1280x1024, squeezed into the network's square
    with pytest.raises(UserError, match="looks along time: use ClipTracker"):
        PoseTracker.from_pretrained(folder)
    single = save_tiny(tmp_path / "single")
    assert isinstance(open_tracker(single), PoseTracker)
    with pytest.raises(UserError, match="takes single frames: use PoseTracker"):
        ClipTracker.from_pretrained(single)
