"""The frames a stage learns from and is judged by."""

from collections.abc import Callable, Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from egorear.datasets.frames import FrameDataset, FrameStream
from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.training.memory import MemoryDataset


class FrameData(LightningDataModule):
    """Ego4View-Syn, Ego4View-RW, anything in their layout, or shards.

    root: the dataset's folder; which of the three it is follows from its lists or index.
    views, image_size: those of the network (the command line links them to it).
    batch_size: training frames a step and device. val_batch_size: default `batch_size`.
    workers: processes that read and decode; with `in_memory` only while the cache is made.
    in_memory: decode the whole split once into `cache` and serve batches from there (see `memory`): for small
    images, where decoding would take longer than training. seed: of the shuffling.
    stream: training frames that are rendered by the loader's workers instead of read, for instance
    `egorear.synth.stream.SynthStream` of the same rig and size; it never ends, so limit the epochs by
    `trainer.limit_train_batches`. Validation and test still come from `root`.
    """

    def __init__(
        self,
        root: str,
        views: tuple[str, ...] = ("front_left", "front_right", "back_left", "back_right"),
        image_size: int = 256,
        batch_size: int = 32,
        val_batch_size: int | None = None,
        workers: int = 4,
        in_memory: bool = False,
        cache: str = "~/.cache/egorear/frames",
        seed: int = 42,
        stream: FrameStream | None = None,
    ) -> None:
        super().__init__()
        self.root, self.views, self.image_size = root, views, image_size
        self.batch_size, self.val_batch_size = batch_size, val_batch_size or batch_size
        self.workers, self.in_memory, self.cache, self.seed = workers, in_memory, cache, seed
        self.stream = stream

    def train_dataloader(self) -> DataLoader[Sample]:
        if self.stream is not None:
            if self.trainer is not None:
                self.stream.set_rank(self.trainer.global_rank, self.trainer.world_size)
            return self._loader(self.stream, self.batch_size)
        data = self._open("train")
        shuffled = EpochShuffle(len(data), self.seed)
        # A last partial batch would give its few frames, and their BatchNorm statistics, the weight of a whole one.
        return self._loader(data, self.batch_size, shuffled, drop_last=len(data) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._loader(self._open("validation"), self.val_batch_size)

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._loader(self._open("test"), self.val_batch_size)

    def _open(self, split: str) -> FrameDataset | MemoryDataset:
        data = open_dataset(self.root, split, self.image_size, self.views)
        return MemoryDataset(data, self.cache, self.workers) if self.in_memory else data

    def _loader(
        self,
        data: FrameDataset | MemoryDataset | FrameStream,
        batch_size: int,
        sampler: Sampler[int] | None = None,
        drop_last: bool = False,
    ) -> DataLoader[Sample]:
        in_memory = isinstance(data, MemoryDataset)
        workers = 0 if in_memory else self.workers
        collate: Callable[..., Sample] = MemoryDataset.collate if in_memory else Sample.stack
        return DataLoader(
            data,
            batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=workers > 0,
        )


class EpochShuffle(Sampler[int]):
    """A permutation that depends on seed and epoch alone, so that a resumed run sees what it would have seen.

    Lightning calls `set_epoch`; for several devices it puts its own distributed sampler in this one's place.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        return iter(torch.randperm(self.length, generator=generator).tolist())
