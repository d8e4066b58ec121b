"""Reads an array of numbers from a MATLAB file of v5 to v7 (`save -v7`, scipy's `savemat`), executing nothing.

The format is MathWorks' "MAT-File Level 5 File Format": a head of 128 bytes, then elements of type, length and data.
Only numbers are decoded; what else a file holds is passed over.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float

from egorear.errors import UserError
from egorear.files import read_bytes

LIMIT_BYTES = 64 * 2**20  # of the file, and of what all its compressed elements become
HEAD_BYTES, VERSION = 128, 0x0100
ORDERS = {b"IM": "<", b"MI": ">"}
HDF5 = b"\x89HDF\r\n\x1a\n"  # of v7.3, at the start or after MATLAB's own 512 bytes
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # double, single and the integers; below: cells, structures, objects, text, sparse
COMPLEX = 0x0800

_Element = tuple[int, memoryview]


class _Damaged(Exception):
    """The bytes are not what the format says, or become too many."""


def read_mat_array(path: str | Path, name: str, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
    """The variable of that name in double precision. shape: what it must have (None: any length above 0).

    Raises:
        UserError: the file cannot be read, is no MATLAB file of v5 to v7 (one of v7.3, say), is damaged or holds more
            than 64 MiB, or the variable is missing or no such array of real numbers.
    """
    data = read_bytes(path, LIMIT_BYTES)
    if HDF5 in (data[:8], data[512:520]):
        raise UserError(f"{path} is a MATLAB file of v7.3 but must be of v7 or earlier: save(…, '-v7')")
    order = ORDERS.get(data[126:128])
    if order is None or struct.unpack(f"{order}H", data[124:126]) != (VERSION,):
        raise UserError(f"{path} is no MATLAB file of v5 to v7")
    try:
        parts = _variable(memoryview(data)[HEAD_BYTES:], order, name)
        values = None if parts is None else _array(parts, order)
    except (_Damaged, struct.error, zlib.error, IndexError, ValueError) as error:
        raise UserError(f"{path} is a damaged MATLAB file, or holds more than {LIMIT_BYTES >> 20} MiB") from error
    if parts is None:
        raise UserError(f"{path}: '{name}' is missing")
    fits = values is not None and values.ndim == len(shape) and values.size > 0
    if values is None or not fits or any(n not in (None, m) for n, m in zip(shape, values.shape, strict=True)):
        sides = " x ".join("n" if side is None else str(side) for side in shape)
        raise UserError(f"{path}: '{name}' must be {sides} real numbers")
    return values


def _variable(data: memoryview, order: str, name: str) -> list[_Element] | None:
    """The parts of the matrix element of that name: flags, sides, name, numbers; none if there is none."""
    left = LIMIT_BYTES
    for kind, content in _elements(data, order):
        if kind == COMPRESSED:
            inflater = zlib.decompressobj()
            inflated = inflater.decompress(content, left)
            left -= len(inflated)
            if not inflater.eof or left <= 0:  # truncated, or more than we hold
                raise _Damaged
            kind, content = next(_elements(memoryview(inflated), order), (0, content))
        if kind == MATRIX:
            parts = list(islice(_elements(content, order), 4))
            if len(parts) > 2 and bytes(parts[2][1]) == name.encode():
                return parts
    return None


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """Type and data of the elements that follow each other in some bytes."""
    place = 0
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        if kind >> 16:  # a small element: the length shares a word with the type, the data stands in the next
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
            if length > 4:
                raise _Damaged
            place += 8
        else:
            place = start + length + (0 if kind == COMPRESSED else -length % 8)
        if start + length > len(data):
            raise _Damaged
        yield kind, data[start : start + length]


def _array(parts: list[_Element], order: str) -> Float[np.ndarray, "..."] | None:
    """The array of a matrix element's parts, whose numbers stand column by column; none if it is no array of reals."""
    (_, flags), (_, sides) = parts[:2]
    [what] = struct.unpack_from(f"{order}I", flags)
    if what & 0xFF not in NUMERIC_CLASSES or what & COMPLEX:
        return None
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    kind, numbers = parts[3]
    if kind not in NUMBERS or min(shape, default=-1) < 0:
        raise _Damaged
    # MATLAB stores numbers in the smallest type that holds them, whatever the array's class.
    return np.frombuffer(numbers, order + NUMBERS[kind]).reshape(shape, order="F").astype(np.float64)
