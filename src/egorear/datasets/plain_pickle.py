"""Reads pickles of arrays and plain values, without executing anything that the file says (`pickle_machine`)."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from egorear.datasets.pickle_machine import Refused, plain, run, told_of
from egorear.errors import UserError
from egorear.files import read_bytes

LIMIT_BYTES = 256 * 2**20  # a sequence of EgoPW has some thousand frames of about 1 KiB


def read_pickle(path: str | Path, limit_bytes: int = LIMIT_BYTES) -> Any:
    """What a pickle (protocols 2 to 5, numpy 1 or 2) holds: numbers, texts, bytes, booleans, none, lists, tuples, dicts
    by texts, and read-only arrays of any of the first three. Numpy's scalars come as Python's numbers.

    Containers that share a part share it here too, so that a small file can be endless to walk: check lengths on the
    way, as `numbers_of` does.

    Raises:
        UserError: the file is missing, larger than the limit, no such pickle, damaged, makes more than 256 MiB or four
            million values, or asks for anything else.
    """
    data = read_bytes(path, limit_bytes)
    with told_of(path):
        if len(data) < 2 or data[:1] != pickle.PROTO or not 2 <= data[1] <= 5:
            raise Refused("is no pickle of protocol 2 to 5")
        return plain(run(data))


def entries_of(path: str | Path, value: Any, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The list of dicts that was read from a file, each with these keys.

    Raises:
        UserError: it is anything else.
    """
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise UserError(f"{path} must hold a list of dicts")
    for place, entry in enumerate(value):
        for key in keys:
            if key not in entry:
                raise UserError(f"{path}: '{key}' of entry {place} is missing")
    return value


def numbers_of(value: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "..."] | None:
    """An array, or nested lists, of numbers of this shape in double precision (NaN and infinity too), else none."""
    if not _has_shape(value, shape):
        return None
    try:
        return np.array(value, np.float64)
    except OverflowError:  # a whole number too large
        return None


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    if isinstance(value, np.ndarray):
        return value.shape == shape and value.dtype.kind in "fiu"
    if not shape:
        return type(value) in (int, float)
    return (
        isinstance(value, list | tuple)
        and len(value) == shape[0]
        and all(_has_shape(each, shape[1:]) for each in value)
    )
