"""Checkpoints that a kill at any moment leaves whole, and that cannot carry code."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from egorear.errors import UserError
from egorear.files import atomic_write
from egorear.models.checkpoint import read_checkpoint


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and renames; reads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with atomic_write(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # how torch says that the disk is full
                raise UserError(f"cannot write the checkpoint {path}: {error}".splitlines()[0]) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = read_checkpoint(path)
        if "pytorch-lightning_version" not in checkpoint:
            raise UserError(f"{path} was not written by `egorear fit`: it lacks 'pytorch-lightning_version'")
        return checkpoint


def last_checkpoint(folder: Path, every_n_steps: int) -> ModelCheckpoint:
    """Keeps `last.ckpt`, what `--ckpt_path last` finds."""
    return ModelCheckpoint(
        dirpath=folder, filename="last", every_n_train_steps=every_n_steps, enable_version_counter=False
    )


def best_checkpoint(folder: Path, monitor: str) -> ModelCheckpoint:
    """Keeps `best.ckpt`, the weights of the lowest `monitor` among all validations."""
    return ModelCheckpoint(
        dirpath=folder, filename="best", monitor=monitor, save_weights_only=True, enable_version_counter=False
    )
