"""What ships must hold what README says of it: the weights, the demo, and the Python example."""

import json
import re
import socket
from pathlib import Path

import pytest

from egorear.cli.main import main
from egorear.datasets.ego4view import open_ego4view
from egorear.evaluation.score import mean_pose, score
from egorear.models.pretrained import load_pretrained
from egorear.poses import Poses

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "src" / "egorear" / "weights" / "egorear-nano"
DEMO = ROOT / "src" / "egorear" / "demo_data"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's report and folder, with every connection refused."""
    out = tmp_path_factory.mktemp("demo")

    def refuse(*_args, **_kwargs):
        raise AssertionError("the demo must not use the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        assert main(["demo", "--out", str(out)]) == 0
        with (out / "report.txt").open("w") as file, pytest.MonkeyPatch.context() as inner:
            inner.setattr("sys.stdout", file)
            assert main(["demo", "--out", str(out), "--json"]) == 0
    return json.loads((out / "report.txt").read_text()), out


def test_weights_are_small_enough_to_ship():
    assert (WEIGHTS / "model.safetensors").stat().st_size <= 30e6
    assert sum(p.numel() for p in load_pretrained(WEIGHTS).parameters()) <= 6e6
    assert "MPJPE" in (WEIGHTS / "card.md").read_text()


def test_demo_frames_are_of_nobody_that_training_saw():
    data = open_ego4view(DEMO, "test", 256)
    assert len(data) == 12
    assert all(name.startswith("test_") for name in data.names)


def test_demo_beats_the_mean_of_its_own_truth(demo):
    """A harder rival than a training set's mean pose: this one knows the very frames it is scored on."""
    printed, out = demo
    data = open_ego4view(DEMO, "test", 256)
    report = score(Poses.load(out / "poses.npz"), data, baseline_pose=mean_pose(data))
    assert report.baseline is not None
    assert report.overall.mpjpe_mm < 0.7 * report.baseline.mpjpe_mm
    assert printed["scores"]["all joints"]["mpjpe_mm"] == pytest.approx(report.overall.mpjpe_mm)
    assert list(out.glob("pose3d_*.png"))
    assert len(list((out / "overlays").glob("*.jpg"))) == 12


def test_readme_example_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert "[" in capsys.readouterr().out


def test_readme_names_only_commands_that_exist():
    from egorear.cli.main import COMMANDS

    named = set(re.findall(r"`egorear ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named <= set(COMMANDS)
    assert {"demo", "predict", "evaluate", "synth", "fit", "rig", "weights", "info"} <= named
