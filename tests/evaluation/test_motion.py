"""Which frames the motion is scored on, at which rate, and what `egorear evaluate` says of it."""

import csv
import json
from typing import Any

import numpy as np
import pytest

from egorear.cli.main import main
from egorear.datasets.frame import FrameTruth
from egorear.datasets.opening import open_dataset
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.evaluation.matching import match
from egorear.evaluation.motion import MotionScores, frame_times, motion
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.poses import Poses

FPS = 20.0
BODY = np.random.default_rng(0).uniform(-0.5, 0.5, (16, 3))
X = np.array((1.0, 0, 0))


class Walk:
    """Frames in memory that drift along x at 1 m/s; names are "anna/walk/NUMBER"."""

    skeleton = EGO4VIEW

    def __init__(self, numbers, sequence="anna/walk"):
        self.names = [f"{sequence}/{number:06d}" for number in numbers]
        self.places = BODY + np.array(numbers)[:, None, None] / FPS * X

    def joints(self, index):
        return self.places[index], None


def predicted(joints, names) -> Poses:
    """Poses of the joints of `EGO4VIEW`."""
    joints = np.asarray(joints, np.float32)
    confidence = np.ones(joints.shape[:2], np.float32)
    return Poses(joints, confidence, list(names), np.zeros(len(joints)), "", "tiny", EGO4VIEW.names)


def scored(truth, joints, times_s=None, fps: float | None = FPS, names=None) -> Any:
    """The report of predictions of a walk."""
    return motion(match(predicted(joints, names or truth.names), truth), truth.names, times_s, fps)


def test_a_standstill_misses_the_truths_velocity_and_nothing_else():
    truth = Walk(range(8))
    report = scored(truth, np.tile(BODY, (8, 1, 1)))
    assert (report.frames, report.runs, report.fps) == (8, 1, [FPS])
    assert report.overall.mpjve == pytest.approx(1000, rel=1e-4)
    assert report.overall.acceleration_error == pytest.approx(0, abs=1e-2)
    assert report.overall.jitter == 0
    assert report.overall.jitter_truth == pytest.approx(0, abs=1e-6)
    assert report.units == {
        "mpjve": "mm/s", "acceleration_error": "m/s²", "jitter": "m/s³", "jitter_truth": "m/s³"
    }  # fmt: skip


def test_a_hand_that_trembles_shows_in_its_rows_only():
    truth = Walk(range(8))
    joints = truth.places.copy()
    hand = EGO4VIEW.index("LeftHand")
    joints[:, hand, 1] += 0.001 * (-1.0) ** np.arange(8)
    report = scored(truth, joints, fps=None)
    assert report.units["jitter"] == "mm/frame³"
    assert report.fps == []
    assert report.joints["LeftHand"].mpjve == pytest.approx(2, abs=1e-3)
    assert report.joints["LeftHand"].acceleration_error == pytest.approx(4, abs=1e-3)
    assert report.joints["LeftHand"].jitter == pytest.approx(8, abs=1e-2)
    assert report.joints["LeftHand"].jitter_truth == pytest.approx(0, abs=1e-9)
    assert report.groups["hands"].mpjve == pytest.approx(1, abs=1e-3)
    assert report.overall.mpjve == pytest.approx(2 / 16, abs=1e-3)
    assert report.groups["lower"].mpjve == pytest.approx(0, abs=1e-3)


def shifted(truth, from_row):
    """The truth, and from that row on 1 m aside: a motion only if the row before belongs to the same run."""
    return truth.places + (np.arange(len(truth.names)) >= from_row)[:, None, None] * X


def test_nothing_is_counted_across_a_gap():
    without = Walk([0, 1, 2, 3, 4, 5])
    assert scored(without, shifted(without, 3)).overall.mpjve == pytest.approx(1000 * FPS / 5, rel=1e-4)
    # A frame that the dataset lacks, another sequence, and a frame without prediction each end a run.
    gap = Walk([0, 1, 2, 4, 5, 6])
    report = scored(gap, shifted(gap, 3))
    assert (report.frames, report.runs) == (6, 2)
    assert report.overall.mpjve == pytest.approx(0, abs=1e-2)
    two = Walk([0, 1, 2, 3, 4, 5])
    two.names = [name.replace("walk", "walk" if row < 3 else "run") for row, name in enumerate(two.names)]
    assert scored(two, shifted(two, 3)).overall.mpjve == pytest.approx(0, abs=1e-2)
    whole = Walk(range(7))
    rows = [0, 1, 2, 4, 5, 6]
    report = scored(whole, shifted(whole, 3)[rows], names=[whole.names[row] for row in rows])
    assert (report.frames, report.runs) == (6, 2)
    assert report.overall.mpjve == pytest.approx(0, abs=1e-2)


def test_a_gap_in_time_ends_a_run_and_the_rate_is_that_of_the_times():
    truth = Walk(range(6))
    times = np.array([0.0, 0.1, 0.2, 7.0, 7.1, 7.2])
    report = scored(truth, shifted(truth, 3), times, fps=None)
    assert (report.runs, report.fps, report.units["mpjve"]) == (2, [10.0], "mm/s")
    assert report.overall.mpjve == pytest.approx(0, abs=1e-2)
    still = scored(truth, np.tile(BODY, (6, 1, 1)), times, fps=None)
    assert still.overall.mpjve == pytest.approx(500, rel=1e-4)  # the same steps, taken twice as slowly
    backward = scored(truth, truth.places, times[::-1].copy(), fps=None)
    assert backward is None


