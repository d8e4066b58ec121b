"""`egorear convert`: the commands of docs/outputs.md, and what it says of wrong ones."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from egorear.cli import convert
from egorear.cli.main import main
from egorear.geometry.rotations import about
from egorear.geometry.skeleton import EGO4VIEW
from egorear.outputs import axes
from egorear.poses import Poses
from egorear.synth.bvh import read_bvh

FRAMES = 6
NAMES = EGO4VIEW.names


@pytest.fixture
def poses(tmp_path, monkeypatch):
    """poses/walk/poses.npz, of one recording at 30 frames a second; the current folder is where `poses` is."""
    monkeypatch.chdir(tmp_path)
    return save(tmp_path / "poses/walk/poses.npz", [f"walk/take/{frame:03}" for frame in range(FRAMES)])


def save(path, names, timestamps=None, joint_names=NAMES) -> Poses:
    rng = np.random.default_rng(0)
    poses = Poses(
        joints=rng.normal(size=(len(names), len(joint_names), 3)).astype(np.float32),
        confidence=rng.random((len(names), len(joint_names))).astype(np.float32),
        frame_names=names,
        timestamps=np.arange(len(names)) / 30 if timestamps is None else np.array(timestamps),
        rig_hash="0123456789ab",
        model_id="tiny-1",
        joint_names=joint_names,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    poses.save(path)
    return poses


DOCS = Path(__file__).parents[2] / "docs/outputs.md"
DOCUMENTED = [line.removeprefix("$ egorear ") for line in DOCS.read_text().splitlines() if line.startswith("$ egorear")]


@pytest.mark.parametrize("command", DOCUMENTED)
def test_documented_commands_run(poses, capsys, command):
    save(Path("poses/syn/poses.npz"), ["test_00000/take_000000/1", "test_00000/take_000000/2", "test_00000/take_1/1"])
    table = DOCS.read_text().partition("```\ntimestamp")[2].partition("\n```")[0]
    Path("device.csv").write_text(f"timestamp{table}\n9,0,0,0,0,0,0,1\n")
    assert main(command.split()) == 0
    assert Path(command.split()[2]).stat().st_size > 1000


def fails(capsys, *argv) -> str:
    capsys.readouterr()
    assert main(["convert", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_csv_holds_all_digits(poses, capsys):
    assert main(["convert", "poses/walk/poses.npz", "walk.csv"]) == 0
    assert "6 poses in walk.csv (96 rows)" in capsys.readouterr().out
    with open("walk.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["frame", "timestamp", "joint", "x_m", "y_m", "z_m", "confidence"]
    assert [row["joint"] for row in rows[:16]] == list(NAMES)
    assert [row["frame"] for row in rows[::16]] == poses.frame_names
    assert [float(row["timestamp"]) for row in rows[::16]] == poses.timestamps.tolist()
    places = np.array([[row[f"{axis}_m"] for axis in "xyz"] for row in rows], np.float32)
    np.testing.assert_array_equal(places.reshape(poses.joints.shape), poses.joints)
    np.testing.assert_array_equal(np.array([row["confidence"] for row in rows], np.float32), poses.confidence.ravel())


def test_csv_quotes_what_frames_are_called(tmp_path, capsys):
    save(tmp_path / "poses.npz", ['a "b", c\n/1'])
    assert main(["convert", str(tmp_path / "poses.npz"), str(tmp_path / "out.csv")]) == 0
    with open(tmp_path / "out.csv", newline="") as file:
        assert {row["frame"] for row in csv.DictReader(file)} == {'a "b", c\n/1'}


def test_csv_of_frames_whose_files_have_names_that_are_no_text(tmp_path):
    save(tmp_path / "poses.npz", [os.fsdecode(b"caf\xe9_1")])
    assert main(["convert", str(tmp_path / "poses.npz"), str(tmp_path / "out.csv")]) == 0
    assert r"caf\udce9_1," in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_bvh_has_the_poses_rate_and_bones(poses, capsys):
    assert main(["convert", "poses/walk/poses.npz", "walk.bvh", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    moved = result.pop("moved_mm")
    assert result == {"out": "walk.bvh", "frames": 6, "fps": 30.0, "interpolated": False, "bones": 20}
    assert moved > 100  # the joints are scattered at random: no constant bones fit them
    assert read_bvh("walk.bvh").fps == pytest.approx(30, abs=1e-4)
    assert main(["convert", "poses/walk/poses.npz", "walk.bvh"]) == 0
    assert capsys.readouterr().out.startswith("6 poses in walk.bvh (6 frames at 30 a second; 20 bones")


def test_device_poses_put_the_body_into_the_world(poses, capsys):
    """The hips where position and rotation of the device take them, in the axes of that world and in the file's."""
    R, t = about(np.array([0.0, 0.0, 1.0]), np.radians(90)), np.array([1.0, 2.0, 1.7])
    rows = "".join(f"{second},1,2,1.7,0,0,{0.5**0.5},{0.5**0.5}\n" for second in (0, 1))
    with open("device.csv", "w") as file:
        file.write("timestamp,px,py,pz,qx,qy,qz,qw\n" + rows)
    hips = poses.joints[:, [NAMES.index("LeftUpLeg"), NAMES.index("RightUpLeg")]].mean(1)
    in_world = hips @ R.T + t
    assert main(["convert", "poses/walk/poses.npz", "walk.bvh", "--device-poses", "device.csv", "--world", "z-up"]) == 0
    x, y, z = in_world.T
    np.testing.assert_allclose(read_bvh("walk.bvh").root, 100 * np.stack([x, z, -y], -1), atol=1e-3)
    assert main(["convert", "poses/walk/poses.npz", "walk.csv", "--device-poses", "device.csv"]) == 0
    with open("walk.csv", newline="") as file:
        left = [row for row in csv.DictReader(file) if row["joint"] == "LeftHand"]
    found = np.array([[float(row[f"{axis}_m"]) for axis in "xyz"] for row in left])
    np.testing.assert_allclose(found, poses.joints[:, NAMES.index("LeftHand")] @ R.T + t, atol=1e-6)


