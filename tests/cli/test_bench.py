"""`egorear bench`: the table, its JSON, and what it refuses."""

import json
import re
import subprocess
import sys

import pytest

from egorear.cli.main import main
from egorear.models import MODELS

ONCE = ["--repeats", "1"]


def test_the_table(capsys):
    assert main(["bench", "egorear-nano", *ONCE, "--parts"]) == 0
    told = capsys.readouterr().out
    parameters = sum(p.numel() for p in MODELS["egorear-nano"][1](MODELS["egorear-nano"][0]).parameters())
    assert f"{parameters:,}" in told
    assert "4 x 128" in told
    assert all(part in told for part in ("estimator", "refiner", "lifter"))


def test_json_views_batch_and_precision(capsys):
    argv = ["bench", "egorear-nano", *ONCE, "--views", "2", "--batch", "3", "--precision", "bf16-mixed", "--json"]
    assert main(argv) == 0
    two = json.loads(capsys.readouterr().out)["networks"][0]
    assert two["views"] == ["front_left", "front_right"]
    assert two["batch"] == 3
    assert two["frames_per_second"] == pytest.approx(3000 / two["median_ms"])
    assert main(["bench", "egorear-nano", *ONCE, "--views", "back_right", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["networks"][0]
    assert one["views"] == ["back_right"]
    assert one["gmac"] == pytest.approx(two["gmac"] / 2, rel=0.05)  # per frame, whatever the batch


def test_temporal_networks_take_windows(capsys):
    assert main(["bench", "agegopose-nano", *ONCE, "--window", "2", "--parts"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"agegopose-nano +1 x 128 +2 ", told)
    assert all(part in told for part in ("estimator", "static", "embedding", "motion", "decoder"))
    assert "GFLOP: 2 GMAC" in told
    assert main(["bench", "agegopose-nano", *ONCE, "--window", "2", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["networks"][0]
    assert (one["window"], one["views"], one["gflop"]) == (2, ["front"], 2 * one["gmac"])


def test_with_views_networks_of_one_camera_are_left_out(monkeypatch, capsys):
    few = {name: MODELS[name] for name in ("egorear-nano-norefiner", "agegopose-nano")}
    monkeypatch.setattr("egorear.models.MODELS", few)
    assert main(["bench", *ONCE, "--views", "1", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["networks"]] == ["egorear-nano-norefiner"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["egorear-huge"], "there is no network 'egorear-huge'; there are egorear-base, egorear-small"),
        (["--batch", "0"], "--batch is 0"),
        (["--views", "5"], "--views is 5"),
        (["--window", "0"], "--window is 0"),
        (
            ["egorear-nano", "--window", "8"],
            "--window is for temporal networks, agegopose and agegopose-nano, of which",
        ),
        (["agegopose-nano", "--views", "2"], "must name one camera"),
        (["--views", "front_left", "top"], "--views names 'top'"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used"),
        (["--device", "toaster"], "must be cpu or cuda"),
    ],
)
def test_bad_input_is_told_in_one_sentence(argv, told, capsys):
    assert main(["bench", *argv]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from egorear.cli.main import main; main(['bench', '--help']); "
        "sys.exit(str({'torch', 'numpy'} & set(sys.modules) or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() in ("", "0")
    assert "--threads" in done.stdout
