"""`egorear predict` through the command's front door: every kind of source, and every way to get it wrong."""

import json
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.people import pictures, save_tiny, two_camera_rig, write_dataset

from egorear.cli.main import main
from egorear.geometry.rig import ego4view_syn
from egorear.poses import Poses
from egorear.tracking.sources import Frame, batches

RIG = two_camera_rig()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture
def rig_file(tmp_path):
    RIG.save(tmp_path / "rig.json")
    return str(tmp_path / "rig.json")


@pytest.fixture
def folders(tmp_path):
    """frames/{view}/1.png, 2.png, 10.png of the two-camera rig."""
    for index in (1, 2, 10):
        for view, image in pictures(RIG, index).items():
            (tmp_path / "frames" / view).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "frames" / view / f"{index}.png"), image)
    return tmp_path / "frames"


def write_video(path, frames, fps=25.0):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (160, 120))
    for index in range(frames):
        video.write(pictures(RIG, index)["front_left"])
    video.release()


def refused(capsys, *argv) -> str:
    """Runs a command that must fail with exit code 2 and returns its one sentence."""
    assert main(["predict", *map(str, argv)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("egorear predict: error: ")
    return error


def test_a_dataset_split_with_overlays(tmp_path, weights, capsys):
    data, out = write_dataset(tmp_path / "data"), tmp_path / "out"
    argv = [str(data), "--split", "test", "--weights", weights, "--out", str(out), "--overlays", "--batch", "2"]
    assert main(["predict", *argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    poses = Poses.load(out / "poses.npz")
    assert poses.frame_names == ["anna/s1/f0", "anna/s1/f1", "anna/s1/f2"]
    assert poses.model_id == result["model_id"] == "tiny"
    assert poses.rig_hash == ego4view_syn().hash()
    assert poses.timestamps.tolist() == [0, 1, 2]
    assert sorted(path.name for path in (out / "overlays/anna/s1").iterdir()) == ["f0.jpg", "f1.jpg", "f2.jpg"]
    assert not list(out.glob(".*"))
    assert main(["evaluate", str(out / "poses.npz"), "--data", str(data)]) == 0


def test_folders_in_both_forms(tmp_path, weights, rig_file, folders, capsys):
    common = ["--rig", rig_file, "--weights", weights, "--fps", "20"]
    assert main(["predict", str(folders), "--out", str(tmp_path / "a"), *common]) == 0
    assert "lacks back_left, back_right" in capsys.readouterr().err
    named = [f"{view}={folders / view}" for view in reversed(RIG.views)]
    assert main(["predict", *named, "--out", str(tmp_path / "b"), *common]) == 0
    one, other = Poses.load(tmp_path / "a/poses.npz"), Poses.load(tmp_path / "b/poses.npz")
    assert one.frame_names == ["1", "2", "10"]
    np.testing.assert_allclose(one.timestamps, [0, 0.05, 0.1])
    np.testing.assert_allclose(one.joints, other.joints, atol=1e-5)


def test_videos_stop_at_the_shortest(tmp_path, weights, rig_file, capsys):
    write_video(tmp_path / "l.mp4", 4)
    write_video(tmp_path / "r.mp4", 6)
    argv = [f"front_left={tmp_path}/l.mp4", f"front_right={tmp_path}/r.mp4", "--rig", rig_file]
    assert main(["predict", *argv, "--out", str(tmp_path / "out"), "--weights", weights]) == 0
    assert "stopping after 4" in capsys.readouterr().err
    poses = Poses.load(tmp_path / "out/poses.npz")
    np.testing.assert_allclose(poses.timestamps, [0, 0.04, 0.08, 0.12])


def test_damaged_videos(tmp_path, weights, rig_file, capsys):
    write_video(tmp_path / "l.mp4", 20)
    whole = (tmp_path / "l.mp4").read_bytes()
    (tmp_path / "r.mp4").write_bytes(whole[: len(whole) // 2])
    argv = [f"front_left={tmp_path}/l.mp4", f"front_right={tmp_path}/r.mp4", "--rig", rig_file, "--weights", weights]
    assert f"{tmp_path}/r.mp4" in refused(capsys, *argv, "--out", tmp_path / "out")
    assert not (tmp_path / "out/poses.npz").exists()


class Shaken:
    """Frames each of which tells its own extrinsics."""

    remarks: tuple[str, ...] = ()
    shifts = (0, 0, 1, 1, 0, 0, 0, 0)
    names = tuple(map(str, range(len(shifts))))

    def __init__(self):
        self.rigs = []

    def __len__(self):
        return len(self.shifts)

    def __iter__(self):
        for index, shift in enumerate(self.shifts):
            rig = replace(RIG, T_camera_device=RIG.T_camera_device + 0.01 * shift)
            self.rigs.append(weakref.ref(rig))
            yield Frame(self.names[index], pictures(RIG, index), rig, float(index))


def test_batches_have_one_rig_each_and_keep_none_that_is_done():
    found = [[frame.name for frame in batch] for batch in batches(Shaken(), 3)]
    assert found == [["0", "1"], ["2", "3"], ["4", "5", "6"], ["7"]]
    source = Shaken()
    for _ in batches(source, 1):
        assert sum(rig() is not None for rig in source.rigs) <= 3, "those of the batch before, of this and of the next"


def test_a_missing_counterpart_is_named(tmp_path, weights, rig_file, folders, capsys):
    (folders / "front_right" / "2.png").unlink()
    error = refused(capsys, folders, "--rig", rig_file, "--out", tmp_path / "out", "--weights", weights)
    assert "front_right/2.jpg is missing: view 'front_right' has 2 images, but 'front_left' has 2.png and 3" in error


def test_a_truncated_image_is_named_and_nothing_is_written(tmp_path, weights, rig_file, folders, capsys):
    path = folders / "front_left" / "10.png"
    path.write_bytes(path.read_bytes()[:-100])
    error = refused(capsys, folders, "--rig", rig_file, "--out", tmp_path / "out", "--weights", weights)
    assert f"{path} is truncated" in error
    assert not list((tmp_path / "out").iterdir())


def test_wrong_arguments_are_told_in_one_sentence(tmp_path, weights, rig_file, folders, capsys):
    (tmp_path / "file").write_text("")
    good = [folders, "--rig", rig_file, "--weights", weights, "--out", tmp_path / "out"]
    assert "cannot write" in refused(capsys, *good[:-1], tmp_path / "file" / "out")
    assert "no weights 'nothing'" in refused(capsys, *good, "--weights", "nothing")
    assert "--rig is missing" in refused(capsys, folders, "--out", tmp_path / "out", "--weights", weights)
    assert "--batch" in refused(capsys, *good, "--batch", "0")
    assert "--fps" in refused(capsys, *good, "--fps", "nan")
    assert "no view of rig" in refused(capsys, f"chin={folders}", *good[1:])
    assert "'front_right'" in refused(capsys, f"front_left={folders}/front_left", *good[1:])
    assert "does not exist" in refused(capsys, f"front_left={folders}/x", f"front_right={folders}/x", *good[1:])
    assert "nowhere does not exist" in refused(capsys, "nowhere", *good[1:])
    assert "egorear predict takes a dataset with --split" in refused(capsys, tmp_path, *good[1:])


def test_an_interrupt_leaves_no_half_result(tmp_path, weights, rig_file, folders, capsys, monkeypatch):
    from egorear.tracking.tracker import PoseTracker

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(PoseTracker, "predict", interrupted)
    argv = ["predict", str(folders), "--rig", rig_file, "--weights", weights, "--out", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "interrupted" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
