"""Frames from memory are the frames of the files; no frame is lost or repeated."""

from pathlib import Path

import torch

from egorear.datasets.ego4view import open_ego4view
from egorear.training.data import EpochShuffle, FrameData
from egorear.training.memory import MemoryDataset

VIEWS = ("front_left", "front_right")


def test_memory_holds_what_the_files_hold(dataset: Path, tmp_path: Path) -> None:
    source = open_ego4view(dataset, "validation", 64, VIEWS)
    for _ in range(2):  # decoded, then mapped
        batch = MemoryDataset(source, tmp_path).__getitems__([7, 2])
        for row, index in enumerate((7, 2)):
            sample = source[index]
            assert torch.equal(batch.images[row], sample.images)
            assert torch.equal(batch.joints[row], sample.joints)
            assert torch.equal(batch.joints_2d[row], sample.joints_2d)
            assert torch.equal(batch.visible[row], sample.visible)
            assert torch.equal(batch.rig.T_camera_device[row], sample.rig.T_camera_device.float())
            assert batch.name[row] == sample.name
        assert batch.rig.cameras == source[0].rig.cameras
    assert [path.name[0] for path in tmp_path.iterdir()] != ["."], "an unfinished folder was left"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_changed_frame_or_size_is_decoded_anew(dataset: Path, tmp_path: Path) -> None:
    source = open_ego4view(dataset, "test", 64, VIEWS)
    MemoryDataset(source, tmp_path)
    MemoryDataset(open_ego4view(dataset, "test", 32, VIEWS), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    path = source.truth_file(0)
    path.write_text(path.read_text() + " ")
    MemoryDataset(source, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_validation_keeps_its_last_partial_batch(dataset: Path, cache: Path) -> None:
    for in_memory in (False, True):
        data = FrameData(str(dataset), VIEWS, 64, val_batch_size=4, workers=0, in_memory=in_memory, cache=str(cache))
        names = [name for batch in data.val_dataloader() for name in batch.name]
        assert names == [f"validation/walk/frame_{i}" for i in range(10)]


def test_epochs_are_different_permutations_that_a_seed_repeats() -> None:
    sampler, again = EpochShuffle(50, seed=1), EpochShuffle(50, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    again.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second == list(again)
