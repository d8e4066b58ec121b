"""Who sees what, counted: sweeps are read, cameras are moved, shares are those of the frames."""

import json

import numpy as np
import pytest
import torch

from egorear.cli.main import main
from egorear.datasets.truth import Visibility
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.geometry.transforms import invert_rigid
from egorear.synth.visibility import Sweep, Visibilities, measure, rows

RIG = ego4view_syn()


def test_a_sweep_moves_only_the_named_cameras_along_the_axis():
    rigs = Sweep.parse("back_left,back_right:y=-0.05,0,0.1").rigs(RIG)
    assert list(rigs) == ["-5.0 cm", "+0.0 cm", "+10.0 cm"]
    before, after = (invert_rigid(rig.T_camera_device.double()) for rig in (RIG, rigs["+10.0 cm"]))
    moved = (after - before)[:, :3]
    assert torch.allclose(moved[:2], torch.zeros(1, dtype=torch.double), atol=1e-6)
    assert torch.allclose(moved[2:, :, 3], torch.tensor([0, 0.1, 0], dtype=torch.double), atol=1e-6)
    assert torch.allclose(moved[2:, :, :3], torch.zeros(1, dtype=torch.double), atol=1e-6)


@pytest.mark.parametrize("text", ["back_left", "back_left:w=1", "back_left:y=far", ":y=1", "back_left:y=nan", "a,:y=0"])
def test_a_malformed_sweep_is_one_sentence(text):
    with pytest.raises(UserError, match="a sweep is written"):
        Sweep.parse(text)


def test_a_sweep_names_each_camera_once_and_tells_fine_offsets_apart():
    with pytest.raises(UserError, match="each view once"):
        Sweep.parse("back_left,back_left:y=0")
    assert list(Sweep.parse("back_left:y=0.0001,0.0002").rigs(RIG)) == ["+0.01 cm", "+0.02 cm"]


def test_a_sweep_of_an_unknown_camera_is_one_sentence():
    with pytest.raises(UserError, match="no view 'rear'"):
        Sweep.parse("rear:y=0").rigs(RIG)


def test_shares_count_frames_and_intervals_come_from_takes():
    reasons = np.full((4, 10, 4, 16), Visibility.BODY, np.uint8)
    hand = EGO4VIEW.names.index("LeftHand")
    reasons[:2, :, 0, hand] = Visibility.VISIBLE
    reasons[2, :, 1, hand] = Visibility.VISIBLE
    seen = Visibilities(RIG.views, reasons)
    share, half = seen.share("front_left", "LeftHand")
    assert share == 0.5
    assert half == pytest.approx(1.96 * 0.5 / np.sqrt(3))
    assert seen.share(None, "LeftHand")[0] == 0.75
    assert seen.share("back_left", "LeftHand") == (0, 0)
    table = rows({"as it is": seen})
    assert [row["view"] for row in table] == [*RIG.views, "any"]
    assert table[0]["LeftHand"] == 50.0
    shares = seen.to_dict()["views"]["front_left"]["LeftHand"]
    assert shares == {"visible": 0.5, "outside": 0, "body": 0.5, "cloth": 0, "other": 0}


def test_two_workers_see_the_same():
    alone, together = (np.stack(list(measure(RIG, 20, workers=n))) for n in (1, 2))
    assert alone.shape == (2, 10, 4, 16)
    assert (alone == together).all()


def test_the_command_tells_table_file_and_plot(tmp_path, capsys):
    out, plot = tmp_path / "seen.json", tmp_path / "seen.png"
    sweep = ["--sweep", "back_left,back_right:y=0,0.05", "--frames", "10"]
    assert main(["rig", "visibility", "ego4view_syn", *sweep, "--out", str(out), "--plot", str(plot), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    stored = json.loads(out.read_text())
    assert stored["table"] == table
    assert len(table) == 2 * 5
    front = [row for row in table if row["view"] == "front_left"]
    assert front[0]["LeftHand"] == front[1]["LeftHand"], "the front cameras did not move"
    assert sum(stored["variants"]["+5.0 cm"]["views"]["back_left"]["LeftFoot"].values()) == pytest.approx(1)
    assert plot.stat().st_size > 5000


def test_bad_options_are_refused_before_anything_is_rendered(tmp_path, capsys):
    assert main(["rig", "visibility", "ego4view_syn", "--frames", "0"]) == 2
    assert main(["rig", "visibility", "ego4view_syn", "--plot", str(tmp_path / "no" / "such.xyz")]) == 2
    assert ".png, .pdf or .svg" in capsys.readouterr().err
    assert main(["rig", "visibility", "ego4view_syn", "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
