"""The rule by which AG-EgoPose's golden weights and inputs follow from their names (tests/golden/README.md)."""

import gzip
import hashlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
ENTRIES: dict[str, dict[str, dict[str, Any]]] = json.loads(
    gzip.decompress((GOLDEN / "agegopose_state_dicts.json.gz").read_bytes())
)
"""Of the heatmap network and of the pose networks: each tensor's shape and what else is known of it, by its name."""
BRANCH = "encoder.actionformer_model.model.backbone.branch."


def goldens() -> dict[str, Tensor]:
    """All golden arrays by name."""
    return {name: torch.from_numpy(array) for name, array in np.load(GOLDEN / "agegopose_goldens.npz").items()}


def state_dict(net: str, window: int = 32, part: str = "", salt: str = "") -> dict[str, Tensor]:
    """The golden weights of "heatmap" or "pose" under the published names; NaN where no answer depends on them.

    part: of the pose networks only what begins so, without this prefix, as a published file has it.
    """
    state: dict[str, Tensor] = {}
    for name, entry in ENTRIES[net].items():
        if not name.startswith(part):
            continue
        shape = tuple(entry.get(f"shape_T{window}", entry["shape"]))
        if entry.get("unused"):
            value = torch.tensor(0 if name.endswith("tracked") else math.nan).expand(shape)
        else:
            value = tensor(entry.get("alias_of", name), shape, salt)
        state[name.removeprefix(part)] = value
    return state


def paper_blocks(salt: str = "") -> dict[str, Tensor]:
    """Weights of the eight blocks of group H: "paper_branch.0." and so on."""
    return {name: value for i in range(8) for name, value in block(f"paper_branch.{i}.", salt).items()}


def block(prefix: str, salt: str = "") -> dict[str, Tensor]:
    """Weights of one more temporal block, with the local names of the published ones."""
    local = {name.removeprefix(f"{BRANCH}0."): e for name, e in ENTRIES["pose"].items() if f"{BRANCH}0." in name}
    return {prefix + name: tensor(prefix + name, tuple(entry["shape"]), salt) for name, entry in local.items()}


@cache
def tensor(name: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """One golden tensor."""
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.tensor(0)
    rng = _rng(salt + name)
    if last == "running_var":
        return torch.from_numpy(rng.uniform(0.5, 1.5, shape).astype(np.float32))
    normal = torch.from_numpy(np.asarray(rng.standard_normal(shape), dtype=np.float32))
    if last == "running_mean":
        return normal * 0.1
    if last in ("bias", "in_proj_bias"):
        return normal * 0.02
    if len(shape) <= 1 or (len(shape) == 3 and shape[0] == shape[2] == 1):
        return 1 + normal * 0.1
    return normal / math.sqrt(math.prod(shape[1:]))


def normal_input(name: str, shape: tuple[int, ...]) -> Tensor:
    """A normally distributed golden input."""
    return torch.from_numpy(_rng(name).standard_normal(shape).astype(np.float32))


def frames(name: str, batch: int, frames: int) -> Tensor:
    """Golden images of 256 x 256 as the network takes them, "B T 3 H W"."""
    rng = _rng(name)
    base = torch.from_numpy(rng.standard_normal((batch, frames, 3, 4, 4)).astype(np.float32))
    fine = torch.from_numpy(rng.standard_normal((batch, frames, 3, 256, 256)).astype(np.float32))
    return base.repeat_interleave(64, -2).repeat_interleave(64, -1) + 0.25 * fine


def blobs(name: str, batch: int, frames: int) -> Tensor:
    """Golden heatmaps, one blob each."""
    rng = _rng(name)
    centre = rng.random((batch, frames, 15, 2, 1, 1)) * 64
    noise = rng.random((batch, frames, 15, 64, 64))
    across, down = np.arange(64)[None, :], np.arange(64)[:, None]
    squared = (across - centre[:, :, :, 0]) ** 2 + (down - centre[:, :, :, 1]) ** 2
    return torch.from_numpy((np.exp(-squared / 8) + 0.05 * noise).astype(np.float32))


def _rng(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
