"""The frames a stage learns from and is judged by."""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from egorear.datasets.frames import FrameDataset, FrameStream
from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.datasets.windows import WindowDataset
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.training.batches import EndlessLoader, EpochBatches, shares
from egorear.training.memory import MemoryDataset
from egorear.training.place import Place, place_of

LOOK_AFTER_S = 2.0
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FrameData(LightningDataModule):
    """Any dataset that is read (`datasets.opening.open_dataset`).

    root: the dataset's folder; which one it is follows from its lists, folders or index.
    views, image_size: those of the network (the command line links them to it, as it does with window).
    window: frames of a window, for networks that look along time; batches are "B T V …", and their sizes count
    windows. None: single frames. stride: training frames from one window to the next; default: half a window.
    Validation and test windows lie side by side, so that each frame counts once (`datasets.windows.covering`).
    batch_size: training frames a step and device. val_batch_size: default `batch_size`.
    workers: processes that read and decode; with `in_memory` only while the cache is made.
    in_memory: decode the whole split once into `cache` and serve batches from there (see `memory`): for small
    images, where decoding would take longer than training. seed: of the shuffling.
    stream: training frames that are rendered by the loader's workers instead of read, for instance
    `egorear.synth.stream.SynthStream` of the same rig and size; it never ends, so limit the epochs by
    `trainer.limit_train_batches`. Validation and test still come from `root`.

    A checkpoint holds which batch comes next (`state_dict`), so that a run goes on in the middle of an epoch.
    """

    def __init__(
        self,
        root: str,
        views: tuple[str, ...] = ("front_left", "front_right", "back_left", "back_right"),
        image_size: int = 256,
        batch_size: int = 32,
        val_batch_size: int | None = None,
        workers: int = min(4, CORES),
        in_memory: bool = False,
        cache: str = "~/.cache/egorear/frames",
        seed: int = 42,
        stream: FrameStream | None = None,
        window: int | None = None,
        stride: int | None = None,
    ) -> None:
        super().__init__()
        if window is not None and stream is not None:
            raise UserError("'data.stream' gives single frames, which a network of windows cannot be trained with")
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("val_batch_size", val_batch_size, 1),
            ("workers", workers, 0),
        ):
            if value is not None and value < least:
                raise UserError(f"'data.{name}' is {value} but must be at least {least}")
        self.root, self.views, self.image_size = root, views, image_size
        self.batch_size, self.val_batch_size = batch_size, val_batch_size or batch_size
        self.workers, self.in_memory, self.cache, self.seed = workers, in_memory, cache, seed
        self.stream = stream
        self.window, self.stride = window, stride
        self._opened: dict[str, FrameDataset] = {}
        self._decoded: dict[str, MemoryDataset] = {}
        self._windows: dict[str, WindowDataset] = {}
        self._start, self._order_then = Place(0, 0, 0), {}

    @property
    def rig(self) -> Rig | None:
        """The cameras of the frames, at their calibrated size; None before a split has been opened."""
        return next((data.rig for data in self._opened.values()), None)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the frames tell; Ego4View's before a split has been opened."""
        return next((data.skeleton for data in self._opened.values()), EGO4VIEW)

    def check(self, *splits: str, ranks: int = 1) -> None:
        """Opens what will be needed: bad input is told before processes are started and long work begins.

        Raises:
            UserError: a split cannot be read, has no run as long as a window, or has fewer frames or windows than
                there are processes.
        """
        for split in splits:
            if (split != "train" or self.stream is None) and (items := self._count(split)) < ranks:
                raise UserError(
                    f"{self.root} has {items} {self._items} in '{split}', which {ranks} processes cannot share: give "
                    "fewer --trainer.devices"
                )

    def prepare_data(self) -> None:
        """Decodes what `check` has opened; Lightning calls this in one process of each machine."""
        if self.in_memory:
            for split in self._opened:
                self._frames(split)

    def state_dict(self) -> dict[str, Any]:
        """Which batch of which order comes next."""
        if self.trainer is None:
            return {}
        return {**vars(place_of(self.trainer)), "order": self._order()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._order_then = state_dict["order"]
        self._start = Place(*(state_dict[name] for name in ("epoch", "batch", "batches")))

    def train_dataloader(self) -> DataLoader[Sample]:
        """Begins with the batch that comes next.

        Raises:
            UserError: the run goes on in the middle of an epoch, but its frames would come in another order.
        """
        rank, ranks = self._processes
        place, order = self._start, self._order()
        if place.batches if self.stream is not None else place.batch:
            for name, now in order.items():
                if (then := self._order_then.get(name)) != now:
                    raise UserError(
                        f"the run stands in the middle of an epoch for which {name} is {then}, now {now}: go on with "
                        "what it was, or begin a new run from its weights with --model.init_from"
                    )
        if self.stream is not None:
            self.stream.set_rank(rank, ranks)
            self.stream.start_at(place.batches, self.batch_size)
            return EndlessLoader(self.stream, self.batch_size, **self._how(self.workers, Sample.stack))
        data = self._data("train")
        batches = EpochBatches(len(data), self.batch_size, self.seed, rank, ranks, place.epoch, place.batch)
        return self._loader(data, batches)

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._judging("validation")

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._judging("test")

    def _judging(self, split: str) -> DataLoader[Sample]:
        data = self._data(split)
        return self._loader(data, shares(len(data), self.val_batch_size, *self._processes))

    @property
    def _processes(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _order(self) -> dict[str, int]:
        """What the order of the frames depends on, by the name that a user knows it by."""
        ranks = self._processes[1]
        if self.stream is not None:
            return {"data.batch_size": self.batch_size, "data.workers": self.workers, "trainer.devices": ranks}
        return {
            "data.batch_size times trainer.devices": self.batch_size * ranks,
            "data.seed": self.seed,
            f"the number of training {self._items}": self._count("train"),
        }

    def _open(self, split: str) -> FrameDataset:
        if split not in self._opened:
            self._opened[split] = open_dataset(self.root, split, self.image_size, self.views)
        return self._opened[split]

    def _frames(self, split: str) -> FrameDataset | MemoryDataset:
        if not self.in_memory:
            return self._open(split)
        if split not in self._decoded:  # to look whether any file has changed takes a while
            self._decoded[split] = MemoryDataset(self._open(split), self.cache, self.workers)
        return self._decoded[split]

    def _cut(self, split: str, window: int) -> WindowDataset:
        if split not in self._windows:
            stride = None
            if split == "train":
                stride = max(1, window // 2) if self.stride is None else self.stride
            try:
                self._windows[split] = WindowDataset(self._open(split), window, stride)
            except UserError as error:
                raise UserError(f"{self.root}, split '{split}': {error}") from error
        return self._windows[split]

    def _data(self, split: str) -> FrameDataset | MemoryDataset | WindowDataset:
        frames = self._frames(split)
        return frames if self.window is None else self._cut(split, self.window).of(frames)

    def _count(self, split: str) -> int:
        return len(self._open(split) if self.window is None else self._cut(split, self.window))

    @property
    def _items(self) -> str:
        return "frames" if self.window is None else f"windows of {self.window} frames"

    def _loader(
        self,
        data: FrameDataset | MemoryDataset | WindowDataset,
        batches: EpochBatches | list[list[int]],
    ) -> DataLoader[Sample]:
        collate = Sample.stack if isinstance(data, FrameDataset) else MemoryDataset.collate
        return DataLoader(data, batch_sampler=batches, **self._how(0 if self.in_memory else self.workers, collate))

    @staticmethod
    def _how(workers: int, collate: Callable[..., Sample]) -> dict[str, Any]:
        return {
            "num_workers": workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "persistent_workers": workers > 0,
            "worker_init_fn": partial(_live_with, os.getpid()),
        }


def _live_with(run: int, _: int) -> None:
    """Makes a worker end with the process of that number, neither before nor after it.

    A cluster and Ctrl-C tell all processes to stop; a worker that obeyed would end the run before it has been saved.
    And of a run that is killed torch's workers take notice by their parent, which is another process where a server
    forks them.
    """
    for name in ("SIGTERM", "SIGUSR1", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if os.name == "posix":
        threading.Thread(target=_end_after, args=(run,), daemon=True).start()


def _end_after(run: int) -> None:
    while True:
        time.sleep(LOOK_AFTER_S)
        try:
            os.kill(run, 0)  # only asks whether it is there
        except ProcessLookupError:
            os._exit(1)
