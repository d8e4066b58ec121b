"""Reads a dict that `numpy.save` pickled into a `.npy` file, without executing anything that the file says."""

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from egorear.datasets.pickle_machine import Array, Refused, plain, run, told_of
from egorear.errors import UserError
from egorear.files import read_bytes

LIMIT_BYTES = 16 * 2**20  # a real file has 4 MiB
MAGIC = b"\x93NUMPY"
HEADER_BYTES = 4096
# One element of `shape ()`, any Python object; numpy writes the fields in this order.
HEADER = re.compile(rb"\{'descr': '\|O', 'fortran_order': (True|False), 'shape': \(\),? ?\}\s*")
OTHER = "is a .npy file of something else than one dict"


def read_npy_object(path: str | Path) -> dict[str, Any]:
    """The dict in a `.npy` file that holds nothing else: texts to whatever `read_pickle` (`plain_pickle`) reads.

    Raises:
        UserError: the file is missing, larger than 16 MiB, no such `.npy`, damaged, or asks for anything else.
    """
    data = read_bytes(path, LIMIT_BYTES)
    with told_of(path):
        whole = run(data[_header_end(data) :])
        content = plain(_only_object(whole))
    if not isinstance(content, dict):
        raise UserError(f"{path} {OTHER}")
    return content


def _only_object(whole: Any) -> Any:
    """What an array of shape () and of Python objects holds."""
    if not isinstance(whole, Array) or not whole.holds_objects() or whole.shape != ():
        raise Refused(OTHER)
    [value] = whole.data if isinstance(whole.data, list) else []
    return value


def array_field(source: str, content: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """The finite numbers of that shape that `content`, read from `source`, has under `key`, in double precision.

    Raises:
        UserError: the key is missing, or its value is anything else.
    """
    if key not in content:
        raise UserError(f"{source}: '{key}' is missing")
    values = content[key]
    if isinstance(values, np.ndarray) and values.shape == shape and values.dtype.kind in "fiu":
        values = values.astype(np.float64)
        if np.isfinite(values).all():
            return values
    sides = " x ".join(map(str, shape))
    raise UserError(f"{source}: '{key}' must be an array of {sides} finite numbers")


def _header_end(data: bytes) -> int:
    """Where the header of a `.npy` ends (numpy's format 1.0 to 3.0), if it is that of one Python object."""
    if not data.startswith(MAGIC) or len(data) < 12 or data[6] not in (1, 2, 3):
        raise Refused("is no .npy file")
    start, length = (10, "<H") if data[6] == 1 else (12, "<I")
    end = start + struct.unpack_from(length, data, 8)[0]
    if end > HEADER_BYTES or not HEADER.fullmatch(data[start:end]):
        raise Refused(OTHER)
    return end
