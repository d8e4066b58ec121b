"""`egorear demo` end to end, and that help and info come at once."""

import errno
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.people import save_tiny, write_dataset

from egorear.cli.main import COMMANDS, EXTRAS, main


def test_demo_predicts_scores_and_draws(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    data, weights, out = write_dataset(tmp_path / "data"), save_tiny(tmp_path / "tiny"), tmp_path / "out"
    argv = ["demo", "--data", str(data), "--weights", str(weights), "--out", str(out)]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "MPJPE" in told
    assert "overview.png" in told
    names = {path.name for path in out.iterdir()}
    assert {"poses.npz", "overlays", "overview.png", "demo.html", "pose3d_anna_s1_f0.png"} <= names
    assert len(list((out / "overlays").iterdir())) == 3
    assert main([*argv, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores["all joints"]["frames"] == 3
    assert scores["feet"]["mpjpe_mm"] > 0


def test_demo_without_its_frames(tmp_path, capsys):
    assert main(["demo", "--data", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "give --data" in capsys.readouterr().err


def test_info_as_text_and_json(capsys):
    assert main(["info"]) == 0
    assert "opencv" in capsys.readouterr().out
    assert main(["info", "--json", "--devices"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["packages"]["torch"]
    assert content["devices"][0].startswith("cpu")


@pytest.mark.parametrize("argv", [["--help"], ["info"], ["predict", "--help"], ["demo", "--help"]])
def test_nothing_heavy_is_imported_to_say_little(argv):
    code = (
        "import sys; from egorear.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'cv2', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "egorear" in done.stdout


def test_a_reader_that_has_gone_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m egorear.cli.main --help | true", shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""


def test_a_full_disk_is_told_in_one_sentence(monkeypatch, capsys):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/metrics.csv")

    monkeypatch.setattr("egorear.cli.info.run", full)
    assert main(["info"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device: 'runs/metrics.csv'" in error


def test_exit_codes_of_the_front_door(capsys):
    assert main([]) == 0
    assert main(["--version"]) == 0
    assert main(["dance"]) == 2
    assert main(["predict"]) == 2
    capsys.readouterr()
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(command in told for command in COMMANDS)


@pytest.mark.parametrize(
    ("module", "package", "brings"),
    [("numba", "numba", "egorear[synth]"), ("lightning.pytorch", "lightning", "egorear[train]"), ("x.y", "x", "x")],
)
def test_a_missing_package_is_told_with_what_brings_it(module, package, brings, monkeypatch, capsys):
    def missing(*_):
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("egorear.cli.main._run", missing)
    assert main(["synth"]) == 2
    told = f"egorear synth: error: this command needs the package '{package}': pip install '{brings}'\n"
    assert capsys.readouterr().err == told


def test_every_extra_named_is_one_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    # Every extra that users install is told by some module of it ("dev" is for the tests).
    assert set(EXTRAS.values()) == set(project["optional-dependencies"]) - {"dev"}
