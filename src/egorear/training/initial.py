"""Starts a stage from what has been learnt before: by earlier stages, or by somebody else."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.agegopose_official import load_actionformer
from egorear.models.checkpoint import read_checkpoint
from egorear.models.egorear import EgoRear
from egorear.models.egotap import EgoTAP
from egorear.models.motion_encoder import MotionEncoder
from egorear.models.pretrained import load_pretrained, not_finite, state_difference

AVERAGE, NETWORK = "average.", "network."  # of a Stage's state dict; the average is the better one
BEHIND_HEATMAPS = ("lifter.", "confidence.")  # parts of EgoRear that EgoTAP, which lifts its heatmaps, has no place for


@dataclass(frozen=True)
class InitialPart:
    """One part of the network from anywhere.

    part: where it goes, dots lead inwards ("static.backbone"). path: a folder of `save_pretrained`, a checkpoint of
    training, weights of torchvision's ResNets, or, for a motion encoder, a checkpoint of ActionFormer.
    source: the part to take from there; None: the whole of it.
    """

    part: str
    path: str
    source: str | None = None


def load_parts(network: nn.Module, path: str | Path) -> list[str]:
    """Loads every part of `network` that the file has too, and returns their names. Parts are its direct children,
    and each entry of those that are dicts: "lifter", "estimators.front". A whole EgoRear is one part of EgoTAP, its
    "joint_maps".

    path: a checkpoint of an earlier stage (`.ckpt`), or a folder written by `save_pretrained`.

    Raises:
        UserError: it cannot be read, a common part has other shapes or is not finite, there is no common part, or a
            folder's network has the same views in another order.
    """
    path = Path(path)
    if path.is_dir():
        started = load_pretrained(path)
        _check_order(path, started, network)
        state = started.state_dict()
    else:
        state = _network_of(path, read_checkpoint(path))
    if isinstance(network, EgoTAP) and any(name.startswith("estimators.") for name in state):
        if not isinstance(network.joint_maps, EgoRear):
            raise UserError(f"{path} is an EgoRear, of which this network has none: look at 'model.egotap.egorear'")
        state = {f"joint_maps.{name}": tensor for name, tensor in state.items()}
    loaded = []
    for name, part in parts_of(network).items():
        given = _below(name, state)
        if not given:
            continue
        _load(part, given, f"{path} cannot start '{name}' of this network")
        loaded.append(name)
    if not loaded:
        raise UserError(f"{path} has no part of this network, which has {', '.join(parts_of(network))}")
    return loaded


def load_part(network: nn.Module, initial: InitialPart) -> None:
    """Loads one part of `network`.

    Raises:
        UserError: the network has no such part, the file cannot be read or has no such part, shapes differ, or a
            tensor is not finite.
    """
    part, path = submodule(network, initial.part, "model.init_parts"), Path(initial.path)
    state = load_pretrained(path).state_dict() if path.is_dir() else _weights_of(path)
    if initial.source is not None:
        state = _below(initial.source, state)
        if not state:
            raise UserError(f"{path} has no part '{initial.source}', which 'model.init_parts' names")
    if isinstance(part, MotionEncoder) and any("backbone.branch." in name for name in state):
        try:
            load_actionformer(part, state)
        except UserError as error:
            raise UserError(f"{path} cannot start '{initial.part}' of this network: {error}") from error
        return
    # Old files of torchvision do not tell how many batches they have seen.
    counts = {name: t for name, t in part.state_dict().items() if name.endswith("num_batches_tracked")}
    weights = {name: t for name, t in state.items() if not name.startswith("fc.")}
    _load(part, counts | weights, f"{path} cannot start '{initial.part}' of this network")


def submodule(network: nn.Module, name: str, field: str) -> nn.Module:
    """The part of that name, dots lead inwards.

    Raises:
        UserError: there is none; `field` is where the name stands.
    """
    part = network
    for child in name.split("."):
        parts = dict(part.named_children())
        if child not in parts:
            raise UserError(f"'{field}' names '{name}' but the network has only {', '.join(parts)}")
        part = parts[child]
    return part


def parts_of(network: nn.Module) -> dict[str, nn.Module]:
    """The parts that stages hand on, by name."""
    parts = {}
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            parts |= {f"{name}.{key}": entry for key, entry in child.items()}
        else:
            parts[name] = child
    return parts


def _check_order(path: Path, started: nn.Module, network: nn.Module) -> None:
    """Refuses a network of the same views in another order: what was learnt for one would be taken for another."""
    theirs, ours = (getattr(getattr(each, "config", None), "views", ()) for each in (started, network))
    if theirs != ours and sorted(theirs) == sorted(ours):
        raise UserError(f"{path} has the views {', '.join(theirs)} but must have them in the order {', '.join(ours)}")


def _load(part: nn.Module, state: dict[str, Tensor], what: str) -> None:
    if isinstance(part, EgoRear):
        state = {name: tensor for name, tensor in state.items() if not name.startswith(BEHIND_HEATMAPS)}
    if problem := state_difference(part.state_dict(), state) or not_finite(state):
        raise UserError(f"{what}: {problem}")
    part.load_state_dict(state)


def _below(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): t for key, t in state.items() if key.startswith(f"{name}.")}


def _network_of(path: Path, content: dict[str, object]) -> dict[str, Tensor]:
    state = content.get("state_dict")
    if not isinstance(state, dict):
        raise UserError(f"{path} has no 'state_dict': a checkpoint that training has written was expected")
    prefix = AVERAGE if any(key.startswith(AVERAGE) for key in state) else NETWORK
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def _weights_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a file under their names there; of a checkpoint of ours, those of its network."""
    content = read_checkpoint(path)
    state = content.get("state_dict", content)
    if isinstance(state, dict) and any(name.startswith(NETWORK) for name in state):
        return _network_of(path, content)
    return {name: t for name, t in state.items() if isinstance(t, Tensor)} if isinstance(state, dict) else {}
