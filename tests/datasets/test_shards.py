"""Shards: what goes in comes out, from the same bytes every time, and what is not ours or not whole is refused."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.datasets.test_writer import IMAGES, VIEWS, frame_truth, rich_truth
from torch.utils.data import DataLoader

from egorear.datasets.consistency import check_truth
from egorear.datasets.ego4view import Ego4ViewSyn
from egorear.datasets.frame import encode_frame
from egorear.datasets.index import Index, digest_file, verify
from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.datasets.shard_writer import ShardWriter
from egorear.datasets.shards import ShardDataset
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn

FRAMES = [(f"take_{k // 2}", f"{k % 2:06}", rich_truth(k) if k else frame_truth(0)) for k in range(5)]


def write(root: Path) -> Path:
    rig = ego4view_syn()
    writer, parts = ShardWriter(root, rig), {}
    for number, frames in enumerate((FRAMES[:2], FRAMES[2:])):
        name = f"test-{number:06}"
        with writer.shard(name) as shard:
            for sequence, stem, truth in frames:
                shard.add(f"anna/{sequence}/{stem}", encode_frame(rig, IMAGES, truth))
        parts[f"{name}.tar"] = digest_file(writer.path(name), len(frames))
    Index("shards", rig.hash(), (64, 64), 2).with_split("test", parts).save(root)
    return root


@pytest.fixture
def shards(tmp_path) -> Path:
    return write(tmp_path / "shards")


def repack(path: Path, change) -> None:
    """Writes a shard anew, members changed by `change(name, data) -> [(name, data), ...]`, and its index to match."""
    with tarfile.open(path) as tar:
        members = [(m.name, tar.extractfile(m).read()) for m in tar]
    with tarfile.open(path, "w") as tar:
        for name, data in (new for member in members for new in change(*member)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    index = Index.load(path.parent)
    parts = dict(index.splits["test"])
    parts[path.name] = digest_file(path, parts[path.name].frames)
    index.with_split("test", parts).save(path.parent)


def test_the_same_samples_as_from_folders(shards, tmp_path):
    writer = SynWriter(tmp_path / "syn", ego4view_syn())
    for sequence, stem, truth in FRAMES:
        writer.write("anna", sequence, stem, IMAGES, truth)
    writer.write_splits({"test": ["anna"]})
    tars, folders = ShardDataset(shards, "test", 32, check=True), Ego4ViewSyn(tmp_path / "syn", "test", 32)
    assert tars.names == folders.names
    for index in (4, 0, 2, 1, 3):
        mine, theirs = tars[index], folders[index]
        assert mine.name == theirs.name
        assert torch.equal(mine.images, theirs.images)
        assert torch.equal(mine.joints, theirs.joints)
        assert torch.equal(mine.joints_2d, theirs.joints_2d)
        assert torch.equal(mine.visibility, theirs.visibility)
        assert torch.equal(mine.rig.T_camera_device, theirs.rig.T_camera_device)
        assert tars.maps(index).keys() == folders.maps(index).keys()
    assert check_truth(tars).agrees(pixels=0.01, millimetres=0.01)
    assert np.array_equal(tars.maps(3)["back_right"].depth_m, folders.maps(3)["back_right"].depth_m)


def test_the_same_frames_make_the_same_bytes(shards, tmp_path):
    again = write(tmp_path / "again")
    for path in shards.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    with tarfile.open(shards / "test-000000.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}
        assert [m.name for m in tar][:6] == [
            *(f"anna/take_0/000000.{view}.jpg" for view in sorted(VIEWS)),
            "anna/take_0/000000.json",
            "anna/take_0/000001.back_left.jpg",
        ]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loaders_read_them(shards, context):
    dataset = open_dataset(shards, "test", 16, ("back_left", "front_left"))
    loader = DataLoader(dataset, 2, num_workers=1, collate_fn=Sample.stack, multiprocessing_context=context)
    dataset[0]  # opens a shard in this process first
    batches = list(loader)
    assert [len(batch.joints) for batch in batches] == [2, 2, 1]
    assert batches[0].images.shape == (2, 2, 3, 16, 16)
    with pytest.raises(IndexError):
        dataset[5]
    assert [dataset.truth_file(index).name for index in (1, 2, -1)] == ["test-000000.tar", *["test-000001.tar"] * 2]


def test_a_copy_that_is_cut_short_or_changed_is_found(shards):
    path = shards / "test-000001.tar"
    data = path.read_bytes()
    path.write_bytes(data[:-512])
    with pytest.raises(UserError, match=r"test-000001\.tar has \d+ bytes but index\.json says"):
        ShardDataset(shards, "test")
    path.write_bytes(data[:-2000] + b"x" + data[-1999:])
    ShardDataset(shards, "test")
    with pytest.raises(UserError, match="checksum differs"):
        ShardDataset(shards, "test", check=True)
    assert [name for name, fault in verify(shards) if fault] == ["test-000001.tar"]
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*test-000001\.tar"):
        ShardDataset(shards, "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, data: [("../" + name, data)], "is no file of a frame"),
        (lambda name, data: [("/etc/passwd", data)], "is no file of a frame"),
        (lambda name, data: [(name, data), (name, data)], "occurs twice"),
        (lambda name, data: [] if "front_left.jpg" in name else [(name, data)], r"front_left\.jpg is missing"),
        (lambda name, data: [(name, data)] * ("000001" not in name), "has 1 frames"),
        (lambda name, data: [(name, data[:50])], "is not valid JSON|is truncated"),
        (lambda name, data: [(name, data.replace(b'"rig":"', b'"rig":"x'))], "taken by other cameras"),
    ],
)
def test_tricks_and_damage_inside_a_shard_are_refused(shards, change, words):
    repack(shards / "test-000000.tar", change)
    with pytest.raises(UserError, match=words):
        ShardDataset(shards, "test")[0]


def test_what_is_no_tar_is_refused(shards):
    path = shards / "test-000000.tar"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(UserError, match=r"test-000000\.tar"):
        ShardDataset(shards, "test")[0]


def test_another_rig_is_refused(shards):
    with pytest.raises(UserError, match="is another rig"):
        ShardWriter(shards, ego4view_syn().select(VIEWS[:2]))
    ego4view_syn().select(VIEWS[:2]).save(shards / "rig.json")
    with pytest.raises(UserError, match=r"rig\.json is rig .* but index\.json says"):
        ShardDataset(shards, "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other"}, "'schema'"),
        ({"version": 9}, "'version' is 9"),
        ({"layout": "zip"}, "'layout'"),
        ({"joints": ["Head"]}, "'joints'"),
        ({"image_size": [0, 64]}, "'image_size'"),
        ({"hash": "0"}, "'hash' is not that of the parts"),
        ({"splits": {"test": {"parts": {"../x.tar": {"frames": 1, "bytes": 1, "sha256": ""}}}}}, "inside the dataset"),
        ({"splits": {"test": {"parts": {"x.tar": {"frames": -1, "bytes": 1, "sha256": ""}}}}}, "two counts"),
        ({"splits": {"test": {"parts": []}}}, "must be an object"),
        ({"splits": {"holdout": {}}}, "'splits'"),
    ],
)
def test_a_damaged_index_is_refused_by_its_field(shards, change, words):
    path = shards / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=words):
        ShardDataset(shards, "test")


def test_a_split_that_is_not_finished_is_told(shards):
    with pytest.raises(UserError, match="no frames of split 'train'"):
        ShardDataset(shards, "train")


def test_half_a_shard_never_has_its_name(tmp_path):
    writer = ShardWriter(tmp_path, ego4view_syn())

    def stop_halfway() -> None:
        with writer.shard("test-000000") as shard:
            shard.add("anna/1/0", encode_frame(ego4view_syn(), IMAGES, frame_truth()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()
    assert not writer.frames_in("test-000000")
    assert [path.name for path in tmp_path.iterdir()] == ["rig.json"]
