"""Training data that is never on a disk: takes are rendered inside the training process and its workers."""

from collections.abc import Iterator

from torch.utils.data import IterableDataset, get_worker_info

from egorear.datasets.frame import to_sample
from egorear.datasets.frames import FrameStream
from egorear.datasets.sample import Sample
from egorear.datasets.workers import use_one_thread
from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.synth.job import FIRST_HARD_TAKE, Recipe, Take


class SynthStream(FrameStream, IterableDataset[Sample]):
    """Endless frames of the training split, the same `Sample`s as a reader delivers, pictures without JPEG loss.

    Worker w of rank r renders takes w + r·workers, then every (workers · ranks)-th: all see different takes, and
    the same seed, workers and ranks give the same frames again. Every iteration begins with the first take, or where
    `start_at` puts it: takes that were over by then cost nothing, of those in hand only the rest is rendered.

    rig: file or name, see `read_rig`. interleave: takes in hand at once, from which frames are
    drawn in turn, so that a batch shows as many people and places. hard: share of the takes with hard motion.
    views: those of the rig that are rendered, in this order (default: all). For the rest see `Recipe`.

    Raises:
        UserError: a value is out of bounds, or the rig cannot be read.
    """

    def __init__(
        self,
        rig: str = "ego4view_syn",
        seed: int = 0,
        size: int = 256,
        samples: int = 1,
        fps: float = 6.0,
        take_frames: int = 10,
        motion: tuple[str, ...] = (),
        children: bool = False,
        shaken: bool = False,
        hard: float = 0.0,
        interleave: int = 16,
        views: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        if interleave < 1:
            raise UserError(f"'interleave' is {interleave} but must be at least 1")
        if not 0 <= hard <= 1:
            raise UserError(f"'hard' is {hard} but must be a share from 0 to 1")
        cameras = read_rig(rig) if views is None else read_rig(rig).select(views)
        self.recipe = Recipe(
            cameras, seed, size, samples, fps, take_frames, tuple(motion), children=children, shaken=shaken
        )
        self.interleave, self.hard = interleave, hard
        self.rank, self.world_size = 0, 1
        self.batches, self.batch_size = 0, 1  # delivered before the next iteration begins

    def set_rank(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size

    def start_at(self, batches: int, batch_size: int) -> None:
        self.batches, self.batch_size = batches, batch_size

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        if worker:
            use_one_thread()
        # A loader asks its workers in turn, and a new loader asks its first one first: whose turn it is, that one is.
        number = (number + self.batches) % workers
        delivered = (self.batches - number + workers - 1) // workers
        return self._samples(self.rank * workers + number, workers * self.world_size, delivered * self.batch_size)

    def _samples(self, first: int, step: int, position: int) -> Iterator[Sample]:
        """The samples from `position` on: each slot of `interleave` in turn gives a frame of the take it has."""
        takes: list[Iterator[Sample]] = [iter(())] * self.interleave
        start = position
        while True:
            turn, slot = divmod(position, self.interleave)
            generation, frame = divmod(turn, self.recipe.take_frames)
            if frame == 0 or position < start + self.interleave:
                takes[slot] = self._take(generation * self.interleave + slot, first, step, frame)
            yield next(takes[slot])
            position += 1

    def _take(self, ordinal: int, first: int, step: int, skip: int) -> Iterator[Sample]:
        """The frames of this worker's `ordinal`-th take but for the first ones to `skip`."""
        from egorear.synth import studio

        number = first + step * ordinal
        if int((ordinal + 1) * self.hard) > int(ordinal * self.hard):
            take = Take("train", FIRST_HARD_TAKE + number, self.recipe.take_frames, "hard")
        else:
            take = Take("train", number, self.recipe.take_frames)
        for index, images, truth in studio.take(self.recipe, take, range(skip)):
            yield to_sample(self.recipe.rig, images, truth, f"{take.name}/{index:06d}")
