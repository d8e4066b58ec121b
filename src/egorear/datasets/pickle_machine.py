"""Pickle's machine for arrays and plain values: it executes nothing that a file says.

A pickle is a program for pickle's machine. Ours knows only the instructions that build plain values, and the few names
that numpy's own arrays need; each stands for a class of this file that takes notes. Numpy is asked to make an array
only after its type, shape and length have been checked: its own way of reading pickles believes a dtype that passes
bytes off as pointers.
"""

import io
import math
import pickle
import re
import reprlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from egorear.errors import UserError

MOST_INSTRUCTIONS = 4_000_000  # one byte each at least, for up to a few hundred bytes of memory
MOST_MADE_BYTES = 256 * 2**20  # of bytes and texts that names make, which a few bytes can ask for again and again
DEEPEST = 32  # lists in lists: real files have 6
MOST_SIDES = 32  # of an array
ELEMENT = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6}")
# What builds plain values, calls a name (REDUCE) and hands over a state (BUILD): protocols 2 to 5 as numpy uses them.
INSTRUCTIONS = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
    pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.EMPTY_TUPLE, pickle.TUPLE,
    pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS,
    pickle.SETITEM, pickle.SETITEMS, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT,
    pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BUILD,
)  # fmt: skip


class Refused(Exception):
    """The end of a sentence about a file."""


@contextmanager
def told_of(path: str | Path) -> Iterator[None]:
    """What goes wrong meanwhile becomes one sentence about the file."""
    try:
        yield
    except Refused as refused:
        raise UserError(f"{path} {refused}") from refused
    except Exception as error:  # a hostile program can trip over anything; none of it has an effect
        raise UserError(
            f"{path} is truncated, damaged or holds other than plain values: {type(error).__name__}"
        ) from error


def run(program: bytes) -> Any:
    """What a pickle makes, with notes (`Array`) in the place of arrays; `plain` makes it values.

    Raises:
        Refused: it asks for what is not done here. Any other exception: it is damaged.
    """
    return _Machine(io.BytesIO(program)).load()


def plain(value: Any) -> Any:
    """What `run` gave, with numpy's arrays in the place of our notes; what is shared is made once.

    Raises:
        Refused: an array is not one, something is nested too deep, or is a name.
    """
    return _plain(value, {}, 0)


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """done: what has become of containers, by identity."""
    if type(value) in (bool, int, float, complex, str, bytes, type(None)):
        return value
    if depth > DEEPEST:
        raise Refused(f"is nested deeper than {DEEPEST} levels")
    if id(value) not in done:
        match value:
            case Array():
                made = value.numpy()
            case list() | tuple():
                made = type(value)(_plain(each, done, depth + 1) for each in value)
            case dict():
                made = {name: _plain(each, done, depth + 1) for name, each in value.items()}
            case _:
                raise Refused("holds a name where a value belongs")
        done[id(value)] = made
    return done[id(value)]


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

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is not str:
            raise Refused("holds a dict whose keys are not all texts")
        super().__setitem__(key, value)


class _Element:
    """The type of an array's elements: the arguments and state of a `numpy.dtype`."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.order, base, names, fields, *_ = state
        if (base, names, fields) != (None, None, None):
            raise Refused("holds an array whose elements have fields, which is not read")

    def numpy(self) -> np.dtype:
        if not ELEMENT.fullmatch(self.code) or self.order not in ("<", ">", "=", "|"):
            kind = reprlib.repr(self.code)
            raise Refused(f"holds an array of {kind} elements, but only numbers and texts are read")
        return np.dtype(self.code).newbyteorder(self.order)


class Array:
    """An array: the state of a `numpy.ndarray`, which comes after it has been made and put into other values."""

    __slots__ = ("axes", "data", "element", "order", "shape")

    def __init__(self, *_: Any) -> None:
        self.data, self.element, self.order, self.shape = None, _Element(""), "C", (0,)
        self.axes: tuple[int, ...] | None = None

    @staticmethod
    def of_buffer(data: bytes, element: _Element, shape: tuple[int, ...], order: str, axes: Any = None) -> "Array":
        """As protocol 5 has it: contiguous elements in the order "C", "F", or "K", the first with its axes permuted."""
        made = Array()
        made.data, made.element, made.shape = data, element, shape
        made.order, made.axes = ("C", axes) if order == "K" else (order, None)
        return made

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.element, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def holds_objects(self) -> bool:
        """Whether its elements are any values, in a list: such an array becomes none of numpy's."""
        return self.element.code in ("O", "O8", "O4")

    def numpy(self) -> np.ndarray:
        dtype, shape = _dtype(self.element), self.shape
        sides = isinstance(shape, tuple) and len(shape) <= MOST_SIDES and all(type(n) is int and n >= 0 for n in shape)
        if not isinstance(self.data, bytes) or not sides or self.order not in ("C", "F"):
            raise Refused("holds an array without elements or sides")
        if len(self.data) != math.prod(shape) * dtype.itemsize:
            raise Refused("is damaged: an array has not as many bytes as its shape needs")
        made = np.frombuffer(self.data, dtype).reshape(shape, order=self.order)
        return made if self.axes is None else made.transpose(self.axes)


