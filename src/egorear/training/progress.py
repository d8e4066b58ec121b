"""Progress for log files: one plain line now and then, where a bar would fill the file."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class PlainProgress(Callback):
    """Prints step, loss and speed every `log_every_n_steps` steps, and each validation's results."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step, self._time = trainer.global_step, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        steps = trainer.global_step - self._step
        if steps < getattr(trainer, "log_every_n_steps", 50):
            return
        now = time.monotonic()
        frames = steps * trainer.accumulate_grad_batches * trainer.world_size * len(batch.joints)
        place = f"step {trainer.global_step} epoch {trainer.current_epoch}"
        _say(f"{place} {_values(trainer, 'loss')} {frames / (now - self._time):.1f} frames/s")
        self._step, self._time = trainer.global_step, now

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking:
            _say(f"step {trainer.global_step} validation {_values(trainer, 'val/')}")
            self._step, self._time = trainer.global_step, time.monotonic()


def _values(trainer: Trainer, prefix: str) -> str:
    values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
    return " ".join(f"{name}={value.item():.5g}" for name, value in values.items())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
