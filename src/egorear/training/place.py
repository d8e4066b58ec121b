"""Where a run stands between two batches: what a checkpoint must know to go on with the next one."""

from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Trainer


@dataclass(frozen=True)
class Place:
    """epoch: the one in progress. batch: its batches that are done. batches: those of all epochs."""

    epoch: int
    batch: int
    batches: int


def place_of(trainer: Trainer) -> Place:
    """Where the fit of `trainer` stands; a whole epoch counts as the beginning of the next one."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    begun, done = trainer.fit_loop.epoch_progress.total.ready, progress.current.completed
    if done >= trainer.num_training_batches or begun == 0:
        return Place(begun, 0, progress.total.completed)
    return Place(begun - 1, done, progress.total.completed)


def put_into(fit_loop: dict[str, Any], place: Place) -> None:
    """Rewrites the state of Lightning's loops, as a checkpoint holds it, to stand at `place`.

    Lightning writes its counters down as they are in the middle of a hook and guesses from them what was going on. At
    the end of an epoch, or after `max_steps` has cut one short, it guesses wrong; counters that agree with each other
    leave nothing to guess.
    """
    begun = place.epoch + (place.batch > 0)
    epochs = {"ready": begun, "started": begun, "processed": place.epoch, "completed": place.epoch}
    fit_loop["epoch_progress"] = {"total": epochs, "current": dict(epochs)}
    counters = ("ready", "started", "processed", "completed")
    fit_loop["epoch_loop.batch_progress"] = {
        "total": dict.fromkeys(counters, place.batches),
        "current": dict.fromkeys(counters, place.batch),
        "is_last_batch": False,
    }
