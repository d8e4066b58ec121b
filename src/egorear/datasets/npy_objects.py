"""Reads a dict that `numpy.save` pickled into a `.npy` file, without executing anything that the file says.

Such a file is a program for pickle's machine. Ours knows only the instructions that build plain values, and the few
names that numpy's own arrays need; each stands for a class of this file that takes notes. Numpy is asked to make an
array only after its type, shape and length have been checked: its own way of reading pickles believes a dtype that
passes bytes off as pointers.
"""

import io
import math
import pickle
import re
import reprlib
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from egorear.errors import UserError
from egorear.files import read_bytes

LIMIT_BYTES = 16 * 2**20  # a real file has 4 MiB; of empty lists alone, pickle makes 60 times what it reads
MAGIC = b"\x93NUMPY"
HEADER_BYTES = 4096
DEEPEST = 32  # lists in lists: a real file has 6
# One element of `shape ()`, any Python object; numpy writes the fields in this order.
HEADER = re.compile(rb"\{'descr': '\|O', 'fortran_order': (True|False), 'shape': \(\),? ?\}\s*")
ELEMENT = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6}")
# What builds plain values, calls a name (REDUCE) and hands over a state (BUILD): protocols 2 to 4 as numpy uses them.
INSTRUCTIONS = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
    pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.EMPTY_TUPLE, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS,
    pickle.SETITEM, pickle.SETITEMS, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT,
    pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD,
)  # fmt: skip


def read_npy_object(path: str | Path) -> dict[str, Any]:
    """The dict in a `.npy` file that holds nothing else: texts to numbers, texts, bytes, booleans, none, lists, tuples,
    dicts, and read-only arrays of any of the first three. Numpy's scalars come as Python's numbers.

    Raises:
        UserError: the file is missing, larger than 16 MiB, no such `.npy`, damaged, or asks for anything else.
    """
    data = read_bytes(path, LIMIT_BYTES)
    try:
        program = io.BytesIO(data[_header_end(data) :])
        whole = _Machine(program).load()
        content = whole.only_object() if isinstance(whole, _Array) else None
        content = _plain(content, {})
    except _Refused as refused:
        raise UserError(f"{path} {refused}") from refused
    except Exception as error:  # a hostile program can trip over anything; none of it has an effect
        raise UserError(
            f"{path} is truncated, damaged or holds other than plain values: {type(error).__name__}"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is a .npy file of something else than one dict")
    return content


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


class _Refused(Exception):
    """The end of a sentence about a file."""


def _header_end(data: bytes) -> int:
    """Where the header of a `.npy` ends (numpy's format 1.0 to 3.0), if it is that of one Python object."""
    if not data.startswith(MAGIC) or len(data) < 12 or data[6] not in (1, 2, 3):
        raise _Refused("is no .npy file")
    start, length = (10, "<H") if data[6] == 1 else (12, "<I")
    end = start + struct.unpack_from(length, data, 8)[0]
    if end > HEADER_BYTES or not HEADER.fullmatch(data[start:end]):
        raise _Refused("is a .npy file of something else than one dict")
    return end


class _Name:
    """What a name in the file stands for: it can be called, and nothing can be done to it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a name has no state")


class _Dict(dict[str, Any]):
    """A dict by names: to hash a tuple of tuples of tuples ... exhausts the stack of the process."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is not str:
            raise _Refused("holds a dict whose keys are not all texts")
        super().__setitem__(key, value)


class _Element:
    """The type of an array's elements: the arguments and state of a `numpy.dtype`."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.order, base, names, fields, *_ = state
        if (base, names, fields) != (None, None, None):
            raise _Refused("holds an array whose elements have fields, which is not read")

    def numpy(self) -> np.dtype:
        if not ELEMENT.fullmatch(self.code) or self.order not in ("<", ">", "=", "|"):
            kind = reprlib.repr(self.code)
            raise _Refused(f"holds an array of {kind} elements, but only numbers and texts are read")
        return np.dtype(self.code).newbyteorder(self.order)


class _Array:
    """An array: the state of a `numpy.ndarray`, which comes after it has been made and put into other values."""

    __slots__ = ("data", "element", "fortran", "shape")

    def __init__(self, *_: Any) -> None:
        self.data, self.element, self.fortran, self.shape = None, _Element(""), False, (0,)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.element, self.fortran, self.data = state

    def only_object(self) -> Any:
        """What an array of shape () and of Python objects holds."""
        if self.shape != () or self.element.code not in ("O", "O8", "O4"):
            raise _Refused("is a .npy file of something else than one dict")
        [value] = self.data if isinstance(self.data, list) else []
        return value

    def numpy(self) -> np.ndarray:
        dtype = self.element.numpy()
        if not isinstance(self.data, bytes) or not all(type(side) is int and side >= 0 for side in self.shape):
            raise _Refused("holds an array without elements or sides")
        if len(self.data) != math.prod(self.shape) * dtype.itemsize:
            raise _Refused("is damaged: an array has not as many bytes as its shape needs")
        return np.frombuffer(self.data, dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _scalar(element: _Element, data: bytes) -> Any:
    return np.frombuffer(data, element.numpy(), count=1)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """How bytes are written for Python 2."""
    if encoding != "latin1":
        raise ValueError("not latin1")
    return text.encode("latin1")


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NAMES = {
    **{(module, "_reconstruct"): _Name(_Array) for module in _MULTIARRAY},
    **{(module, "scalar"): _Name(_scalar) for module in _MULTIARRAY},
    ("numpy", "ndarray"): _Name(_Array),
    ("numpy", "dtype"): _Name(_Element),
    ("_codecs", "encode"): _Name(_encode),
    ("__builtin__", "bytes"): _Name(lambda: b""),  # how protocol 2 writes no bytes
    ("collections", "OrderedDict"): _Name(lambda: _Dict()),
}


class _Machine(pickle._Unpickler):
    """Pickle's machine with fewer instructions and names.

    The one written in Python: the other sizes its memory by the largest number that a file writes into it.
    """

    dispatch: ClassVar = {
        **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in INSTRUCTIONS},
        pickle.EMPTY_DICT[0]: lambda machine: machine.append(_Dict()),  # type: ignore[attr-defined]
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            asked = reprlib.repr(f"{module}.{name}")
            raise _Refused(f"asks for {asked}, which is not run: only arrays and plain values are read")
        return _NAMES[module, name]


def _plain(value: Any, done: dict[int, Any], depth: int = 0) -> Any:
    """The value with numpy's arrays in the place of our notes. done: by identity, what has become of containers, so
    that what is shared is made once."""
    if type(value) in (bool, int, float, complex, str, bytes, type(None)):
        return value
    if depth > DEEPEST:
        raise _Refused(f"is nested deeper than {DEEPEST} levels")
    if id(value) not in done:
        match value:
            case _Array():
                made = value.numpy()
            case list() | tuple():
                made = type(value)(_plain(each, done, depth + 1) for each in value)
            case dict():
                made = {name: _plain(each, done, depth + 1) for name, each in value.items()}
            case _:
                raise _Refused("holds a name where a value belongs")
        done[id(value)] = made
    return done[id(value)]
