"""`egorear view` through the command's front door: a page of everything predict reads, and each way to get it wrong."""

import json
import re
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.people import pictures, two_camera_rig, write_dataset
from tests.viewer.test_html import poses_of, recording

from egorear.cli.main import main


@pytest.fixture
def poses_file(tmp_path):
    poses_of(["anna/s1/f0", "anna/s1/f1", "anna/s1/f2"]).save(tmp_path / "poses.npz")
    return str(tmp_path / "poses.npz")


def write_headset(folder: Path) -> None:
    """my_headset.json, and recordings/monday of one frame, "7"."""
    rig = two_camera_rig()
    rig.save(folder / "my_headset.json")
    for view, image in pictures(rig).items():
        (folder / "recordings" / "monday" / view).mkdir(parents=True)
        cv2.imwrite(str(folder / "recordings" / "monday" / view / "7.png"), image)


def refused(capsys, *argv) -> str:
    """Runs a command that must fail with exit code 2 and returns its one sentence."""
    assert main(["view", *map(str, argv)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("egorear view: error: ")
    return error[0]


def test_a_dataset_with_truth_and_pictures(tmp_path, poses_file, capsys):
    data, page = write_dataset(tmp_path / "data"), tmp_path / "new" / "a.html"
    assert main(["view", poses_file, "--data", str(data), "--out", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "out": str(page), "bytes": page.stat().st_size, "frames": 3, "pictured_frames": 3, "truth": True,
        "model_id": "tiny",
    }  # fmt: skip
    assert len(recording(page)["pictures"]) == 3
    assert main(["view", poses_file, "--data", str(data), "--out", str(page), "--pictures-mb", "0.15"]) == 0
    assert "pictures of 1 of the 3 that have any (as many as --pictures-mb 0.15 allows)" in capsys.readouterr().out


def test_a_suffix_may_be_in_capitals(tmp_path, poses_file):
    assert main(["view", poses_file, "--out", str(tmp_path / "A.HTML")]) == 0
    assert recording(tmp_path / "A.HTML")["schema"] == "egorear-view"


def test_poses_that_cannot_be_shown_are_told_with_their_file(tmp_path, capsys):
    path = tmp_path / "none.npz"
    poses_of([]).save(path)
    assert f"{path}: there are no poses to show" in refused(capsys, path, "--out", tmp_path / "a.html")


def test_some_frames_at_another_rate(tmp_path, poses_file):
    page = tmp_path / "a.html"
    assert main(["view", poses_file, "--frames", "::2", "--fps", "25", "--out", str(page)]) == 0
    told = recording(page)
    assert told["frame_names"] == ["anna/s1/f0", "anna/s1/f2"]
    assert told["timestamps"] == [0, 0.04]
    assert [lens["view"] for lens in told["lenses"]] == ["front_left", "front_right", "back_left", "back_right"]


def test_folders_of_another_rig(tmp_path, capsys):
    page = tmp_path / "a.html"
    write_headset(tmp_path)
    poses_of(["6", "7"]).save(tmp_path / "poses.npz")
    recordings, rig = tmp_path / "recordings" / "monday", tmp_path / "my_headset.json"
    argv = [str(tmp_path / "poses.npz"), "--sources", str(recordings), "--rig", str(rig)]
    assert main(["view", *argv, "--out", str(page)]) == 0
    assert "note: the poses were seen with rig" in capsys.readouterr().err
    told = recording(page)
    assert list(told["pictures"]) == ["1"]
    assert [lens["view"] for lens in told["lenses"]] == ["front_left", "front_right"]
    assert np.shape(told["lenses"][0]["outline"]) == (48, 3)


def test_wrong_arguments_are_told_in_one_sentence(tmp_path, poses_file, capsys, monkeypatch):
    good = [poses_file, "--out", tmp_path / "a.html"]
    assert "must end with .html or .rrd" in refused(capsys, poses_file, "--out", tmp_path / "a.gif")
    assert "cannot read" in refused(capsys, tmp_path / "none.npz", *good[1:])
    assert "not both" in refused(capsys, *good, "--data", "a", "--sources", "b")
    assert "--rig is missing" in refused(capsys, *good, "--sources", tmp_path)
    assert "--fps" in refused(capsys, *good, "--fps", "nan")
    assert "--pictures-mb" in refused(capsys, *good, "--pictures-mb", "-1")
    for frames in ("3", "a:b", "::0", "::-1", "1:2:3:4", "1:2:"):
        assert "but must be A:B or A:B:STEP" in refused(capsys, *good, "--frames", frames)
    assert "leaves none of the 3 frames" in refused(capsys, *good, "--frames", "5:")
    (tmp_path / "file").touch()
    assert "cannot write" in refused(capsys, poses_file, "--out", tmp_path / "file" / "a.html")
    data = write_dataset(tmp_path / "data")
    poses_of(["elsewhere"]).save(tmp_path / "other.npz")
    assert "no frame name" in refused(capsys, tmp_path / "other.npz", *good[1:], "--data", data)
    assert not (tmp_path / "a.html").exists()
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert "without --out Rerun's viewer is opened, which needs pip install" in refused(capsys, poses_file)
    assert "--out FILE.html needs nothing" in refused(capsys, poses_file, "--out", tmp_path / "a.rrd")


DOCUMENT = (Path(__file__).parents[2] / "docs" / "view.md").read_text()
COMMANDS = re.findall(r"^\$ egorear (view .*)$", DOCUMENT, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_document(command, tmp_path, monkeypatch):
    """In a folder that has what they name, the data aside."""
    shows = "--out" not in command
    if shows or ".rrd" in command:
        pytest.importorskip("rerun", reason="rerun-sdk (the extra 'view', 170 MB) is not installed")
    write_dataset(tmp_path / "data")
    poses_of(["anna/s1/f0", "7", *map(str, range(100, 300))]).save(tmp_path / "poses" / "syn" / "poses.npz")
    poses_of(["7"]).save(tmp_path / "poses" / "monday" / "poses.npz")
    write_headset(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = []
    if shows:
        monkeypatch.setattr("egorear.viewer.rerun_log.show_rerun", lambda path: shown.append(path.stat().st_size))
    assert main(shlex.split(command.replace("/data/Ego4View-Syn", "data"))) == 0
    assert shown[0] > 1000 if shows else Path(command.split()[-1]).stat().st_size > 1000


def test_the_python_of_the_document(tmp_path, poses_file, monkeypatch):
    write_dataset(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    exec(compile(example.replace("/data/Ego4View-Syn", "data"), "view.md", "exec"), {})
    assert len(recording(tmp_path / "page.html")["pictures"]) == 3


def test_a_damaged_picture_leaves_no_page(tmp_path, poses_file, capsys):
    data = write_dataset(tmp_path / "data")
    file = next(data.rglob("*.jpg"))
    file.write_bytes(b"nothing")
    assert str(file) in refused(capsys, poses_file, "--data", data, "--out", tmp_path / "a.html")
    assert not list(tmp_path.glob("*.html"))
