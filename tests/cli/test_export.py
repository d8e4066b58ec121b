"""`egorear export` through the command's front door: what it writes answers as torch does, or is not kept."""

import json
import re
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.clips import CAUSAL, save_clip_network
from tests.people import TINY, pictures, two_camera_rig, write_dataset

from egorear.cli.main import main
from egorear.errors import UserError
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.models import MODELS
from egorear.models.egorear import EgoRear
from egorear.models.pretrained import save_pretrained
from egorear.tracking import PoseTracker
from egorear.tracking.calibration import Calibration, Platt, hash_weights
from egorear.tracking.opening import open_tracker
from egorear.tracking.tracker import TrackedPose

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
RIG = ego4view_syn()
# Exporting takes a time in proportion to the operations of the graph: as few as there are kinds of them.
QUICK = replace(
    TINY,
    views=("front_left", "front_right"),
    refiner=None,
    lifter=replace(TINY.lifter, layers=1),
    confidence=True,
)


def save_calibrated(folder, seed=0):
    torch.manual_seed(seed)
    save_pretrained(EgoRear(QUICK), folder)
    platt = Platt(torch.full((16,), 0.5), torch.linspace(-1, 1, 16), torch.full((2, 16), -1.0))
    Calibration(platt, QUICK.views, "head", hash_weights(folder), "made up", 1, 0.5, None).save(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "rooms")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, data):
    """The weights' folder and the export's."""
    root = tmp_path_factory.mktemp("export")
    weights, folder = save_calibrated(root / "quick"), root / "onnx"
    assert main(["export", str(weights), "--out", str(folder), "--data", str(data)]) == 0
    return weights, folder


def assert_same(a: TrackedPose, b: TrackedPose):
    torch.testing.assert_close(a.joints, b.joints, atol=1e-4, rtol=0)
    torch.testing.assert_close(a.confidence, b.confidence, atol=1e-4, rtol=0)
    torch.testing.assert_close(a.joints_2d, b.joints_2d, atol=1e-2, rtol=0, equal_nan=True)
    torch.testing.assert_close(a.scores_2d, b.scores_2d, atol=1e-4, rtol=0)
    assert a.views == b.views


def test_the_file_says_what_it_is(exported):
    _, folder = exported
    assert sorted(path.name for path in folder.iterdir()) == ["export.json", "model.onnx"]
    about = json.loads((folder / "export.json").read_text())
    assert about["parity"]["joints_max_mm"] < 0.1
    assert about["latency"]["onnx_ms"] > 0
    assert Rig.from_dict(about["rig"]).hash() == RIG.select(QUICK.views).resized(64, 64).hash() == about["rig_hash"]
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["views"]) == list(QUICK.views)
    assert (said["model_id"], said["origin"], json.loads(said["calibrated"])) == ("quick", "device", True)
    assert said["axes"].startswith("x right, y backward, z down")
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": ["batch", 2, 3, 64, 64],
        "T_camera_device": [2, 4, 4],
        "present": ["batch", 2],
        "joints": ["batch", 16, 3],
        "confidence": ["batch", 16],
        "joints_2d": ["batch", 2, 15, 2],
        "scores_2d": ["batch", 2, 15],
    }


def test_it_tracks_as_the_weights_do(exported):
    """Frames it was not checked with, any number, any views, another rig's lenses and places; calibrated."""
    weights, folder = exported
    ours, theirs = PoseTracker.from_pretrained(weights), open_tracker(folder)
    assert isinstance(theirs, PoseTracker)
    assert (theirs.views, theirs.skeleton, theirs.model_id) == (ours.views, ours.skeleton, ours.model_id)
    front = RIG.select(QUICK.views)
    frames = [pictures(front, seed, (96, 96)) for seed in range(5)]
    frames[1]["front_left"] = frames[3]["front_right"] = None
    assert_same(ours.predict(frames, front), theirs.predict(frames, front))
    assert_same(ours(frames[0], front), theirs(frames[0], front))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other, alone = two_camera_rig(), front.select(["front_right"])
        assert_same(ours(pictures(other), other), theirs(pictures(other), other))
        assert_same(ours(pictures(alone), alone), theirs(pictures(alone), alone))
    T_camera_device = front.T_camera_device.clone()
    T_camera_device[:, 0, 3] += 0.05
    moved = front.with_extrinsics(T_camera_device)
    assert not torch.equal(theirs(frames[0], moved).joints, theirs(frames[0], front).joints)
    assert_same(ours(frames[0], moved), theirs(frames[0], moved))


