"""A stream gives what windows give, each frame once, with bounded memory, and nothing across a gap."""

import gc
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clips import CAUSAL, CLIP_NETWORKS, SPATIAL, WINDOW, WINDOWED, clip_network, square_rig, video

from egorear.datasets.windows import covering
from egorear.errors import UserError
from egorear.models.images import normalize
from egorear.tracking import PoseStream
from egorear.tracking.gaps import GapWatch

RIG = square_rig()
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
WINDOW_NETWORKS = ("windowed", "pyramid", "motion only", "ego4view")


def tensor_of(images):
    return normalize(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))


@torch.no_grad()
def whole(model, images):
    """The network's own answer for these frames as one window."""
    return model(tensor_of(images)[None]).poses[0]


def ending_at(model, images, end):
    """The window of at most T frames that ends before `end`, as documented, by the network itself; its poses."""
    window = images[max(0, end - WINDOW) : end]
    missing = WINDOW - len(window) if model.config.motion.form == "pyramid" else 0
    return whole(model, [window[0]] * missing + window)[missing:]


def streamed_poses(stream, images):
    """What the stream says of all frames, after checking that each was answered once and in order."""
    poses = [pose for image in images for pose in stream.push(image)] + stream.finish()
    assert [pose.frame.number for pose in poses] == list(range(len(images)))
    return poses


def streamed(stream, images):
    """All frames' poses, "T J 3"."""
    return torch.stack([pose.joints for pose in streamed_poses(stream, images)])


@pytest.mark.parametrize("name", ["causal", "spatial"])
def test_what_needs_no_later_frame_is_answered_at_once_and_as_the_whole_video(name):
    model, images = clip_network(CLIP_NETWORKS[name]), video(30)
    stream = PoseStream(model, RIG)
    poses = []
    for number, image in enumerate(images):
        (pose,) = stream.push(image)
        assert pose.frame.number == number
        assert pose.waited == 0
        poses.append(pose.joints)
    assert not stream.finish()
    expected = whole(model, images)
    assert expected.std(dim=0).min() > 1e-4  # else a stream that repeated itself would pass
    torch.testing.assert_close(torch.stack(poses), expected, **CLOSE)


@pytest.mark.parametrize("name", WINDOW_NETWORKS)
@pytest.mark.parametrize("frames", [3, WINDOW, 2 * WINDOW, 2 * WINDOW + 3])
def test_windows_side_by_side_are_the_windowed_run(name, frames):
    """hop = T: exactly the windows of `datasets.windows.covering`, its moved-back last one included."""
    model, images = clip_network(CLIP_NETWORKS[name]), video(frames)
    poses = streamed(PoseStream(model, RIG, hop=WINDOW), images)
    expected = [ending_at(model, images, window.stop)[counted] for window, counted in covering([range(frames)], WINDOW)]
    torch.testing.assert_close(poses, torch.cat(expected), **CLOSE)


