"""The rule by which EgoTAP's golden weights and inputs follow from their names (tests/golden/README.md)."""

import gzip
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES: dict[str, dict[str, dict]] = json.loads(gzip.decompress((GOLDEN / "egotap_state_dicts.json.gz").read_bytes()))
"""Of UnrealEgo's three networks: the tensors by name, each with its shape and perhaps the name it repeats."""
JOINTS, EGOCAP_JOINTS = 15, 17
CELLS = {  # the published name of the cell between joints: (inputs of its LSTM, width of F_P)
    "LSTM": (512, 512),
    "LSTMSplit": (256, 256),
    "LSTMNoRel": (256, 256),
    "None": (None, 512),
    "NoneNoRel": (None, 256),
}


def goldens() -> dict[str, Tensor]:
    """All golden arrays by name (of those that hold numbers)."""
    arrays = np.load(GOLDEN / "egotap_goldens.npz").items()
    return {name: torch.from_numpy(array) for name, array in arrays if array.dtype.kind != "U"}


def gradient_norms() -> dict[str, float]:
    """The length of each parameter's gradient in the golden training step of the lifter, by published name."""
    arrays = np.load(GOLDEN / "egotap_goldens.npz")
    return dict(zip(arrays["train.grad_names"].tolist(), arrays["train.grad_norm"].tolist(), strict=True))


def entries(net: str, cell: str = "PU") -> dict[str, dict]:
    """What a published state dict holds: "shape" and perhaps "alias_of" of each tensor, by its name.

    net: `joint_heatmap`, `limb_heatmap`, `lifter`, or one of these with `egocap_` in front.
    cell: of a lifter, "PU" or a key of `CELLS`.
    """
    published = net.removeprefix("egocap_")
    found = {name: dict(entry) for name, entry in SHAPES[published].items()}
    if cell != "PU":
        inputs, width = CELLS[cell]
        found = {name: entry for name, entry in found.items() if not name.startswith("skel_sequential_layer.")}
        found |= {name: {"shape": shape} for name, shape in _lstm(inputs, width).items()}
        found["pose_mlp.pose_fcs.0.weight"]["shape"] = [3, 256 + width]
        found["global_mlp.pose_fcs.0.weight"]["shape"] = [6, JOINTS * width]
    if net == "egocap_lifter":
        found = {name: entry for name, entry in found.items() if not name.startswith("global_mlp.")}
    elif net != published:
        for name in ("after_backbone.conv_heatmap.weight", "after_backbone.conv_heatmap.bias"):
            maps, *rest = found[name]["shape"]
            found[name]["shape"] = [maps // JOINTS * EGOCAP_JOINTS, *rest]
    return found


def state_dict(net: str, cell: str = "PU") -> dict[str, Tensor]:
    """The golden weights of a network (see `entries`), under the published names."""
    tensors: dict[str, Tensor] = {}  # by the name that counts, which an alias shares with what it repeats
    state: dict[str, Tensor] = {}
    for name, entry in entries(net, cell).items():
        source = entry.get("alias_of", name)
        if source not in tensors:
            tensors[source] = tensor(net, source, tuple(entry["shape"]))
        state[name] = tensors[source]
    return state


def tensor(net: str, name: str, shape: tuple[int, ...]) -> Tensor:
    """One golden tensor."""
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.tensor(0)
    rng = _rng(f"{net}/{name}")
    if last == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif last.startswith("bias"):
        value = 0.02 * rng.standard_normal(shape)
    elif last.startswith("weight") and len(shape) == 1:
        value = 1 + 0.1 * rng.standard_normal(shape)
    elif last.startswith("weight"):
        gain = 3 if name.startswith("skel_sequential_layer.") else 1
        value = gain * rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    else:
        value = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(value.astype(np.float32))


def normal_input(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """A normally distributed golden input."""
    return torch.from_numpy((scale * _rng(f"input/{name}").standard_normal(shape)).astype(np.float32))


def uniform_input(name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """An evenly distributed golden input."""
    return torch.from_numpy(_rng(f"input/{name}").uniform(low, high, shape).astype(np.float32))


def _lstm(inputs: int | None, hidden: int) -> dict[str, list[int]]:
    """Shapes of a torch LSTM of two layers, by name; none without `inputs`."""
    shapes: dict[str, list[int]] = {}
    for layer, width in enumerate(() if inputs is None else (inputs, hidden)):
        sizes = {"weight_ih": [4 * hidden, width], "weight_hh": [4 * hidden, hidden]}
        sizes |= {"bias_ih": [4 * hidden], "bias_hh": [4 * hidden]}
        shapes |= {f"skel_sequential_layer.lstm.{name}_l{layer}": size for name, size in sizes.items()}
    return shapes


def _rng(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))