def test_the_documented_use_without_this_package(exported, tmp_path, monkeypatch):
    (example,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
        if "InferenceSession" in block
    ]
    shutil.copytree(exported[1], tmp_path / "my_export")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    tracker = PoseTracker.from_pretrained(exported[0])
    black = {view: np.zeros((64, 64, 3), np.uint8) for view in QUICK.views}
    expected = tracker(black, tracker.training_rig)
    np.testing.assert_allclose(names["joints"][0], expected.joints, atol=1e-4)
    np.testing.assert_allclose(names["confidence"][0], expected.confidence, atol=1e-4)
    assert (names["joints_2d"].shape, names["scores_2d"].shape) == ((1, 2, 15, 2), (1, 2, 15))


def test_predict_takes_it_for_weights_and_calibrate_does_not(exported, data, tmp_path, capsys):
    weights, folder = exported
    predicted = []
    for each in (weights, folder):
        out = tmp_path / each.name
        assert main(["predict", str(data), "--split", "test", "--weights", str(each), "--out", str(out)]) == 0
        predicted.append(np.load(out / "poses.npz"))
    np.testing.assert_allclose(predicted[0]["joints"], predicted[1]["joints"], atol=1e-4)
    np.testing.assert_allclose(predicted[0]["confidence"], predicted[1]["confidence"], atol=1e-4)
    capsys.readouterr()
    assert main(["calibrate", str(folder), "--data", str(data), "--split", "test"]) == 2
    assert "is an export" in capsys.readouterr().err
    assert main(["export", str(folder), "--out", str(tmp_path / "again")]) == 2
    assert "is an export already" in capsys.readouterr().err
    assert main(["export", str(weights), "--out", str(weights)]) == 2
    assert "an export needs a folder of its own" in capsys.readouterr().err
    assert main(["export", str(weights), "--out", str(tmp_path / "none"), "--batch", "0"]) == 2
    assert "--batch is 0" in capsys.readouterr().err


def test_an_export_that_answers_otherwise_is_not_kept(exported, data, tmp_path, capsys, monkeypatch):
    """Here: the graph of other weights."""
    other = save_calibrated(tmp_path / "other", seed=1)
    written = exported[1] / "model.onnx"
    monkeypatch.setattr("egorear.tracking.onnx_export.export_onnx", lambda _, path, *rest: shutil.copy(written, path))
    out = tmp_path / "refused"
    assert main(["export", str(other), "--out", str(out), "--data", str(data)]) == 1
    assert "refused, nothing kept" in capsys.readouterr().out
    assert not list(out.iterdir())


def test_a_damaged_file_is_told(exported, data, tmp_path, capsys):
    folder = tmp_path / "damaged"
    shutil.copytree(exported[1], folder)
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    args = ["predict", str(data), "--split", "test", "--weights", str(folder), "--out", str(tmp_path)]
    assert main(args) == 2
    assert "is damaged or not the one" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["rig", "origin", "skeleton", "batch"])
def test_a_description_changed_by_hand_is_told(exported, tmp_path, name):
    """The graph would take no other rig, and joints of another origin would be wrong without a word."""
    folder = tmp_path / "changed"
    shutil.copytree(exported[1], folder)
    about = json.loads((folder / "export.json").read_text())
    rig = about["rig"] | {"cameras": about["rig"]["cameras"][:1]}
    about |= {name: {"rig": rig, "origin": "pelvis", "skeleton": "egocap", "batch": 4}[name]}
    (folder / "export.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=f"export.json: '{name}' is not what .*model.onnx says of itself"):
        PoseTracker.from_pretrained(folder)


def test_networks_that_look_along_time_are_refused(tmp_path, capsys):
    save_clip_network(tmp_path / "clip", CAUSAL)
    assert main(["export", str(tmp_path / "clip"), "--out", str(tmp_path / "out")]) == 2
    assert "looks along time: such networks cannot be exported" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra_is_told_before_any_work(package, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "egorear-nano", "--out", str(tmp_path / "out")]) == 2
    assert f"needs the package '{package}': pip install 'egorear[export]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["egorear-nano", "egotap-nano"])
def test_whole_networks_with_gather_and_a_fixed_batch(name, tmp_path, capsys):
    """Trained and untrained weights, on the demo's frames; GridSample, the trap, must be gone."""
    weights = name
    if name == "egotap-nano":
        config, network = MODELS[name]
        weights = str(tmp_path / "weights")
        save_pretrained(network(config), weights)
    options = ["--sampling", "gather", "--batch", "2", "--json"]
    assert main(["export", weights, "--out", str(tmp_path / "onnx"), *options]) == 0
    assert json.loads(capsys.readouterr().out)["parity"]["joints_max_mm"] < 0.1
    model = onnx.load(tmp_path / "onnx/model.onnx")
    assert "GridSample" not in {node.op_type for node in model.graph.node}
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 2
