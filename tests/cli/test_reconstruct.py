"""`egorear reconstruct` through the command's front door."""

import json

import numpy as np
import pytest
from tests.evaluation.test_reconstruction import network
from tests.people import STANDING, pictures, save_tiny

from egorear.cli.main import main
from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn
from egorear.models.pretrained import save_pretrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two networks, and a dataset of two people: one to learn from, one to be judged on."""
    root, rig = tmp_path_factory.mktemp("reconstruct"), ego4view_syn()
    writer = SynWriter(root / "data", rig)
    for index in range(8):
        truth = FrameTruth(STANDING.numpy(), np.eye(4, dtype=np.float32), np.zeros((4, 16), np.uint8), "standing")
        who = ("anna", "bert")[index % 2]
        writer.write(who, f"s{index // 4}", f"f{index}", pictures(rig, index, (64, 64)), truth)
    writer.write_splits({"train": ["anna"], "test": ["bert"]})
    for kind in ("grid", "cnn"):
        save_pretrained(network(kind=kind), root / kind)
    return root


def test_two_encoders_in_one_table(folder, tmp_path, capsys):
    argv = ["reconstruct", str(folder / "grid"), str(folder / "cnn"), "--data", str(folder / "data")]
    argv += ["--steps", "2", "--batch", "2", "--out", str(tmp_path / "out")]
    assert main([*argv, "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report == json.loads((tmp_path / "out/reconstruction.json").read_text())
    assert {name: row["encoder"] for name, row in report["networks"].items()} == {"grid": "grid", "cnn": "cnn"}
    assert report["networks"]["grid"]["frames"] == 4
    assert report["networks"]["grid"]["recordings"] == 2
    # Both networks were drawn from one seed up to the encoder, and so estimate the same heatmaps.
    assert report["networks"]["grid"]["zeros"] == pytest.approx(report["networks"]["cnn"]["zeros"])
    assert (tmp_path / "out/reconstruction.png").stat().st_size > 10_000
    assert "cnn: training the decoder: 2/2 batches" in captured.err
    assert main(["reconstruct", str(folder / "grid"), *argv[3:-2], "--limit", "3"]) == 0
    shown = capsys.readouterr().out
    assert "3 frames of 2 recordings" in shown
    assert "240" in shown


def test_bad_input_is_one_sentence(folder, tmp_path, capsys):
    data = str(folder / "data")
    save_tiny(tmp_path / "egorear")
    for argv, words in (
        ([tmp_path / "egorear", "--data", data], "no EgoTAP with a lifter"),
        ([folder / "grid", folder / "grid", "--data", data], "given twice"),
        ([folder / "grid", "--data", data, "--steps", "0"], "--steps is 0"),
        ([folder / "grid", "--data", data, "--batch", "1"], "--batch is 1"),
        ([folder / "grid", "--data", data, "--device", "toaster"], "--device toaster cannot be used"),
        ([folder / "grid", "--data", tmp_path / "none"], "none"),
        ([tmp_path / "missing", "--data", data], "missing"),
    ):
        assert main(["reconstruct", *map(str, argv)]) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("egorear reconstruct: error: ")
        assert words in error
        assert "\n" not in error
