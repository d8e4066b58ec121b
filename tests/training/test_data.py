"""Frames from memory are the frames of the files; no frame is lost or repeated."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import IterableDataset, get_worker_info

from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.frames import FrameStream
from egorear.errors import UserError
from egorear.training.batches import EndlessLoader, EpochBatches, shares
from egorear.training.data import FrameData
from egorear.training.memory import MemoryDataset

T = TypeVar("T")
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
    picture = source.image_path(1, "front_right")
    picture.write_bytes(source.image_path(2, "front_right").read_bytes())
    assert torch.equal(MemoryDataset(source, tmp_path).__getitems__([1]).images[0], source[1].images)


def test_validation_keeps_its_last_partial_batch(dataset: Path, cache: Path) -> None:
    for in_memory in (False, True):
        data = FrameData(str(dataset), VIEWS, 64, val_batch_size=4, workers=0, in_memory=in_memory, cache=str(cache))
        names = [name for batch in data.val_dataloader() for name in batch.name]
        assert names == [f"validation/walk/frame_{i}" for i in range(10)]


def flat(lists: Iterable[Iterable[T]]) -> list[T]:
    return list(itertools.chain.from_iterable(lists))


SHAPES = {"frames": st.integers(1, 60), "size": st.integers(1, 9), "ranks": st.integers(1, 4)}


@given(**SHAPES, epoch=st.integers(0, 3), data=st.data())
def test_processes_share_each_batch_and_a_resumed_run_sees_the_rest(
    frames: int, size: int, ranks: int, epoch: int, data: st.DataObject
) -> None:
    frames = max(frames, ranks)
    alone = EpochBatches(frames, size * ranks, seed=1, epoch=epoch)
    together = [EpochBatches(frames, size, 1, rank, ranks, epoch) for rank in range(ranks)]
    whole = list(alone)
    assert len(whole) == len(alone) == len(together[0])
    assert [flat(parts) for parts in zip(*together, strict=True)] == whole
    seen = flat(whole)
    assert len(set(seen)) == len(seen) > frames - size * ranks
    first = data.draw(st.integers(0, len(whole)))
    resumed = EpochBatches(frames, size * ranks, seed=1, epoch=epoch, batch=first)
    assert list(resumed) == whole[first:]
    assert list(resumed) == list(alone), "the epochs that follow are alike"


@given(**SHAPES)
def test_every_frame_is_judged_once_in_as_many_batches_by_each_process(frames: int, size: int, ranks: int) -> None:
    frames = max(frames, ranks)
    batches = [shares(frames, size, rank, ranks) for rank in range(ranks)]
    assert sorted(flat(flat(batches))) == list(range(frames))
    assert len({len(own) for own in batches}) == 1
    assert all(1 <= len(batch) <= size + (ranks > 1) for own in batches for batch in own)


def test_epochs_are_different_permutations() -> None:
    batches = EpochBatches(50, 10, seed=1)
    first, second = flat(batches), flat(batches)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != flat(EpochBatches(50, 10, seed=2, epoch=1))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_draws_each_epoch_once(dataset: Path, workers: int) -> None:
    data = FrameData(str(dataset), VIEWS, 64, batch_size=16, workers=workers)
    loader = data.train_dataloader()
    epochs = [[name for batch in loader for name in batch.name] for _ in range(2)]
    for epoch, names in enumerate(epochs):
        expected = flat(EpochBatches(48, 16, 42, epoch=epoch))
        assert names == [f"train/walk/frame_{i}" for i in expected]


class Count(FrameStream, IterableDataset[int]):
    """Endless numbers: each worker counts on by itself."""

    def set_rank(self, rank: int, world_size: int) -> None: ...

    def start_at(self, batches: int, batch_size: int) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return itertools.count(1000 * get_worker_info().id)


def test_epochs_of_a_stream_lose_nothing_that_was_made_ready() -> None:
    loader = EndlessLoader(Count(), 2, num_workers=2)
    seen = [batch.tolist() for _ in range(2) for batch in itertools.islice(loader, 3)]
    assert [numbers[0] for numbers in seen] == [0, 1000, 2, 1002, 4, 1004]


@pytest.mark.parametrize(("changed", "named"), [({"batch_size": 4}, "data.batch_size"), ({"seed": 1}, "data.seed")])
def test_another_order_is_refused_in_the_middle_of_an_epoch_only(
    dataset: Path, changed: dict[str, int], named: str
) -> None:
    options = {"batch_size": 8, "workers": 0, "seed": 42}
    state = {"epoch": 2, "batch": 3, "batches": 15, "order": FrameData(str(dataset), VIEWS, 64, **options)._order()}
    data = FrameData(str(dataset), VIEWS, 64, **{**options, **changed})
    data.load_state_dict(state)
    with pytest.raises(UserError, match=f"for which {named}"):
        data.train_dataloader()
    data.load_state_dict({**state, "batch": 0})
    assert len(data.train_dataloader().dataset) == 48