def test_every_world_can_be_asked_for():
    assert tuple(axes.WORLDS) == convert.WORLDS  # the command's own, so that --help imports no numpy


def test_one_recording_of_many_at_a_rate_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "poses/syn/poses.npz", ["a/1/0", "a/1/1", "a/2/0", "a/2/1"], [0.0, 1.0, 2.0, 3.0])
    said = fails(capsys, "poses/syn/poses.npz", "take.bvh")
    assert "2 recordings ('a/1', 'a/2' ...): choose --recording" in said
    assert main(["convert", "poses/syn/poses.npz", "take.bvh", "--recording", "a/2", "--fps", "25"]) == 0
    assert read_bvh("take.bvh").fps == pytest.approx(25, abs=1e-4)
    assert "no frame of a recording 'a' but, for one, 'a/1/0'" in fails(
        capsys, "poses/syn/poses.npz", "take.bvh", "--recording", "a"
    )
    save(tmp_path / "none.npz", [])
    assert "none.npz has no frame of a recording 'a'" in fails(capsys, "none.npz", "take.bvh", "--recording", "a")


def test_smoothing_keeps_to_a_recording(tmp_path, capsys):
    """Two recordings whose timestamps start anew; each is the mean of itself under a wide Gaussian."""
    poses = save(tmp_path / "poses.npz", ["a/0", "b/0", "a/1", "b/1"], [0.0, 0.0, 0.1, 0.1])
    assert main(["convert", str(tmp_path / "poses.npz"), str(tmp_path / "a.csv"), "--smooth", "50"]) == 0
    with open(tmp_path / "a.csv", newline="") as file:
        x = np.array([float(row["x_m"]) for row in csv.DictReader(file)]).reshape(4, 16)
    for rows in ([0, 2], [1, 3]):
        np.testing.assert_allclose(x[rows], np.tile(poses.joints[rows, :, 0].mean(0), (2, 1)), atol=1e-5)
    assert "--smooth is -1.0 but must be" in fails(capsys, tmp_path / "poses.npz", "a.csv", "--smooth", "-1")


def test_uneven_timestamps_are_evened_out_and_it_is_said(tmp_path, capsys):
    save(tmp_path / "poses.npz", ["0", "1", "2", "3"], [0.0, 0.1, 0.2, 0.4])
    assert main(["convert", str(tmp_path / "poses.npz"), str(tmp_path / "a.bvh"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "uneven: interpolated at 10.00 frames/s" in err
    assert (json.loads(out)["frames"], json.loads(out)["interpolated"]) == (5, True)
    assert len(read_bvh(tmp_path / "a.bvh").root) == 5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["poses/walk/poses.npz", "walk.fbx"], "walk.fbx must end with .bvh or .csv"),
        (["poses/walk/poses.npz", "walk.csv", "--world", "z-up"], "--world belongs to --device-poses and a .bvh file"),
        (["poses/walk/poses.npz", "walk.bvh", "--fps", "0"], "--fps is 0.0 but must be a positive number"),
        (["poses/walk/poses.npz", "walk.bvh", "--device-poses", "no.csv"], "cannot read no.csv"),
        (["no.npz", "walk.bvh"], "cannot read no.npz"),
    ],
)
def test_wrong_commands_are_told_in_one_sentence(poses, capsys, argv, message):
    assert message in fails(capsys, *argv)
    assert not list(Path().glob("walk.*"))


def test_what_is_read_is_not_overwritten(poses, capsys):
    Path("device.csv").write_text("mine")
    told = fails(capsys, "poses/walk/poses.npz", "./device.csv", "--device-poses", "device.csv")
    assert "device.csv is to be read" in told
    assert Path("device.csv").read_text() == "mine"


def test_poses_without_a_body_or_without_poses(tmp_path, capsys):
    save(tmp_path / "odd.npz", ["0"], joint_names=("Head", "Neck"))
    assert "are no known set" in fails(capsys, tmp_path / "odd.npz", tmp_path / "a.bvh")
    save(tmp_path / "none.npz", [])
    assert "there is no pose" in fails(capsys, tmp_path / "none.npz", tmp_path / "a.bvh")
    save(tmp_path / "back.npz", ["0", "1"], [1.0, 0.0])
    assert "back.npz: 'timestamps' must increase" in fails(capsys, tmp_path / "back.npz", tmp_path / "a.bvh")
