"""Any network on live images: the same poses as on recorded ones, and lost cameras."""

import pytest
import torch
from tests.clips import CAUSAL, WINDOWED, clip_network, square_rig, video
from tests.people import pictures, save_tiny, two_camera_rig

from egorear.tracking.clip_tracker import ClipTracker
from egorear.tracking.live import LiveTracker
from egorear.tracking.tracker import PoseTracker

RIG, MONO = two_camera_rig(), square_rig()


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return PoseTracker.from_pretrained(save_tiny(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture(params=[WINDOWED, CAUSAL], ids=["windowed", "causal"])
def clip(request):
    return ClipTracker(clip_network(request.param), MONO, "tiny")


def test_single_frames(single):
    live = LiveTracker(single, RIG, pictures(RIG, 7))
    assert "lacks back_left, back_right" in live.remarks[0]
    assert live.skeleton is single.skeleton
    for seed in range(2):
        pose = live.push(pictures(RIG, seed))
        expected = single(pictures(RIG, seed), RIG)
        assert torch.equal(pose.joints, expected.joints)
        assert torch.equal(pose.confidence, expected.confidence)


def test_a_lost_camera_of_two_and_both(single, recwarn):
    live = LiveTracker(single, RIG)
    one = {**pictures(RIG), "front_right": None}
    assert torch.equal(live.push(one).joints, single(one, RIG).joints)
    assert live.push(dict.fromkeys(RIG.views)) is None
    assert live.push(one) is not None


def test_a_network_that_looks_along_time_answers_each_frame_from_those_so_far(clip, recwarn):
    images = video(12)
    live = LiveTracker(clip, MONO, {"front": images[-1]})
    stream = clip.stream(MONO)
    for image in images:
        (expected,) = stream.push(image)
        assert torch.equal(live.push({"front": image}).joints, expected.joints)


def test_after_a_lost_camera_another_video_begins(clip, recwarn):
    images = video(6)
    live, fresh = LiveTracker(clip, MONO), LiveTracker(clip, MONO)
    for image in images:
        live.push({"front": image})
    assert live.push({"front": None}) is None
    assert torch.equal(live.push({"front": images[0]}).joints, fresh.push({"front": images[0]}).joints)
    assert not recwarn.list


def test_without_an_image_to_warm_up_with(clip, single):
    assert LiveTracker(clip, MONO, {"front": None}).push({"front": video(1)[0]}) is not None
    assert LiveTracker(single, RIG, dict.fromkeys(RIG.views)).push(pictures(RIG)) is not None
