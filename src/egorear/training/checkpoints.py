"""Checkpoints that a kill at any moment leaves whole, that go on exactly, and that cannot carry code."""

import math
import signal
import sys
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only

from egorear.errors import UserError
from egorear.files import remove_leftovers
from egorear.models.checkpoint import read_checkpoint, write_checkpoint
from egorear.training.place import place_of, put_into

STOP_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")  # what clusters send some time before they kill, and Ctrl-C


@rank_zero_only
def _tell(line: str) -> None:
    print(f"\n{line}", file=sys.stderr, flush=True)


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and renames; reads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_checkpoint(path, checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = read_checkpoint(path)
        if "pytorch-lightning_version" not in checkpoint:
            raise UserError(f"{path} was not written by `egorear fit`: it lacks 'pytorch-lightning_version'")
        return checkpoint


class RunCheckpoints(Checkpoint):
    """Keeps `last.ckpt`, from which a run goes on exactly, and `best.ckpt`, the weights of the lowest `monitor`.

    `last.ckpt` is written between two batches, after the validation that was due: every `every_n_steps` steps, at the
    end, and when the process is told to stop (SIGTERM, SIGUSR1, Ctrl-C). A second Ctrl-C ends the run at once.
    """

    def __init__(self, folder: Path, every_n_steps: int, monitor: str) -> None:
        self.last, self.best = folder / "last.ckpt", folder / "best.ckpt"
        self.every_n_steps, self.monitor = every_n_steps, monitor
        self.lowest = math.inf
        self.told_to_stop = False
        self._saved_step = 0

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest = state_dict["lowest"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        put_into(checkpoint["loops"]["fit_loop"], place_of(trainer))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loaded = trainer._checkpoint_connector._loaded_checkpoint  # no public hook sees one without callbacks' states
        if loaded and "optimizer_states" not in loaded:
            raise UserError(
                f"{trainer.ckpt_path} holds weights alone, so no run can go on from it: continue from last.ckpt, or "
                "begin a new run with --model.init_from"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step = trainer.global_step
        if trainer.is_global_zero:
            remove_leftovers(self.last.parent)
        # Lightning's own handlers, which it restores at the end, would leave between two unfinished collectives.
        for name in STOP_SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._hear)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Lightning forgets this count when it resumes after a validation; the log's column `step` shows it.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        if self._must_stop(trainer) and batch_idx % trainer.accumulate_grad_batches == 0:
            self._save_last(trainer)
            raise KeyboardInterrupt
        if trainer.global_step != self._saved_step and trainer.global_step % self.every_n_steps == 0:
            self._save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics[self.monitor])
        if score < self.lowest:
            self.lowest = score
            trainer.save_checkpoint(self.best, weights_only=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Stopped by the clock between two batches of one step, its gradients are lost: the file before is the truth.
        if place_of(trainer).batch % trainer.accumulate_grad_batches == 0:
            self._save_last(trainer)

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.last)
        self._saved_step = trainer.global_step

    def _hear(self, number: int, _: object) -> None:
        self.told_to_stop = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _tell("stopping after this step; Ctrl-C again stops at once and loses what came after the last checkpoint")

    def _must_stop(self, trainer: Trainer) -> bool:
        """Whether any of the processes was told to stop: all of them must leave at the same batch."""
        if trainer.world_size == 1:
            return self.told_to_stop
        return trainer.strategy.reduce_boolean_decision(self.told_to_stop, all=False)