@given(st.integers(1, 14), st.integers(0, WINDOW - 1), st.integers(1, WINDOW), st.sampled_from(["windowed", "pyramid"]))
@settings(deadline=None, max_examples=8)
def test_each_frame_comes_from_the_window_that_the_documents_tell(frames, delay, hop, name):
    if delay + hop > WINDOW:
        hop = WINDOW - delay
    model, images = clip_network(CLIP_NETWORKS[name]), video(frames)
    stream, poses = PoseStream(model, RIG, delay=delay, hop=hop), []
    for number, image in enumerate(images):
        given_now = stream.push(image)
        # Of whole hops, those that have `delay` frames after them.
        assert len(poses) + len(given_now) == max(0, number + 1 - delay) // hop * hop
        poses += given_now
    poses += stream.finish()
    assert [pose.frame.number for pose in poses] == list(range(frames))
    for number, pose in enumerate(poses):
        end = min(frames, (number // hop + 1) * hop + delay)
        window = ending_at(model, images, end)
        torch.testing.assert_close(pose.joints, window[len(window) - (end - number)], **CLOSE)


@pytest.mark.parametrize("name", ["windowed", "causal", "spatial"])
def test_a_gap_never_lies_inside_a_window(name):
    """Three ways to tell of it; each side is as a video of its own, and one warning is given."""
    model, images = clip_network(CLIP_NETWORKS[name]), video(21)
    delay = 2 if name == "windowed" else 0
    halves = images[:11], images[11:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = torch.cat([streamed(PoseStream(model, RIG, delay=delay), half) for half in halves])

    def numbers(stream):
        return [p for i, image in enumerate(images) for p in stream.push(image, number=3 * (i + (i > 10)))]

    def timestamps(stream):
        jitter = np.random.default_rng(0).uniform(-0.005, 0.005, len(images))
        times = [i / 30 + jitter[i] + (i > 10) / 30 for i in range(len(images))]
        return [p for image, time in zip(images, times, strict=True) for p in stream.push(image, timestamp=time)]

    def lost_images(stream):
        return [p for image in (*halves[0], None, None, *halves[1]) for p in stream.push(image)]

    for way in (numbers, timestamps, lost_images):
        stream = PoseStream(model, RIG, delay=delay)
        with pytest.warns(UserWarning, match="frames are missing at") as warned:
            poses = way(stream) + stream.finish()
        assert len(warned) == stream.gaps == 1
        torch.testing.assert_close(torch.stack([pose.joints for pose in poses]), expected, **CLOSE)


def test_lost_frame_numbers_begin_a_new_window_each_and_are_told_once():
    model, images = clip_network(WINDOWED), video(12)
    stream = PoseStream(model, RIG)
    numbers = (0, 1, 2, 3, 6, 7, 8, 9, 11, 12, 3, 4)
    with pytest.warns(UserWarning, match="frames are missing at '000006'") as warned:
        assert [len(stream.push(image, number=number)) for image, number in zip(images, numbers, strict=True)] == [
            1
        ] * 12
    assert len(warned) == 1
    assert stream.gaps == 3  # 3 to 6, 9 to 11, and back to 3


def test_memory_is_bounded():
    """The number of tensors that are alive does not grow once the window and a causal network's reach are full."""

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    image = video(1)[0]
    for config, delay in ((WINDOWED, 3), (CAUSAL, 0)):
        stream = PoseStream(clip_network(config), RIG, delay=delay)
        counts = []
        for number in range(31):
            stream.push(image)
            if number in (12, 30):
                counts.append(alive())
        assert counts[0] == counts[1]


def test_answers_may_be_changed_by_who_asked_for_them():
    poses = streamed_poses(PoseStream(clip_network(WINDOWED), RIG), video(3))
    assert not any(tensor.is_inference() for pose in poses for tensor in (pose.joints, pose.confidence))


def test_image_networks_run_once_per_frame():
    for config in (WINDOWED, CAUSAL, SPATIAL):
        model = clip_network(config)
        seen = []
        model.heatmap_net.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(len(inputs[0])))
        streamed(PoseStream(model, RIG), video(12))
        assert seen == [1] * 12


def test_a_changed_resolution_is_resized_if_it_is_the_same_picture():
    model = clip_network(CAUSAL)
    small = video(6)
    large = [image.repeat(4, axis=0).repeat(4, axis=1) for image in small]
    mixed = [image if i < 3 else large[i] for i, image in enumerate(small)]
    torch.testing.assert_close(
        streamed(PoseStream(model, RIG), mixed), streamed(PoseStream(model, RIG), small), **CLOSE
    )
    stream = PoseStream(model, RIG)
    before = [stream.push(image)[0] for image in small[:3]]
    with pytest.raises(UserError, match="'front': the image is 48x32 but must have the aspect ratio of its camera"):
        stream.push(np.zeros((32, 48, 3), np.uint8))
    after = [stream.push(image)[0] for image in small[3:]]
    torch.testing.assert_close(
        torch.stack([pose.joints for pose in before + after]), streamed(PoseStream(model, RIG), small), **CLOSE
    )


def test_latency_is_waiting_and_computing():
    stream = PoseStream(clip_network(WINDOWED), RIG, delay=2)
    poses = [pose for i, image in enumerate(video(10)) for pose in stream.push(image, timestamp=100 + i / 10)]
    assert [pose.waited for pose in poses] == pytest.approx([0.2] * 8)
    rest = stream.finish()
    assert [pose.waited for pose in rest] == pytest.approx([0.1, 0.0])
    assert all(0 < pose.computed < 10 and pose.latency == pose.waited + pose.computed for pose in poses + rest)


def test_another_video_begins_after_finish():
    stream, images = PoseStream(clip_network(WINDOWED), RIG, delay=1), video(9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = [p for i, image in enumerate(images) for p in stream.push(image, i / 10, i, f"a{i}")] + stream.finish()
        again = [p for i, image in enumerate(images) for p in stream.push(image, i / 10, i, f"b{i}")] + stream.finish()
    assert [pose.frame.name for pose in again] == [f"b{i}" for i in range(9)]
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one.joints, other.joints)
    assert not stream.finish()


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (WINDOWED, {"delay": -1}, "'delay' is -1 and 'hop' is 1 but must be at least 0 and 1"),
        (WINDOWED, {"hop": 0}, "'hop' is 0"),
        (WINDOWED, {"delay": 4, "hop": 5}, "together at most the window of 8 frames"),
        (CAUSAL, {"delay": 2}, "needs no window: leave both out"),
        (replace(SPATIAL, embedding=None, decoder=None), {}, "makes no poses"),
    ],
)
def test_what_cannot_be_streamed_is_refused(config, arguments, message):
    with pytest.raises(UserError, match=message):
        PoseStream(clip_network(config), RIG, **arguments)


def test_a_timestamp_must_be_a_number():
    with pytest.raises(UserError, match="the timestamp is nan"):
        PoseStream(clip_network(SPATIAL), RIG).push(video(1)[0], timestamp=float("nan"))


@given(st.integers(1, 5), st.integers(2, 30), st.integers(0, 30), st.integers(1, 50))
def test_a_missing_number_is_a_gap_whatever_the_step(step, frames, lost, missing):
    watch = GapWatch()
    values = [step * i for i in range(frames)]
    values = values[:lost] + [value + step * missing for value in values[lost:]]
    told = [i for i, value in enumerate(values) if watch.is_after_gap(value)]
    if lost == 1 and frames > 2:
        assert told == [2]  # that the first step was the longer one is seen at the second
    else:
        assert told == ([lost] if 1 < lost < frames else [])


def test_the_document_runs(tmp_path):
    """The first Python block of docs/streaming.md, with weights and a camera of the test's."""
    text = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text()
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block is not None
    from tests.clips import save_clip_network

    from egorear.tracking import ClipTracker

    code = block[1].replace('"my_weights"', repr(str(save_clip_network(tmp_path / "weights"))))
    RIG.save(tmp_path / "rig.json")
    code = code.replace('"my_camera.json"', repr(str(tmp_path / "rig.json")))
    shown = []
    frames = [(image, i / 30) for i, image in enumerate(video(20))]
    exec(code, {"camera": frames, "show": shown.append})
    assert len(shown) == 20
    tracker = ClipTracker.from_pretrained(tmp_path / "weights")
    assert shown[0].joints.shape == (len(tracker.skeleton), 3)
