"""`egorear predict` with a network that looks along time."""

import json

import cv2
import numpy as np
import pytest
from tests.clips import CAUSAL, WINDOW, save_clip_network, square_rig, video
from tests.people import save_tiny

from egorear.cli.main import main
from egorear.cli.predict_clip import StreamReport
from egorear.geometry.skeleton import EGOPW
from egorear.poses import Poses

FRAMES = 2 * WINDOW + 3


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Weights, rig file, and images of which number 5 is missing."""
    root = tmp_path_factory.mktemp("recording")
    save_clip_network(root / "tiny")
    square_rig().save(root / "rig.json")
    (root / "frames" / "front").mkdir(parents=True)
    for number, image in enumerate(video(FRAMES + 1)):
        if number != 5:
            cv2.imwrite(str(root / "frames" / "front" / f"{number:03d}.png"), image)
    return root


def predict(root, out, *more) -> dict:
    argv = [str(root / "frames"), "--rig", str(root / "rig.json"), "--weights", str(root / "tiny"), "--out", str(out)]
    assert main(["predict", *argv, "--json", *more]) == 0
    return Poses.load(out / "poses.npz")


def test_a_folder_with_a_gap_by_windows_and_as_a_stream(recording, tmp_path, capsys):
    poses = predict(recording, tmp_path / "a", "--overlays", "--batch", "3")
    said = capsys.readouterr()
    result = json.loads(said.out)
    gap, short = result["remarks"]
    assert "gap before '006'" in gap
    assert "1 of 2 videos are shorter than the 8 frames" in short
    assert said.err.count("gap before") == 1
    assert poses.joint_names == EGOPW.names
    assert poses.frame_names == [f"{i:03d}" for i in range(FRAMES + 1) if i != 5]
    assert len(list((tmp_path / "a" / "overlays").iterdir())) == FRAMES
    assert (poses.confidence > 0).all()

    hop = str(WINDOW)
    streamed = predict(recording, tmp_path / "b", "--stream", "--hop", hop, "--fps", "10")
    stream = json.loads(capsys.readouterr().out)["stream"]
    np.testing.assert_allclose(streamed.joints, poses.joints, atol=1e-5)
    assert streamed.frame_names == poses.frame_names
    assert stream["hop"] == WINDOW
    assert 0 < stream["computing_ms"]["median"] <= stream["computing_ms"]["p95"]
    assert stream["latency_ms"]["p95"] >= 700  # the first of eight frames waits for seven, at 10 frames a second


def test_a_video_shorter_than_the_window(recording, tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 64))
    for image in video(5, 64):
        writer.write(image)
    writer.release()
    argv = [f"front={tmp_path}/v.mp4", "--rig", str(recording / "rig.json"), "--weights", str(recording / "tiny")]
    assert main(["predict", *argv, "--out", str(tmp_path / "out")]) == 0
    assert "note: the video is shorter than the 8 frames that 'tiny' looks at together (5" in capsys.readouterr().err
    assert len(Poses.load(tmp_path / "out" / "poses.npz")) == 5
    assert main(["predict", *argv, "--out", str(tmp_path / "out"), "--stream"]) == 0
    assert "latency " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        ("image", ["--stream"], "--stream is for networks that look along time: 'image' takes single frames"),
        ("tiny", ["--delay", "3"], "--delay and --hop belong to --stream"),
        ("tiny", ["--stream", "--delay", "8"], "'delay' is 8 and 'hop' is 1 but"),
        ("causal", ["--stream", "--hop", "2"], "needs no window"),
    ],
)
def test_what_does_not_fit_is_told(recording, tmp_path, capsys, weights, arguments, message):
    folder = recording / weights
    if weights == "image":
        folder = save_tiny(tmp_path / "image")
    elif weights == "causal":
        folder = save_clip_network(tmp_path / "causal", CAUSAL)
    argv = [str(recording / "frames"), "--rig", str(recording / "rig.json"), "--weights", str(folder)]
    assert main(["predict", *argv, "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out" / "poses.npz").exists()


def test_a_resolution_that_changes_is_resized_or_told_of_by_frame(recording, tmp_path, capsys):
    frames = tmp_path / "front"
    frames.mkdir()
    for number, shape in enumerate(((64, 64), (32, 32), (48, 64))):  # height, width
        cv2.imwrite(str(frames / f"{number:03d}.png"), np.zeros((*shape, 3), np.uint8))
    argv = ["--rig", str(recording / "rig.json"), "--weights", str(recording / "tiny"), "--out", str(tmp_path / "out")]
    for more in ([], ["--stream"]):
        assert main(["predict", f"front={frames}", *argv, *more]) == 2
        assert "frame '002' of view 'front' is 64x48 but must have the aspect ratio" in capsys.readouterr().err
    assert not (tmp_path / "out" / "poses.npz").exists()
    (frames / "002.png").unlink()
    assert main(["predict", f"front={frames}", *argv]) == 0
    assert len(Poses.load(tmp_path / "out" / "poses.npz")) == 2


def test_the_95_percent_are_of_the_values():
    report = StreamReport(2, 1, [0.1] * 20, [0.001 * i for i in range(1, 21)])
    assert report.row()["computing_ms"] == {"median": 10.5, "p95": 19.0}
    assert report.row()["latency_ms"] == {"median": 110.5, "p95": 119.0}
    assert report.text().startswith("latency 110.5 ms median, 119.0 ms 95 %; of it computing 10.5 ms median")