def test_each_sequence_has_its_own_rate():
    slow, fast = Walk(range(4), "anna/slow"), Walk(range(4), "anna/fast")
    both = Walk(range(8))
    both.names, both.places = slow.names + fast.names, np.concatenate((slow.places, fast.places))
    times = np.concatenate((np.arange(4) / 10, np.arange(4) / 20))
    report = scored(both, np.tile(BODY, (8, 1, 1)), times, fps=None)
    assert report.fps == [10.0, 20.0]
    assert report.overall.mpjve == pytest.approx((500 + 1000) / 2, rel=1e-4)


def test_short_runs_have_no_higher_derivatives_and_single_frames_no_motion():
    truth = Walk(range(2))
    scores = scored(truth, truth.places + 1).overall
    assert scores == MotionScores(scores.mpjve, None, None, None)
    assert scores.mpjve == pytest.approx(0, abs=1e-2)
    truth = Walk(range(1))
    assert scored(truth, truth.places) is None


def test_frames_far_apart_or_without_order_are_no_video():
    truth = Walk(range(6))
    assert scored(truth, truth.places, np.arange(6) * 0.5, fps=None) is None
    every_other = [0, 2, 4]
    assert scored(truth, truth.places[every_other], names=[truth.names[row] for row in every_other]) is None
    truth.names = [f"anna/walk/{'abcdef'[row]}" for row in range(6)]
    assert scored(truth, truth.places) is None


def test_a_rate_that_is_none_or_known_already_is_refused():
    truth = Walk(range(4))
    for fps in (0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="must be a positive number"):
            scored(truth, truth.places, fps=fps)
    with pytest.raises(UserError, match="leave out --fps"):
        scored(truth, truth.places, np.arange(4) / 10, fps=10.0)


@pytest.fixture(scope="module", params=[True, False], ids=["timed", "untimed"])
def on_disk(request, tmp_path_factory):
    """Five frames, with times or without, and predictions whose left hand trembles by 2 mm from frame to frame."""
    folder = tmp_path_factory.mktemp("motion")
    rig, truth = ego4view_syn(), Walk(range(5))
    writer = SynWriter(folder / "data", rig)
    image = np.zeros((16, 16, 3), np.uint8)
    places = truth.places + np.array((0, 0, 0.8))
    for index in range(5):
        time = index / FPS if request.param else None
        frame = FrameTruth(places[index], np.eye(4), np.zeros((4, 16), np.uint8), "walk", timestamp_s=time)
        writer.write("anna", "walk", f"{index:06d}", dict.fromkeys(rig.views, image), frame)
    writer.write_splits({"test": ["anna"]})
    joints = places.copy()
    joints[:, EGO4VIEW.index("LeftHand"), 1] += 0.001 * (-1.0) ** np.arange(5)
    predicted(joints, truth.names).save(folder / "poses.npz")
    return request.param, folder


def test_the_command_shows_the_motion_at_the_datasets_rate(on_disk, tmp_path, capsys):
    timed, folder = on_disk
    dataset = open_dataset(folder / "data", "test")
    assert (frame_times(dataset, range(5)) is not None) == timed
    command = ["evaluate", str(folder / "poses.npz"), "--data", str(folder / "data")]
    rate = [] if timed else ["--fps", str(FPS)]
    assert main([*command, *rate, "--json", "--csv", str(tmp_path / "scores.csv")]) == 0
    report = json.loads(capsys.readouterr().out)["motion"]
    assert report["fps"] == [FPS]
    assert report["joints"]["LeftHand"]["mpjve"] == pytest.approx(2 * FPS, abs=0.1)  # files round to 1 µm
    assert report["joints"]["LeftHand"]["jitter"] == pytest.approx(0.008 * FPS**3, rel=1e-2)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    assert float(rows["group", "hands"]["mpjve (mm/s)"]) == report["groups"]["hands"]["mpjve"]
    assert rows["action", "walk"]["mpjve (mm/s)"] == ""
    assert main([*command, *rate]) == 0
    shown = capsys.readouterr().out
    assert "motion of 5 frames in 1 runs (at 20 frames/s)" in shown
    if timed:
        assert main([*command, "--fps", "20"]) == 2
        assert "leave out --fps" in capsys.readouterr().err
    else:
        assert main([*command, "--json"]) == 0
        per_frame = json.loads(capsys.readouterr().out)["motion"]
        assert per_frame["units"]["jitter"] == "mm/frame³"
        assert per_frame["joints"]["LeftHand"]["mpjve"] == pytest.approx(2, abs=0.01)
        assert main(command) == 0
        assert "rate unknown" in capsys.readouterr().out


def test_the_command_says_so_where_there_is_no_motion(on_disk, tmp_path, capsys):
    _, folder = on_disk
    poses = Poses.load(folder / "poses.npz")
    predicted(poses.joints[[0, 2]], [poses.frame_names[0], poses.frame_names[2]]).save(tmp_path / "poses.npz")
    command = ["evaluate", str(tmp_path / "poses.npz"), "--data", str(folder / "data")]
    assert main(command) == 0
    assert "motion: not scored" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["motion"] is None
