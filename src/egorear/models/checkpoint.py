"""Reads PyTorch checkpoints without running anything that is in them, and writes them whole."""

import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from egorear.errors import UserError
from egorear.files import atomic_write


class _Unread:
    """Stands for an object beside the tensors: takes whatever the file gives it, and keeps and does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _empty_mapping(*_: Any) -> dict[Any, Any]:
    return {}


# What Lightning keeps in `hyper_parameters` and callbacks, by the name in the file; no such class is ever imported.
_LIGHTNING = (
    "lightning.fabric.utilities.data", "lightning_fabric.utilities.data",
    "lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing",
)  # fmt: skip
_OBJECTS = (
    *("argparse.Namespace", "jsonargparse._namespace.Namespace", "jsonargparse.namespace.Namespace"),
    *("builtins.dict", "builtins.float", "builtins.int", "builtins.list", "builtins.slice", "builtins.str"),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.{core}.multiarray.{what}" for core in ("core", "_core") for what in ("scalar", "_reconstruct")),
    *(
        f"{module}.{flavour}Path"
        for module in ("pathlib", "pathlib._local")
        for flavour in ("Posix", "Windows", "PurePosix", "PureWindows")
    ),
)
STAND_INS: list[Any] = [
    *((_Unread, name) for name in _OBJECTS),
    (_empty_mapping, "collections.defaultdict"),
    *((OrderedDict, f"{module}.AttributeDict") for module in _LIGHTNING),
]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint on the CPU: tensors and plain values. Harmless objects among them, such as the paths
    and namespaces that Lightning stores, are left empty; nothing is imported or executed.

    Raises:
        UserError: the file is missing, damaged, no dictionary, or holds what only running code could read.
    """
    try:
        with warnings.catch_warnings(), safe_globals(STAND_INS):
            warnings.simplefilter("ignore")  # about the pickle protocol of strange files
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"'{named[1]}'" if named else "more than tensors and plain values"
        raise UserError(
            f"{path} was refused: it is damaged, or holds {what}, which only running code from the file could read"
        ) from error
    except Exception as error:  # torch.load raises whatever a damaged archive leads it to
        raise UserError(f"{path} is not a whole checkpoint of tensors and plain values") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no dictionary of tensors: a checkpoint was expected")
    return content


def write_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically.

    Raises:
        UserError: the file cannot be written, or the disk is full.
    """
    with atomic_write(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # how torch says that the disk is full
            raise UserError(f"cannot write the checkpoint {path}: {error}".splitlines()[0]) from error