def _dtype(element: Any) -> np.dtype:
    if type(element) is not _Element:
        raise ValueError("not a dtype")
    return element.numpy()


def _scalar(element: _Element, data: bytes) -> Any:
    return np.frombuffer(data, _dtype(element), count=1)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """How bytes are written for Python 2."""
    if encoding != "latin1":
        raise ValueError("not latin1")
    return text.encode("latin1")


_CORES = ("numpy.core", "numpy._core")  # of numpy 1 and 2
_NAMES = {
    **{(f"{core}.multiarray", "_reconstruct"): _Name(Array) for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _Name(_scalar) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Name(Array.of_buffer) for core in _CORES},
    ("numpy", "ndarray"): _Name(Array),
    ("numpy", "dtype"): _Name(_Element),
    ("_codecs", "encode"): _Name(_encode),
    ("__builtin__", "bytes"): _Name(lambda: b""),  # how protocol 2 writes no bytes
    ("collections", "OrderedDict"): _Name(lambda: _Dict()),
}


class _Counted(dict[int, Callable[..., None]]):
    """Instructions by their code, so many times in all."""

    def __init__(self) -> None:
        super().__init__(_Machine.dispatch)
        self._left = MOST_INSTRUCTIONS

    def __getitem__(self, code: int) -> Callable[..., None]:
        self._left -= 1
        if self._left < 0:
            raise Refused(f"has more than {MOST_INSTRUCTIONS} instructions, as no file of data has")
        return super().__getitem__(code)


class _Machine(pickle._Unpickler):
    """Pickle's machine with fewer instructions and names, and an end to both.

    The one written in Python: the other sizes its memory by the largest number that a file writes into it.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.dispatch = _Counted()  # type: ignore[misc]
        self._bytes_left = MOST_MADE_BYTES

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            asked = reprlib.repr(f"{module}.{name}")
            raise Refused(f"asks for {asked}, which is not run: only arrays and plain values are read")
        return _NAMES[module, name]

    def _call(self) -> None:
        """REDUCE: a name with a tuple of arguments."""
        arguments, stack = self.stack.pop(), self.stack  # type: ignore[attr-defined]
        if type(stack[-1]) is not _Name or type(arguments) is not tuple:
            raise ValueError("not a name with a tuple")
        stack[-1] = made = stack[-1](*arguments)
        self._bytes_left -= len(made) if isinstance(made, bytes | str) else 0
        if self._bytes_left < 0:
            raise Refused(f"makes more than {MOST_MADE_BYTES} bytes of what it holds")

    def _empty_dict(self) -> None:
        self.append(_Dict())  # type: ignore[attr-defined]

    def _buffer(self) -> None:
        """BYTEARRAY8, as bytes; pickle's own makes the memory before it looks whether there is as much to read."""
        [length] = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(self.read(length))  # type: ignore[attr-defined]

    dispatch: ClassVar = {  # type: ignore[assignment]
        **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in INSTRUCTIONS},
        pickle.REDUCE[0]: _call,
        pickle.EMPTY_DICT[0]: _empty_dict,
        pickle.BYTEARRAY8[0]: _buffer,
    }
