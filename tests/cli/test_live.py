"""`egorear live` through its front door, to a receiver at the other end of a real socket."""

import gc
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pythonosc.osc_packet import OscPacket
from tests.cameras import Bench, FakeCamera, NoCamera
from tests.clips import CAUSAL, MOTION_ONLY, save_clip_network, square_rig, video
from tests.people import pictures, save_tiny, two_camera_rig

from egorear.cli.live import Session
from egorear.cli.main import main
from egorear.outputs import osc
from egorear.poses import Poses
from egorear.tracking import PoseTracker, capture, live_source
from egorear.tracking.live import LivePose
from egorear.tracking.live_source import Moment
from egorear.tracking.smoothing import OneEuroFilter

RIG, SIZE = two_camera_rig(), (160, 120)
CAMERAS = ["front_left=camera:0", "front_right=/dev/video7"]
DOCS = Path(__file__).parents[2] / "docs" / "live.md"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Weights, rigs, and a recording of each kind of network."""
    folder = tmp_path_factory.mktemp("live")
    save_tiny(folder / "tiny")
    RIG.save(folder / "rig.json")
    for view in RIG.views:
        (folder / "frames" / view).mkdir(parents=True)
        for index in range(10):
            cv2.imwrite(str(folder / "frames" / view / f"{index}.png"), pictures(RIG, index)[view])
    save_clip_network(folder / "clip", CAUSAL)
    square_rig().save(folder / "square.json")
    (folder / "mono" / "front").mkdir(parents=True)
    for index, image in enumerate(video(10)):
        cv2.imwrite(str(folder / "mono" / "front" / f"{index}.png"), image)
    return folder


class Receiver(threading.Thread):
    """Everything that arrives at a port of its own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.udp.getsockname()[1]}"
        self.messages = []
        self.start()

    def run(self):
        while data := self.udp.recv(65536):
            self.messages += [(m.message.address, m.message.params) for m in OscPacket(data).messages]

    def of(self, address):
        """Arguments of the messages to that address, once all that was sent has arrived."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.udp.getsockname())
        self.join(5)
        return [params for found, params in self.messages if found == address]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.of("")
    receiver.udp.close()


@pytest.fixture
def bench(monkeypatch):
    """Puts prepared cameras where the command looks for them."""
    monkeypatch.setattr(capture, "RETRY_S", 0.05)
    monkeypatch.setattr(live_source, "LOST_S", 0.2)

    def place(left, right):
        monkeypatch.setattr(live_source, "open_device", Bench({"camera:0": left, "/dev/video7": right}))

    return place


def live(capsys, root, *more, sources=None, weights="tiny", rig="rig.json") -> dict:
    sources = sources or [str(root / "frames")]
    argv = ["live", *sources, "--rig", str(root / rig), "--weights", str(root / weights), "--json"]
    assert main([*argv, *map(str, more)]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *argv) -> str:
    assert main(["live", *map(str, argv)]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_what_is_received_is_what_is_kept(root, receiver, tmp_path, capsys):
    more = ["--osc", receiver.address, "--protocol", "joints", "--out", tmp_path, "--fps", "20"]
    result = live(capsys, root, *more)
    poses = Poses.load(tmp_path / "poses.npz")
    assert result["poses"] == str(tmp_path / "poses.npz")
    assert result["frames"] == len(poses) > 0
    assert result["frames"] + result["dropped"] == 10
    assert poses.model_id == "tiny"
    assert poses.rig_hash == RIG.hash()
    assert poses.frame_names[-1] == "9"
    np.testing.assert_allclose(poses.timestamps, [int(name) / 20 for name in poses.frame_names])
    sent = np.array(receiver.of("/egorear/pose"))
    np.testing.assert_array_equal(sent[:, 0], range(len(poses)))
    np.testing.assert_allclose(sent[:, 1], poses.timestamps, atol=1e-6)
    expected = np.concatenate((poses.joints, poses.confidence[..., None]), -1)
    np.testing.assert_array_equal(sent[:, 2:].astype(np.float32), expected.reshape(len(poses), -1))
    assert receiver.of("/egorear/joints")[0] == list(poses.joint_names)
    latency = result["latency_ms"]
    assert 0 < result["computing_ms"]["median"] <= latency["median"] <= latency["p95"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("raw", [False, True])
def test_poses_are_smoothed_unless_raw(root, tmp_path, capsys, raw):
    live(capsys, root, "--out", tmp_path, "--fps", "10", *["--raw"] * raw)
    poses = Poses.load(tmp_path / "poses.npz")
    tracker, smooth = PoseTracker.from_pretrained(root / "tiny"), OneEuroFilter()
    for name, seconds, joints in zip(poses.frame_names, poses.timestamps, poses.joints, strict=True):
        images = {view: picture[..., ::-1] for view, picture in pictures(RIG, int(name)).items()}  # as OpenCV wrote it
        own = tracker(images, RIG)
        np.testing.assert_array_equal(joints, own.joints if raw else smooth(own.joints, float(seconds), own.confidence))


def test_an_avatar_by_a_network_that_looks_along_time(root, receiver, capsys):
    more = {"sources": [f"front={root}/mono/front"], "weights": "clip", "rig": "square.json"}
    result = live(capsys, root, "--osc", receiver.address, "--fps", "20", **more)
    bones = receiver.of("/VMC/Ext/Bone/Pos")
    assert len(receiver.of("/VMC/Ext/OK")) == result["frames"] > 0
    assert {name for name, *_ in bones} == set(osc.UNITY_BONES.values()) - {"Head"}  # its 15 joints have no head
    assert np.isfinite([values for _, *values in bones]).all()


class Stage:
    """A source of black images that are 5 s old, a tracker that sees a pose in each. images: while they are kept."""

    def __init__(self, moments):
        self.moments, self.images = moments, []
        self.dropped, self.losses, self.remarks = 0, {}, []

    def __iter__(self):
        for number in range(self.moments):
            image = np.zeros((8, 8, 3), np.uint8)
            self.images.append(weakref.ref(image))
            yield Moment(str(number), {"front": image}, number / 30, time.monotonic() - 5)
            del image

    def push(self, images):
        return LivePose(torch.zeros(16, 3), torch.ones(16))


def test_latency_counts_from_the_arrival_of_the_images():
    stage = Stage(5)
    session = Session(stage, None, None)
    session.run(stage)
    assert min(session.latency) > 5
    assert max(session.computing) < 5


def test_a_run_without_an_end_keeps_no_images():
    stage = Stage(50)
    session = Session(stage, None, OneEuroFilter(), keeps=True)
    session.run(stage)
    gc.collect()
    assert len(session.kept) == 50
    assert not [image for image in stage.images if image() is not None]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_that_says_nothing_of_its_confidence_is_smoothed_as_one_that_is_sure(root, tmp_path, capsys):
    save_clip_network(tmp_path / "motion", MOTION_ONLY)
    more = {"sources": [f"front={root}/mono/front"], "weights": tmp_path / "motion", "rig": "square.json"}
    live(capsys, root, "--fps", "10", "--out", tmp_path, "--raw", **more)
    raw = Poses.load(tmp_path / "poses.npz")
    live(capsys, root, "--fps", "10", "--out", tmp_path, **more)
    poses, smooth = Poses.load(tmp_path / "poses.npz"), OneEuroFilter()
    assert not poses.confidence.any()
    assert raw.frame_names == poses.frame_names  # 10 a second is slow enough for any machine
    for seconds, before, after in zip(poses.timestamps, raw.joints, poses.joints, strict=True):
        np.testing.assert_allclose(after, smooth(torch.from_numpy(before), float(seconds)), atol=1e-6)


def test_a_camera_dies_and_comes_back(root, bench, receiver, capsys):
    bench([FakeCamera(SIZE, 0.02)], [FakeCamera(SIZE, 0.02, images=5), NoCamera(), FakeCamera(SIZE, 0.02)])
    argv = ["live", *CAMERAS, "--rig", str(root / "rig.json"), "--weights", str(root / "tiny"), "--json"]
    assert main([*argv, "--osc", receiver.address, "--seconds", "3"]) == 0
    out, error = capsys.readouterr()
    result = json.loads(out)
    assert result["losses"] == {"front_left": 0, "front_right": 1}
    assert result["frames"] > 5
    assert "note: no images of front_right; trying again" in error
    assert "note: images of front_right again" in error
    assert len(receiver.of("/VMC/Ext/OK")) == result["frames"]


def test_all_cameras_die(root, bench, capsys):
    bench([FakeCamera(SIZE, images=3), NoCamera()], [FakeCamera(SIZE, images=3), NoCamera()])
    result = live(capsys, root, "--seconds", "1.5", sources=CAMERAS)
    assert result["losses"] == {"front_left": 1, "front_right": 1}
    assert result["blind"] >= 2


def test_a_run_that_fails_keeps_the_poses_so_far(root, bench, tmp_path, capsys):
    """Another camera answers in place of the lost one."""
    bench([FakeCamera(SIZE, images=20), FakeCamera((120, 120))], [FakeCamera(SIZE)])
    argv = ["live", *CAMERAS, "--rig", str(root / "rig.json"), "--weights", str(root / "tiny"), "--seconds", "20"]
    assert main([*argv, "--out", str(tmp_path)]) == 2
    *_, note, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("egorear live: error: view 'front_left': the image is 120x120 but must have")
    assert note == f"note: {len(Poses.load(tmp_path / 'poses.npz'))} poses until then are in {tmp_path}/poses.npz"


def test_no_camera_is_there(root, bench, capsys):
    bench([NoCamera()], [NoCamera()])
    sentence = refused(capsys, *CAMERAS, "--rig", root / "rig.json", "--weights", root / "tiny")
    assert sentence == "egorear live: error: no camera gives images: front_left=camera:0, front_right=/dev/video7"


def test_opencv_has_nothing_to_add_to_a_camera_that_is_not_there():
    """In a process of its own: OpenCV reads the setting when it is imported."""
    command = [sys.executable, "-m", "egorear.cli.main", "live", "front=camera:98", "--rig", "egopw"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (2, "egorear live: error: no camera gives images: front=camera:98\n")


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_the_usual_end(root, bench, tmp_path, capsys, told):
    left = FakeCamera(SIZE, 0.02)
    bench([left], [FakeCamera(SIZE, 0.02)])

    def press():
        while left.count < 20:
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(os.getpid(), told)

    argv = ["live", *CAMERAS, "--rig", str(root / "rig.json"), "--weights", str(root / "tiny"), "--seconds", "60"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background was told to ignore it
    try:
        threading.Thread(target=press, daemon=True).start()
        assert main([*argv, "--out", str(tmp_path), "--show-latency", "--osc", "127.0.0.1:39539"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    summary, said = capsys.readouterr()
    assert "\nsending to 127.0.0.1:39539; Ctrl-C ends\n" in said
    poses = Poses.load(tmp_path / "poses.npz")
    assert summary.startswith(f"{len(poses)} poses in ")
    assert f"poses in {tmp_path / 'poses.npz'}" in summary
    assert left.released


def test_what_came_before_the_damage_is_kept(root, tmp_path, capsys):
    for view in RIG.views:
        (tmp_path / "frames" / view).mkdir(parents=True)
        for index in range(5):
            cv2.imwrite(str(tmp_path / "frames" / view / f"{index}.png"), pictures(RIG, index)[view])
    (tmp_path / "frames" / RIG.views[0] / "4.png").write_bytes(b"no image")
    argv = [tmp_path / "frames", "--rig", root / "rig.json", "--weights", root / "tiny", "--fps", "10"]
    assert "4.png" in refused(capsys, *argv, "--out", tmp_path)
    assert 0 < len(Poses.load(tmp_path / "poses.npz")) < 5


def test_rate_and_latency_are_shown_every_second(root, capsys):
    assert main(
        ["live", str(root / "frames"), "--rig", str(root / "rig.json"), "--weights", str(root / "tiny"), "--fps", "5",
         "--show-latency"]
    ) == 0  # fmt: skip
    said = capsys.readouterr()
    assert re.search(r"\d\.\d poses/s, latency \d+\.\d ms median, \d+\.\d ms 95 %, \d+ frames dropped", said.err)
    assert re.match(r"\d+ poses in \d\.\d s .*; latency .* ms median, .* computing .* ms 95 %\n$", said.out)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--osc", "39539"], "--osc is '39539' but must be HOST:PORT, as in 127.0.0.1:39539"),
        (["--seconds", "0"], "--seconds is 0.0 but must be a positive number"),
        (["--fps", "nan"], "--fps is nan but must be a positive number"),
        (["--out", "/dev/null/x"], "cannot write into the folder /dev/null/x: Not a directory"),
    ],
)
def test_wrong_options(root, capsys, more, sentence):
    argv = [root / "frames", "--rig", root / "rig.json", "--weights", root / "tiny"]
    assert refused(capsys, *argv, *more) == f"egorear live: error: {sentence}"


def test_python_osc_is_needed_only_to_send(root, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "egorear.outputs.osc")
    monkeypatch.setitem(sys.modules, "pythonosc.osc_bundle_builder", None)
    monkeypatch.setitem(sys.modules, "pythonosc", None)
    assert live(capsys, root, "--fps", "100")["frames"] > 0
    argv = [root / "nothing", "--rig", root / "rig.json", "--osc", "127.0.0.1:39539"]  # told before anything is read
    assert refused(capsys, *argv).endswith("needs the package 'pythonosc': pip install 'egorear[live]'")


def test_the_documented_commands_run(root, bench, capsys):
    """With the files of the document replaced by ours, and an end."""
    bench([FakeCamera(SIZE) for _ in range(4)], [FakeCamera(SIZE) for _ in range(4)])
    places = {
        "my_headset.json": root / "rig.json", "recordings/monday": root / "frames",
        "/dev/video2": "/dev/video7", "camera:2": "/dev/video7", "--out poses": f"--out {root}/poses",
    }  # fmt: skip
    commands = re.findall(r"^\$ egorear (live .*)$", DOCS.read_text(), re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        argv = shlex.split(re.sub("|".join(map(re.escape, places)), lambda found: str(places[found[0]]), command))
        assert main([*argv, "--weights", str(root / "tiny"), "--seconds", "0.3"]) == 0
        assert " poses in " in capsys.readouterr().out
