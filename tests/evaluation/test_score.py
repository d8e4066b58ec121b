"""Scores of known errors, how frames are matched, and the command that prints them."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from egorear.cli.main import main
from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.evaluation.score import mean_pose, score
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, EGOPW
from egorear.poses import Poses

FRAMES = 4


class Truth:
    """Frames in memory: the first half walks, the rest tells no action."""

    names = [f"anna/1/{index}" for index in range(FRAMES)]  # noqa: RUF012
    skeleton = EGO4VIEW

    def __init__(self):
        self.poses = np.random.default_rng(0).uniform(-1, 1, (FRAMES, 16, 3))

    def joints(self, index):
        return self.poses[index], "walk" if index < FRAMES // 2 else None


def predicted(joints, names=None, joint_names=EGO4VIEW.names) -> Poses:
    return Poses(
        joints=np.asarray(joints, np.float32),
        confidence=np.ones(np.shape(joints)[:2], np.float32),
        frame_names=list(names or Truth.names),
        timestamps=np.arange(len(joints), dtype=np.float64),
        rig_hash="",
        model_id="tiny",
        joint_names=tuple(joint_names),
    )


def test_the_hard_part_of_a_benchmark_has_a_row_of_its_own():
    truth = Truth()
    truth.names = ["test_00000/take_000000/000000", *(f"test_hard_00000/hard_000000/{i:06d}" for i in range(3))]
    joints = truth.poses.copy()
    joints[1:, :, 0] += 0.1
    parts = score(predicted(joints, truth.names), truth).parts
    assert (parts["ordinary"].frames, parts["hard"].frames) == (1, 3)
    assert parts["ordinary"].mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert parts["hard"].mpjpe_mm == pytest.approx(100, abs=1e-3)
    assert score(predicted(truth.poses), Truth()).parts == {}


def test_a_hand_that_is_off_shows_in_its_rows_only():
    truth = Truth()
    joints = truth.poses.copy()
    joints[:2, EGO4VIEW.index("LeftHand"), 1] += 0.16
    report = score(predicted(joints), truth)
    assert report.joints["LeftHand"].mpjpe_mm == pytest.approx(80, abs=1e-3)
    assert report.joints["LeftHand"].pck == 50
    assert report.groups["hands"].mpjpe_mm == pytest.approx(40, abs=1e-3)
    assert report.groups["lower"].mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert report.overall.mpjpe_mm == pytest.approx(5, abs=1e-3)
    assert report.actions["walk"].mpjpe_mm == pytest.approx(10, abs=1e-3)
    assert (report.actions["walk"].frames, report.overall.frames) == (2, 4)
    assert report.overall == report.groups["all"]
    # The alignment shares the hand's error out among the joints.
    assert report.joints["LeftHand"].pa_mpjpe_mm < 80
    assert report.groups["lower"].pa_mpjpe_mm > 1


def test_frames_are_matched_by_name_not_by_place():
    truth = Truth()
    poses = predicted(truth.poses[::-1][:3], [*Truth.names[::-1][:2], "bob/1/0"])
    report = score(poses, truth)
    assert report.overall.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert report.without_pose == ["anna/1/0", "anna/1/1"]
    assert report.without_truth == ["bob/1/0"]


def test_joints_are_matched_by_name_and_others_ignored():
    truth = Truth()
    extra = np.concatenate((np.zeros((FRAMES, 1, 3)), truth.poses[:, ::-1]), 1)
    report = score(predicted(extra, joint_names=("Tail", *EGO4VIEW.names[::-1])), truth)
    assert report.overall.mpjpe_mm == pytest.approx(0, abs=1e-3)
    with pytest.raises(UserError, match="no joint 'LeftToeBase'"):
        score(predicted(truth.poses[:, :14], joint_names=EGO4VIEW.names[:14]), truth)


def test_poses_of_another_joint_set_are_scored_on_the_joints_that_both_have():
    truth = Truth()
    order = [EGO4VIEW.index(name) for name in EGOPW.names]
    joints = truth.poses[:, order] + np.array((0.01, 0, 0))
    report = score(predicted(joints, joint_names=EGOPW.names), truth, mean_pose(truth))
    assert report.joints_left_out == ["Head"]
    assert list(report.joints) == list(EGO4VIEW.names[1:])
    assert "head" not in report.groups
    assert report.groups["upper"].mpjpe_mm == pytest.approx(10, abs=1e-3)
    assert report.overall == report.groups["all"]
    # A head that is far off in the truth has no say, not in the alignment either, nor in the baseline.
    baseline = report.baseline
    truth.poses[:, 0] += 100
    again = score(predicted(joints, joint_names=EGOPW.names), truth, mean_pose(truth))
    assert again.overall.pa_mpjpe_mm == report.overall.pa_mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert again.baseline == baseline


def test_poses_may_have_more_joints_than_the_truth_and_the_mean_pose_another_order():
    class Fifteen(Truth):
        skeleton = EGOPW

        def joints(self, index):
            return self.poses[index, 1:][[EGO4VIEW.names[1:].index(name) for name in EGOPW.names]], None

    truth, train = Fifteen(), Truth()
    report = score(predicted(truth.poses), truth, mean_pose(train))
    assert report.joints_left_out == ["Head"]
    assert report.overall.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert report.baseline == score(predicted(truth.poses), truth, mean_pose(truth)).baseline
    with pytest.raises(UserError, match="the mean pose has no joint 'Head'"):
        score(predicted(train.poses), train, mean_pose(truth))


def test_joints_of_nobody_are_refused():
    class Camera(Truth):
        skeleton = replace(EGO4VIEW, groups={"head": (0,), "all": (0,)})

    with pytest.raises(UserError, match=r"none of the dataset's joints \(Head\)"):
        score(predicted(Truth().poses[:, :15], joint_names=EGOPW.names), Camera())


def test_poses_that_match_nothing_or_twice_are_refused():
    truth = Truth()
    with pytest.raises(UserError, match=r"first: 'bob'.*first: 'anna/1/0'"):
        score(predicted(truth.poses[:1], ["bob"]), truth)
    with pytest.raises(UserError, match="'bob' occurs more than once in the poses"):
        score(predicted(truth.poses[:2], ["bob", "bob"]), truth)


def test_the_mean_pose_is_the_best_constant_and_is_scored_on_the_same_frames():
    truth = Truth()
    np.testing.assert_allclose(mean_pose(truth).joints, truth.poses.mean(0))
    one_frame = predicted(truth.poses[:1], Truth.names[:1])
    baseline = score(one_frame, truth, mean_pose(truth)).baseline
    assert baseline is not None
    expected = 1000 * np.linalg.norm(truth.poses.mean(0) - truth.poses[0], axis=-1).mean()
    assert (baseline.frames, baseline.mpjpe_mm) == (1, pytest.approx(expected))


@pytest.fixture
def on_disk(tmp_path):
    """A dataset of two frames and predictions 10 mm off."""
    rig = ego4view_syn()
    writer = SynWriter(tmp_path / "data", rig)
    image = np.zeros((16, 16, 3), np.uint8)
    joints = np.random.default_rng(1).uniform((-0.4, 0.1, -0.2), (0.4, 1.4, 0.6), (2, 16, 3))
    for index in range(2):
        truth = FrameTruth(joints[index], np.eye(4), np.zeros((4, 16), np.uint8), f"[jump]{index}")
        writer.write("anna", "1", f"{index}", dict.fromkeys(rig.views, image), truth)
    writer.write_splits({"train": ["anna"], "test": ["anna"]})
    predicted(joints + np.array((0.01, 0, 0)), ["anna/1/0", "anna/1/1"]).save(tmp_path / "poses.npz")
    return tmp_path


def evaluate(folder, *options) -> int:
    return main(["evaluate", str(folder / "poses.npz"), "--data", str(folder / "data"), *options])


def test_the_command_tells_the_same_as_json_csv_and_text(on_disk, capsys):
    table = on_disk / "scores.csv"
    assert evaluate(on_disk, "--baseline", "mean-pose", "--json", "--csv", str(table)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["overall"]["mpjpe_mm"] == pytest.approx(10, abs=0.01)
    assert report["overall"]["pa_mpjpe_mm"] == pytest.approx(0, abs=0.01)
    assert report["baseline"]["mpjpe_mm"] > 50
    with table.open(newline="") as file:
        rows = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    assert float(rows["overall", "all"]["mpjpe_mm"]) == report["overall"]["mpjpe_mm"]
    assert len(rows) == 1 + 1 + len(EGO4VIEW.groups) + 16 + 2
    assert evaluate(on_disk) == 0
    text = capsys.readouterr().out
    for word in ("tiny: 2 frames", "10.00", "LeftToeBase", "[jump]1"):
        assert word in text


def test_the_command_says_which_joints_are_left_out(on_disk, capsys):
    poses = Poses.load(on_disk / "poses.npz")
    keep = [EGO4VIEW.index(name) for name in EGOPW.names]
    parts = {"joints": poses.joints[:, keep], "confidence": poses.confidence[:, keep], "joint_names": EGOPW.names}
    Poses(**vars(poses) | parts).save(on_disk / "poses.npz")
    assert evaluate(on_disk, "--json", "--baseline", "mean-pose") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["joints_left_out"] == ["Head"]
    assert report["overall"]["mpjpe_mm"] == pytest.approx(10, abs=0.01)
    assert report["confidence"]["correct"] == 1
    assert len(report["motion"]["joints"]) == 15
    assert evaluate(on_disk) == 0
    assert "not scored: Head, which the poses and the truth do not both have" in capsys.readouterr().out


def test_truth_is_scored_without_images(on_disk):
    for image in on_disk.rglob("*.jpg"):
        image.unlink()
    assert evaluate(on_disk) == 0


def test_bad_input_is_one_sentence_and_exit_code_2(on_disk, capsys):
    assert evaluate(on_disk, "--fps", "0") == 2
    assert "--fps is 0 but must be a positive number" in capsys.readouterr().err
    assert evaluate(on_disk, "--split", "validation") == 2
    assert "split 'validation' has no frame" in capsys.readouterr().err
    (on_disk / "poses.npz").write_bytes(b"x")
    assert evaluate(on_disk) == 2
    assert capsys.readouterr().err.count("\n") == 1
