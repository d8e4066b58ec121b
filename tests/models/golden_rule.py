"""The rule by which the golden files' weights and inputs follow from their names (tests/golden/README.md)."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES: dict[str, dict[str, list[int]]] = json.loads(
    gzip.decompress((GOLDEN / "egorear_state_dicts.json.gz").read_bytes())
)


def goldens() -> dict[str, Tensor]:
    """All golden arrays by name."""
    files = ("egorear_goldens.npz", "egoposeformer_goldens.npz")
    return {name: torch.from_numpy(a) for file in files for name, a in np.load(GOLDEN / file).items()}


def state_dict(variant: str) -> dict[str, Tensor]:
    """The state dict of a published network, under its published names."""
    return {name: _tensor(name, tuple(shape)) for name, shape in SHAPES[variant].items()}


def images(variant: str) -> Tensor:
    """The input of a golden case."""
    batch = 1 if variant.startswith("refiner") else 2
    views = 2 if variant in ("syn2", "rw2", "heatmap2", "egoposeformer") else 4
    shape = (batch, views, 3, 256, 256)
    return torch.from_numpy(_rng(f"input:{variant}").standard_normal(shape).astype(np.float32))


def _tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    *path, last = name.split(".")
    constants = {"num_batches_tracked": 0, "spatial_shapes": [[64, 64]], "start_index": [0]}
    if last in constants:
        return torch.tensor(constants[last])
    rng = _rng(name)
    z = rng.standard_normal(shape).astype(np.float32)
    if last == "running_var":
        value = rng.random(shape) + 0.5
    elif last == "running_mean":
        value = 0.1 * z
    elif len(shape) <= 1:
        value = 1 + 0.1 * z if last == "weight" else 0.02 * z
    elif last in ("weight", "in_proj_weight"):
        embedding = bool(path) and "embed" in path[-1]
        value = 0.5 * z if embedding else z * np.sqrt(2 / np.prod(shape[1:]))
    else:
        value = 0.02 * z
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def _rng(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
