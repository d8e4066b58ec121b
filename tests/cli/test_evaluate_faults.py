"""`egorear evaluate --faults` and `--view-sets` through the command's front door."""

import csv
import json

import numpy as np
import pytest
from tests.people import STANDING, save_tiny, save_tiny_egocap, write_dataset

from egorear.cli.main import main
from egorear.geometry.skeleton import EGO4VIEW
from egorear.poses import Poses


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("data") / "data"))


def refused(capsys, *argv) -> str:
    """Runs a command that must fail with exit code 2 and returns its one sentence."""
    assert main(["evaluate", *map(str, argv)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("egorear evaluate: error: ")
    assert error.count("\n") == 0
    return error


def test_faults_are_told_alike_on_the_terminal_as_json_csv_and_plot(tmp_path, weights, data, capsys):
    argv = ["evaluate", "--faults", "--data", data, "--weights", weights, "--out", str(tmp_path / "out")]
    assert main([*argv, "--json", "--csv", str(tmp_path / "table.csv")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out/faults.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    # Three frames: none can be three late, and the third is the one that two others precede.
    assert report["frames"] == 1
    assert len(rows) == 1 + 12 + 2 + 2 * 4 + 20 + 3 + 3
    assert rows["none"]["change_mm"]["value"] == 0
    assert rows["lost: back_left"]["change_mm"]["value"] != 0
    assert rows["extrinsics 5°: every camera"]["change_mm"]["value"] != 0
    text = (tmp_path / "table.csv").read_text()
    assert text == (tmp_path / "out/faults.csv").read_text()
    table = {row["name"]: row for row in csv.DictReader(text.splitlines())}
    assert (
        float(table["late 2 frames: front_left"]["mpjpe_mm"]) == rows["late 2 frames: front_left"]["mpjpe_mm"]["value"]
    )
    assert (tmp_path / "out/faults.png").stat().st_size > 10_000
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/clips").iterdir()}
    assert len(before) == 1
    assert main(argv) == 0
    shown = capsys.readouterr().out
    for words in ("tiny: 1 frames of 1 sequences", "swapped: back_left, back_right", "late 2 frames: front_left"):
        assert words in shown
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/clips").iterdir()} == before


def test_view_sets_are_fifteen_rows(tmp_path, weights, data, capsys):
    argv = ["evaluate", "--view-sets", "--data", data, "--weights", weights, "--limit", "0", "--out", str(tmp_path)]
    assert main([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], len(report["rows"])) == (3, 15)
    assert report["rows"][-1]["name"] == "front_left, front_right, back_left, back_right"
    assert len({row["mpjpe_mm"]["value"] for row in report["rows"]}) == 15
    assert (tmp_path / "view-sets.csv").exists()
    assert main(argv) == 0
    assert "upper mm" in capsys.readouterr().out


def test_a_folder_of_other_weights_is_refused(tmp_path, weights, data, capsys):
    out = tmp_path / "out"
    argv = ["--view-sets", "--data", data, "--out", out]
    assert main(["evaluate", *map(str, argv), "--weights", weights]) == 0
    capsys.readouterr()
    other = save_tiny(tmp_path / "tiny")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config, indent=4))
    assert "'weights' differs" in refused(capsys, *argv, "--weights", other)
    assert "'faults' differs" in refused(capsys, "--faults", *argv[1:], "--weights", weights, "--limit", "3")


def test_a_score_tells_how_far_the_confidence_can_be_believed(tmp_path, data, capsys):
    joints = np.stack([STANDING.numpy() + 0.01 * index for index in range(3)])
    joints[:, 6, 1] += 0.2
    confidence = np.full((3, 16), 0.8, np.float32)
    confidence[:, 6] = 0.1
    names = [f"anna/s1/f{index}" for index in range(3)]
    poses = Poses(joints, confidence, names, np.arange(3.0), "", "tiny", EGO4VIEW.names)
    poses.save(tmp_path / "poses.npz")
    argv = ["evaluate", str(tmp_path / "poses.npz"), "--data", data]
    assert main([*argv, "--json", "--csv", str(tmp_path / "table.csv")]) == 0
    told = json.loads(capsys.readouterr().out)["confidence"]
    assert told["auroc"] == 1
    assert told["correct"] == pytest.approx(15 / 16)
    assert told["ece"] == pytest.approx((15 * 0.2 + 0.1) / 16)
    first, *others = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert float(first["ece"]) == pytest.approx(told["ece"])
    assert not any(row["ece"] for row in others)
    assert main(argv) == 0
    assert "calibration error 0.194" in " ".join(capsys.readouterr().out.split())


def test_wrong_arguments_are_told_in_one_sentence(tmp_path, weights, data, capsys):
    common = ["--data", data, "--weights", weights]
    assert "exactly one of" in refused(capsys, *common)
    assert "exactly one of" in refused(capsys, "--faults", "--view-sets", *common)
    assert "exactly one of" in refused(capsys, "poses.npz", "--faults", *common)
    assert "--weights belongs to --faults" in refused(capsys, "poses.npz", *common)
    assert "--baseline belongs to the score" in refused(capsys, "--faults", *common, "--baseline", "mean-pose")
    assert "--limit is -1" in refused(capsys, "--faults", *common, "--limit", "-1")
    assert "no weights 'nothing'" in refused(capsys, "--faults", "--data", data, "--weights", "nothing")
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(capsys, "--faults", *common, "--out", tmp_path / "file" / "out")


def test_a_network_of_other_joints_is_refused_before_it_predicts(tmp_path, data, capsys):
    other = save_tiny_egocap(tmp_path / "egocap")
    told = refused(capsys, "--view-sets", "--data", data, "--weights", other, "--out", tmp_path / "out")
    assert "'egocap' answers 18 joints (Camera, Neck, LeftArm, …)" in told
    assert "tells 16 others (Head, Neck, LeftArm, …)" in told
