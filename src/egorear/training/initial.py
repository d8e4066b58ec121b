"""Starts a stage from what the stage before has learnt."""

from pathlib import Path

from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.checkpoint import read_checkpoint
from egorear.models.pretrained import load_pretrained, state_difference

AVERAGE, NETWORK = "average.", "network."  # of a Stage's state dict; the average is the better one


def load_parts(network: nn.Module, path: str | Path) -> list[str]:
    """Loads every part of `network` that the file has too, and returns their names. Parts are its direct children,
    and each entry of those that are dicts: "lifter", "estimators.front".

    path: a checkpoint of an earlier stage (`.ckpt`), or a folder written by `save_pretrained`.

    Raises:
        UserError: it cannot be read, a common part has other shapes, or there is no common part.
    """
    path = Path(path)
    state = load_pretrained(path).state_dict() if path.is_dir() else _network_of(path)
    loaded = []
    for name, part in parts_of(network).items():
        given = {key.removeprefix(f"{name}."): t for key, t in state.items() if key.startswith(f"{name}.")}
        if not given:
            continue
        if problem := state_difference(part.state_dict(), given):
            raise UserError(f"{path} cannot start '{name}' of this network: {problem}")
        part.load_state_dict(given)
        loaded.append(name)
    if not loaded:
        raise UserError(f"{path} has no part of this network, which has {', '.join(parts_of(network))}")
    return loaded


def parts_of(network: nn.Module) -> dict[str, nn.Module]:
    """The parts that stages hand on, by name."""
    parts = {}
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            parts |= {f"{name}.{key}": entry for key, entry in child.items()}
        else:
            parts[name] = child
    return parts


def _network_of(path: Path) -> dict[str, Tensor]:
    state = read_checkpoint(path).get("state_dict")
    if not isinstance(state, dict):
        raise UserError(f"{path} has no 'state_dict': a checkpoint that training has written was expected")
    prefix = AVERAGE if any(key.startswith(AVERAGE) for key in state) else NETWORK
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
