"""A trained network as a folder: `model.safetensors` beside `config.json`, which says what to build."""

import dataclasses
import reprlib
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.files import atomic_write, read_json, write_json
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig
from egorear.models.egoposeformer import EgoPoseFormer, EgoPoseFormerConfig
from egorear.models.egorear import EgoRear, EgoRearConfig
from egorear.models.egotap import EgoTAP, EgoTAPConfig

WEIGHTS, CONFIG = "model.safetensors", "config.json"
LARGEST_SIZE = 2**14  # of any width or count in a configuration: more would never finish being built
CLASSES: dict[str, tuple[type, type[nn.Module]]] = {
    "EgoRear": (EgoRearConfig, EgoRear),
    "EgoPoseFormer": (EgoPoseFormerConfig, EgoPoseFormer),
    "EgoTAP": (EgoTAPConfig, EgoTAP),
    "AGEgoPose": (AGEgoPoseConfig, AGEgoPose),
}


def save_pretrained(model: nn.Module, folder: str | Path, half: bool = False) -> None:
    """Writes `model.safetensors`, then `config.json`, each atomically. half: store float16, half the size.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    state = {}
    for name, tensor in model.state_dict().items():
        dtype = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
        # A clone, because safetensors refuses tensors that share memory.
        state[name] = tensor.detach().to("cpu", dtype).contiguous().clone()
    with atomic_write(folder / WEIGHTS) as temporary:
        try:
            save_file(state, temporary)
        except SafetensorError as error:  # a full disk among others
            raise UserError(f"cannot write {folder / WEIGHTS}: {error}") from error
    config = {"class": type(model).__name__, "config": dataclasses.asdict(model.config)}  # type: ignore[arg-type]
    write_json(folder / CONFIG, config)


def load_pretrained(folder: str | Path) -> EgoRear | EgoPoseFormer | EgoTAP | AGEgoPose:
    """The network that `save_pretrained` wrote, float32, on the CPU, in eval mode.

    Raises:
        UserError: a file is missing or damaged, weights and configuration do not fit, or a weight is NaN or infinite.
    """
    folder = Path(folder)
    path = folder / CONFIG
    content = read_json(path)
    name = content.get("class") if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in CLASSES:
        raise UserError(f"{path}: 'class' is {name!r} but must be one of {', '.join(CLASSES)}")
    config_class, model_class = CLASSES[name]
    try:
        config = _from_json(config_class, content.get("config"), "config")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {folder / WEIGHTS}: {error}") from error
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about layers without a channel, which fit no weights
            model = model_class(config)
    except Exception as error:  # whatever layers of impossible sizes raise
        raise UserError(f"{path} describes no network that can be built: {error}".splitlines()[0]) from error
    if problem := state_difference(model.state_dict(), state):
        raise UserError(f"{folder / WEIGHTS} does not fit {path}: {problem}")
    if problem := not_finite(state):
        raise UserError(f"{folder / WEIGHTS}: {problem}")
    model.load_state_dict(state, assign=True)
    return model.eval()  # type: ignore[return-value]


def state_difference(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], called: Callable[[str], str] = "'{}'".format
) -> str:
    """What keeps `given` from being loaded as `expected`, in words; empty if nothing does.

    called: what the words call the tensor of a name.
    """
    if missing := sorted(set(expected) - set(given)):
        return f"{_some(missing, called)} missing"
    if unexpected := sorted(set(given) - set(expected)):
        return f"{_some(unexpected, called)} unexpected"
    for name, tensor in expected.items():
        if given[name].shape != tensor.shape:
            return f"{called(name)} has shape {tuple(given[name].shape)} but must have {tuple(tensor.shape)}"
        if given[name].is_floating_point() != tensor.is_floating_point():
            return f"{called(name)} is {given[name].dtype} but must be {tensor.dtype}"
    return ""


def not_finite(state: Mapping[str, Tensor], called: Callable[[str], str] = "'{}'".format) -> str:
    """Which tensor holds NaN, infinite values or such as float32 has no room for, in words; empty if none does.

    called: what the words call the tensor of a name.
    """
    for name, tensor in state.items():
        # A sum, because it is fast and finite only where all of its terms are; large terms can overflow it.
        if tensor.is_floating_point() and not tensor.float().sum().isfinite() and not tensor.float().isfinite().all():
            return f"{called(name)} holds NaN or infinite values"
    return ""


def _some(names: list[str], called: Callable[[str], str]) -> str:
    shown = ", ".join(called(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"


def _from_json(kind: Any, value: Any, where: str) -> Any:
    """A value of the annotated `kind` from its JSON form: dataclasses, tuples, literals, optionals, plain values.

    Raises:
        UserError: the value is of another kind, or a field is missing or unknown, named by its path.
    """
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or set(value) != set(hints):
            odd = sorted(set(value) ^ set(hints)) if isinstance(value, dict) else []
            raise UserError(f"'{where}' must be an object with {', '.join(hints)}; look at {odd or 'its kind'}")
        return kind(**{name: _from_json(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _from_json(options[0], value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [options[0]] * len(value) if options[-1] is ... else options
        if len(kinds) == len(value):
            return tuple(_from_json(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif origin is typing.Literal and value in options:
        return value
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif (kind in (bool, str) and type(value) is kind) or (kind is int and _is_size(value)):
        return value
    raise UserError(f"'{where}' is {reprlib.repr(value)} but must be {getattr(kind, '__name__', kind)}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SIZE
