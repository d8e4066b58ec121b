"""poses.npz: there and back, and every way it can be wrong."""

import zipfile

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.poses import SCHEMA, Poses


def some_poses(frames: int = 3) -> Poses:
    rng = np.random.default_rng(0)
    return Poses(
        joints=rng.normal(size=(frames, 2, 3)).astype(np.float32),
        confidence=rng.random((frames, 2)).astype(np.float32),
        frame_names=[f"anna/1/{index:04} ü" for index in range(frames)],
        timestamps=np.arange(frames) / 30,
        rig_hash="0123456789ab",
        model_id="tiny-1",
        joint_names=("Head", "Neck"),
    )


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_poses_are_read_as_they_were_saved(tmp_path, frames):
    poses = some_poses(frames)
    poses.save(tmp_path / "poses.npz")
    again = Poses.load(tmp_path / "poses.npz")
    for name in ("joints", "confidence", "timestamps"):
        np.testing.assert_array_equal(getattr(again, name), getattr(poses, name))
    for name in ("frame_names", "rig_hash", "model_id", "joint_names"):
        assert getattr(again, name) == getattr(poses, name)
    assert len(again) == frames
    assert [path.name for path in tmp_path.iterdir()] == ["poses.npz"]


@pytest.mark.parametrize(("rows", "kept"), [([2, 0], [2, 0]), (slice(1, None), [1, 2]), ([], [])])
def test_some_of_the_frames(rows, kept):
    poses = some_poses()
    some = poses.select(rows)
    assert some.frame_names == [poses.frame_names[row] for row in kept]
    np.testing.assert_array_equal(some.joints, poses.joints[kept])
    np.testing.assert_array_equal(some.confidence, poses.confidence[kept])
    np.testing.assert_array_equal(some.timestamps, poses.timestamps[kept])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": np.array("other")}, f"'schema' must be \"{SCHEMA}\""),
        ({"version": np.array(2)}, "'version' is 2 but this release reads version 1"),
        ({"joints": np.zeros((3, 2, 2), np.float32)}, r"'joints' has shape \(3, 2, 2\) but must be \(3, 2, 3\)"),
        ({"joints": np.zeros((3, 5, 3), np.float32)}, r"'joints' has shape \(3, 5, 3\) but must be \(3, 2, 3\)"),
        ({"joints": np.full((3, 2, 3), np.nan, np.float32)}, "'joints' must be finite"),
        ({"confidence": np.zeros(3, np.float32)}, "'confidence' must be floating numbers with 2 dimensions"),
        ({"timestamps": np.zeros(4)}, r"'timestamps' has shape \(4,\)"),
        ({"frame_names": np.arange(3)}, "'frame_names' must be text"),
        ({"frame_names": None}, "'frame_names' must be text"),
        ({"joints": np.array([None, None])}, "not a whole .npz file of plain arrays"),  # would need pickle
    ],
)
def test_a_wrong_field_is_named(tmp_path, change, message):
    path = tmp_path / "poses.npz"
    some_poses().save(path)
    with np.load(path) as file:
        arrays = dict(file) | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(UserError, match=message) as caught:
        Poses.load(path)
    assert str(path) in str(caught.value)


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    path = tmp_path / "poses.npz"
    with pytest.raises(UserError, match="cannot read"):
        Poses.load(path)
    some_poses().save(path)
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"not a zip"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"not a whole \.npz"):
            Poses.load(path)


def npy(header: bytes, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "joints",
    [
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 16, 3)}", b"\0" * 64),  # a lie
        npy(b"{'descr': open('executed', 'w'), 'fortran_order': False, 'shape': ()}"),
        npy(b"{'descr':  (" + b" " * 40),  # numpy lets a tokenizer's error out
        npy(b"(" * 20_000),
    ],
    ids=["huge", "expression", "unfinished", "nested"],
)
def test_a_hostile_array_is_refused_in_one_sentence_unexecuted(tmp_path, monkeypatch, joints):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "poses.npz"
    some_poses().save(path)
    with np.load(path) as file:
        np.savez(path, **{name: array for name, array in file.items() if name != "joints"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("joints.npy", joints)
    with pytest.raises(UserError, match=r"poses\.npz is not a whole") as refusal:
        Poses.load(path)
    assert "\n" not in str(refusal.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["poses.npz"]
