"""`egorear compare` through the command's front door."""

import csv
import json

import numpy as np
import pytest
from tests.people import STANDING, write_dataset

from egorear.cli.main import main
from egorear.geometry.skeleton import EGO4VIEW, EGOPW
from egorear.poses import Poses

FRAMES = 3
TRUTH = np.stack([(STANDING + 0.01 * index).numpy() for index in range(FRAMES)])
HAND = EGO4VIEW.index("LeftHand")


def save(path, hand_m, model_id, **changes):
    """The truth with the left hand that far off."""
    joints = TRUTH.copy()
    joints[:, HAND, 0] += hand_m
    fields = {
        "joints": joints.astype(np.float32),
        "confidence": np.ones((FRAMES, 16), np.float32),
        "frame_names": [f"anna/s1/f{index}" for index in range(FRAMES)],
        "timestamps": np.arange(float(FRAMES)),
        "rig_hash": "",
        "model_id": model_id,
        "joint_names": EGO4VIEW.names,
    }
    Poses(**fields | changes).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("compare")
    write_dataset(root / "data", FRAMES)
    save(root / "a.npz", 0.08, "spatial")
    save(root / "b.npz", 0.02, "full")
    return root


def compare(folder, *options, files=("a.npz", "b.npz")) -> int:
    return main(["compare", *(str(folder / name) for name in files), "--data", str(folder / "data"), *options])


def test_terminal_json_csv_and_plot_tell_the_same(folder, tmp_path, capsys):
    assert compare(folder, "--out", str(tmp_path / "out"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out/comparison.json").read_text())
    assert (report["schema"], report["runs"], report["frames"]) == ("egorear-comparison", ["spatial", "full"], FRAMES)
    difference = report["joints"]["LeftHand"]["mpjpe_mm"]["differences"]["full"]
    assert difference == {"value": pytest.approx(-60, abs=0.01), "low": None, "high": None}
    with (tmp_path / "out/comparison.csv").open(newline="") as file:
        rows = {(row["name"], row["measure"], row["run"]): row for row in csv.DictReader(file)}
    assert len(rows) == (len(EGO4VIEW.groups) + 16) * 2 * 2
    assert float(rows["LeftHand", "mpjpe_mm", "full"]["difference"]) == difference["value"]
    assert rows["LeftHand", "mpjpe_mm", "spatial"]["difference"] == ""
    assert (tmp_path / "out/comparison.png").stat().st_size > 10_000
    assert compare(folder, "--out", str(tmp_path / "out"), "--names", "without", "with [motion]") == 0
    shown = capsys.readouterr().out
    for words in ("LeftHand", "with [motion] - without (95 %)", "-60.0", "PA-MPJPE", "one recording", "comparison.csv"):
        assert words in shown


def test_runs_with_the_same_model_id_are_called_by_their_files(folder, tmp_path, capsys):
    for name, hand_m in (("x.npz", 0.01), ("y.npz", 0.02)):
        save(tmp_path / name, hand_m, "nano")
    files = [str(tmp_path / name) for name in ("x.npz", "y.npz")]
    assert main(["compare", *files, "--data", str(folder / "data"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == files


def test_joints_that_not_all_have_are_told(folder, tmp_path, capsys):
    keep = [EGO4VIEW.index(name) for name in EGOPW.names]
    parts = {"joints": TRUTH[:, keep].astype(np.float32), "confidence": np.ones((FRAMES, 15), np.float32)}
    save(tmp_path / "c.npz", 0, "fifteen", **parts, joint_names=EGOPW.names)
    assert compare(folder, files=("a.npz", tmp_path / "c.npz")) == 0
    assert "not compared: Head, which not all poses and the truth have" in capsys.readouterr().out


def test_bad_input_is_one_sentence(folder, tmp_path, capsys):
    save(tmp_path / "other.npz", 0, "other", frame_names=["anna/s1/f0", "anna/s1/f1", "bob"])
    save(tmp_path / "copy.npz", 0.08, "copy")
    joints = TRUTH[:, :9].astype(np.float32)
    few = {"joints": joints, "confidence": np.ones((FRAMES, 9), np.float32), "joint_names": EGO4VIEW.names[:9]}
    save(tmp_path / "few.npz", 0, "few", **few)
    with np.load(folder / "b.npz") as file:
        arrays = dict(file)
    arrays["joints"][0, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    for files, options, words in (
        (("a.npz", tmp_path / "other.npz"), (), "1 frames of spatial (first: 'anna/s1/f2') are not in other"),
        (("a.npz", tmp_path / "nan.npz"), (), "'joints' must be finite"),
        (("a.npz", tmp_path / "few.npz"), (), "few: the poses have no joint 'RightUpLeg'"),
        (("a.npz", tmp_path / "copy.npz"), (), "spatial and copy are the same poses"),
        (("a.npz", "data/../a.npz"), (), "is given twice"),
        (("a.npz",), (), "two or more poses.npz"),
        (("a.npz", tmp_path / "none.npz"), (), "none.npz"),
        (("a.npz", "b.npz"), ("--names", "one"), "--names must be 2 different names"),
        (("a.npz", "b.npz"), ("--seed", "-1"), "--seed is -1"),
    ):
        assert compare(folder, *options, files=files) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("egorear compare: error: ")
        assert words in error
        assert "\n" not in error
