"""Which frames make up which batch: the same for a run that was never stopped and one that goes on, for one process
and for several."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from egorear.datasets.sample import Sample


class EpochBatches(Sampler[list[int]]):
    """Training batches: each iteration is the next epoch, a permutation that follows from seed and epoch alone.

    Every process takes its part of each batch of batch_size · ranks frames, so that two processes of batch 8 see what
    one of batch 16 sees. What is left at the end of an epoch is dropped: a partial batch would give its few frames, and
    their BatchNorm statistics, the weight of a whole one. Fewer frames than one batch are shared out.

    epoch, batch: where the first iteration begins. frames: at least as many as ranks.
    """

    def __init__(
        self, frames: int, batch_size: int, seed: int, rank: int = 0, ranks: int = 1, epoch: int = 0, batch: int = 0
    ) -> None:
        self.frames, self.batch_size, self.seed = frames, batch_size, seed
        self.rank, self.ranks = rank, ranks
        self.epoch, self.batch = epoch, batch

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return max(1, self.frames // (self.batch_size * self.ranks))

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: an iteration counts when its first batch is taken, for a loader begins some in vain.
        epoch, first = self.epoch, self.batch
        self.epoch, self.batch = epoch + 1, 0
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        order = torch.randperm(self.frames, generator=generator).numpy()
        used = order[: len(self) * self.batch_size * self.ranks]
        for together in np.array_split(used, len(self))[first:]:
            yield np.array_split(together, self.ranks)[self.rank].tolist()


def shares(frames: int, batch_size: int, rank: int = 0, ranks: int = 1) -> list[list[int]]:
    """The batches of one process that judges: together the processes see every frame once, in as many batches each,
    because DistributedDataParallel meets at every batch. Sizes are nearly equal, at most batch_size + 1.

    frames: at least as many as ranks.
    """
    parts = np.array_split(np.arange(frames), ranks)
    batches = -(-len(parts[-1]) // batch_size)
    return [batch.tolist() for batch in np.array_split(parts[rank], batches)]


class EndlessLoader(DataLoader[Sample]):
    """Every iteration goes on where the one before was left, with what the workers have made ready meanwhile."""

    def __iter__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._get_iterator()
        return self._iterator
