"""`egorear calibrate` through the command's front door."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.people import STANDING, pictures, save_tiny, save_tiny_egocap

import egorear
from egorear.cli.main import main
from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn
from egorear.poses import Poses
from egorear.tracking.calibration import Calibration, hash_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A validation split of two sequences, two frames each."""
    root, rig = tmp_path_factory.mktemp("data") / "rooms", ego4view_syn()
    writer = SynWriter(root, rig)
    for index in range(4):
        joints = (STANDING + 0.01 * index).numpy()
        truth = FrameTruth(joints, np.eye(4, dtype=np.float32), np.zeros((4, 16), np.uint8), "standing")
        writer.write("anna", f"s{index // 2}", f"f{index}", pictures(rig, index, (64, 64)), truth)
    writer.write_splits({"validation": ["anna"]})
    return root


@pytest.fixture
def weights(tmp_path):
    return save_tiny(tmp_path / "tiny")


def test_a_folder_gets_its_calibration_and_predict_uses_it(tmp_path, weights, data, capsys):
    predict = ["predict", str(data), "--split", "validation", "--weights", str(weights), "--out"]
    assert main([*predict, str(tmp_path / "raw")]) == 0
    capsys.readouterr()
    assert main(["calibrate", str(weights), "--data", str(data), "--batch", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in weights.iterdir()) == [
        "calibration.json", "config.json", "model.safetensors", "reliability.png"
    ]  # fmt: skip
    written = Calibration.load(weights)
    assert written.weights == hash_weights(weights)
    assert (written.raw, written.data, written.frames) == ("peaks", "rooms, validation", 4)
    assert result["cross_validated"] is True
    raw = Poses.load(tmp_path / "raw/poses.npz").confidence
    assert result["all_cameras"]["raw"]["mean_confidence"] == pytest.approx(raw.mean(), abs=1e-6)
    assert result["all_cameras"]["raw"]["ece"] == written.ece_before
    assert result["all_cameras"]["calibrated"]["ece"] == written.ece_after
    assert result["cameras_lost"]["raw"]["frames"] == 4
    assert main([*predict, str(tmp_path / "calibrated")]) == 0
    calibrated = Poses.load(tmp_path / "calibrated/poses.npz")
    # The random network is nowhere near the truth, and its calibrated confidence says so.
    share = result["all_cameras"]["raw"]["correct"]
    assert abs(calibrated.confidence.mean() - share) < abs(raw.mean() - share)


def test_one_sequence_is_not_called_cross_validated(tmp_path, weights, data, capsys):
    argv = ["calibrate", str(weights), "--data", str(data), "--limit", "1", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "one sequence only" in out
    assert "cross-validated" not in out
    assert Calibration.load(tmp_path / "out").ece_after is None
    assert not (weights / "calibration.json").exists()


def test_shipped_weights_are_never_written_unasked(tmp_path, weights, data, capsys):
    shipped = Path(egorear.__file__).parent / "weights" / "egorear-nano"
    for name in ("egorear-nano", str(shipped)):
        assert main(["calibrate", name, "--data", str(data)]) == 2
        assert "--out is missing" in capsys.readouterr().err
    assert not (shipped / "reliability.png").exists()
    assert main(["calibrate", str(weights), "--data", str(tmp_path / "none")]) == 2
    assert main(["calibrate", str(weights), "--data", str(data), "--limit", "0"]) == 2
    assert "--limit is 0" in capsys.readouterr().err
    assert not (weights / "calibration.json").exists()


def test_only_ego4views_joints_are_calibrated(tmp_path, data, capsys):
    """The file holds those; with 18 rows it could not be read, nor the weights beside it."""
    other = save_tiny_egocap(tmp_path / "egocap")
    assert main(["calibrate", str(other), "--data", str(data)]) == 2
    assert "'egocap' answers other joints than Ego4View's 16" in capsys.readouterr().err
    assert not (other / "calibration.json").exists()
