"""`egorear propagation` through the command's front door."""

import json

import numpy as np
import pytest
from tests.people import STANDING, write_dataset

from egorear.cli.main import main
from egorear.geometry.skeleton import EGO4VIEW
from egorear.poses import Poses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset of three frames; np.npz is 20 mm off everywhere, but 60 mm at the left hand; p.npz 20 mm everywhere."""
    root = tmp_path_factory.mktemp("propagation")
    write_dataset(root / "data")
    truth = np.stack([(STANDING + 0.01 * index).numpy() for index in range(3)])
    hand = EGO4VIEW.index("LeftHand")
    for name, at_hand in (("np", 0.06), ("np2", 0.05), ("p", 0.02)):
        joints = truth + np.array((0.02, 0, 0))
        joints[:, hand, 0] = truth[:, hand, 0] + at_hand
        Poses(
            joints=joints.astype(np.float32),
            confidence=np.ones((3, 16), np.float32),
            frame_names=[f"anna/s1/f{index}" for index in range(3)],
            timestamps=np.arange(3.0),
            rig_hash="",
            model_id=name,
            joint_names=EGO4VIEW.names,
        ).save(root / f"{name}.npz")
    return root


def propagation(folder, *options, p="p.npz") -> int:
    return main(["propagation", str(folder / "np.npz"), str(folder / p), "--data", str(folder / "data"), *options])


def test_the_command_tells_the_same_on_the_terminal_as_json_and_plot(folder, tmp_path, capsys):
    options = ("--null", str(folder / "np2.npz"), "--out", str(tmp_path / "out"))
    assert propagation(folder, *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out/propagation.json").read_text())
    assert (report["schema"], report["without"], report["propagating"]) == ("egorear-propagation", "np", "p")
    assert report["joints"]["LeftHand"]["potential_mm"]["value"] == pytest.approx(40, abs=0.01)
    assert report["joints"]["LeftHand"]["effect_mm"]["value"] == pytest.approx(40, abs=0.01)
    assert report["overall"]["line"]["slope"]["value"] == pytest.approx(1, abs=0.01)
    assert report["overall"]["null"]["slope"]["value"] == pytest.approx(0.25, abs=0.01)
    assert (report["parents"]["Neck"], report["frames"], report["recordings"]) == ("Head", 3, 1)
    assert (tmp_path / "out/propagation.png").stat().st_size > 10_000
    assert propagation(folder, *options) == 0
    shown = capsys.readouterr().out
    for words in ("p against np: 3 frames of 1 recordings", "LeftHand", "null: NP2 in place of P", "crossed"):
        assert words in shown
    assert "--null" not in shown


def test_without_a_null_the_command_says_what_the_slope_is_worth(folder, capsys):
    assert propagation(folder) == 0
    shown = capsys.readouterr().out
    assert "--null tells" in shown
    assert "crossed" not in shown
    assert propagation(folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["corrected"] is None


def test_bad_input_is_one_sentence(folder, tmp_path, capsys):
    poses = Poses.load(folder / "p.npz")
    Poses(**vars(poses) | {"frame_names": ["anna/s1/f0", "anna/s1/f1", "bob"]}).save(tmp_path / "other.npz")
    for p, options, words in (
        (tmp_path / "other.npz", (), "anna/s1/f2"),
        (tmp_path / "none.npz", (), "none.npz"),
        ("p.npz", ("--seed", "-1"), "--seed is -1"),
        ("p.npz", ("--null", str(folder / "p.npz")), "--null has the poses of P.npz once more"),
        ("p.npz", ("--null", str(folder / "np.npz")), "--null has the poses of NP.npz once more"),
    ):
        assert propagation(folder, *options, p=str(p)) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("egorear propagation: error: ")
        assert words in error
        assert "\n" not in error
