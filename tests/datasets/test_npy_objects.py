"""Plain values come out as numpy wrote them; whatever else a file asks for is refused, and nothing of it is run."""

import contextlib
import os
import pickle
import struct
import subprocess
from collections import OrderedDict

import numpy as np
import pytest

from egorear.datasets.npy_objects import LIMIT_BYTES, array_field, read_npy_object
from egorear.errors import UserError

PLAIN = {
    "image": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(4, dtype=">i2"),
    "words": np.array(["ab", "c"]),
    "empty": np.zeros((0, 3)),
    "scalar": np.float32(2.5),
    "flag": np.bool_(True),
    "nothing": None,
    "numbers": [1, -(2**40), 2**70, 0.5, True, (1, 2), ()],
    "bytes": b"\x00\xff",
    "name": "frame_3.npy",
    "joints": OrderedDict(pelvis={"trans": [1.0, 2.0, 3.0]}),
}


def write(path, program: bytes, header: str = "{'descr': '|O', 'fortran_order': False, 'shape': (), }") -> None:
    """A .npy of that header, followed by that pickle."""
    padded = header.ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode() + program)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def ndarray(shape: bytes, element: str, data: bytes, state: bytes = b"") -> bytes:
    """A program that makes an array: its shape, its data and its dtype's state are programs too."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    dtype = b"cnumpy\ndtype\n" + text(element) + b"\x89\x88\x87R" + state
    return made + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb"


def holding(value: bytes) -> bytes:
    """The pickle of an array that holds the dict {"here": what the program `value` leaves}."""
    return b"\x80\x02" + ndarray(b")", "O8", b"]}" + text("here") + value + b"sa") + b"."


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frame_3.npy"


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_plain_values_are_those_written(path, protocol, version):
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickle.dumps(np.array(PLAIN, dtype=object), protocol))
    if version != (1, 0):
        data = path.read_bytes()
        path.write_bytes(data[:6] + bytes(version) + data[8:10] + b"\0\0" + data[10:])
    found = read_npy_object(path)
    assert found.keys() == PLAIN.keys()
    for key, value in PLAIN.items():
        np.testing.assert_equal(found[key], value)
    assert found["image"].dtype == np.float32
    assert type(found["joints"]) is dict
    assert type(found["scalar"]) is float


def test_what_numpy_saves_and_what_it_used_to_call_its_modules(path):
    np.save(path, np.array(PLAIN, dtype=object), allow_pickle=True)
    data = path.read_bytes()
    other = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    if other != data:  # the name, one byte shorter, stands behind its length and inside a frame
        other = data[: data.index(b"\x80\x04")] + pickle.dumps(np.array(PLAIN, dtype=object), 2).replace(
            b"numpy._core.multiarray", b"numpy.core.multiarray"
        )
    for written in (data, other):
        path.write_bytes(written)
        np.testing.assert_equal(read_npy_object(path)["image"], PLAIN["image"])


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Sneaky(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (lambda mark: Call(os.system, f"touch {mark}"), "posix.system"),
        (lambda mark: Call(subprocess.call, ["touch", str(mark)]), "call"),
        (lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"), "builtins.eval"),
        (lambda mark: Call(getattr, "text", "format"), "builtins.getattr"),
        (lambda mark: Call(np.memmap, str(mark), "u1", "w+", 0, 8), "numpy.memmap"),
        (lambda mark: Call(np.load, str(mark)), "numpy.load"),
        (lambda mark: Call(open, str(mark), "w"), "io.open"),
        (lambda mark: np.zeros(3).view(Sneaky), "Sneaky"),
        (lambda mark: complex(1, 2), "builtins.complex"),
        (lambda mark: bytearray(b"x"), "builtins.bytearray"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_no_other_name_is_looked_up(path, tmp_path, value, name, protocol):
    mark = tmp_path / "run"
    program = pickle.dumps(np.array({"a": value(mark)}, dtype=object), protocol)
    write(path, program)
    module = name.split(".")[0].replace("builtins", "builtin")  # Python 2 called it __builtin__
    with pytest.raises(UserError, match=rf"frame_3\.npy asks for '.*{module}.*', which is not"):
        read_npy_object(path)
    assert not mark.exists()


GLOBAL = b"cnumpy\nndarray\n"


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nndarray\n(tR}X\x01\x00\x00\x00aK\x01sb",  # a state that is no array's
        GLOBAL + b"N}X\x01\x00\x00\x00aK\x01s\x86b",  # attributes of a name
        GLOBAL,  # a name instead of a value
        b"K\x01)R",  # a call of a number
        b"(K\x01K\x02i",  # instructions that are not known: INST, PERSID, EXT1, NEWOBJ, BYTEARRAY8, DUP
        b"Pid\n",
        b"\x82\x01",
        GLOBAL + b")\x81",
        b"\x96" + struct.pack("<Q", 2**62),
        b"}2",
        b"j\xff\xff\xff\xff",  # the memo's entry 4294967295
        b"\x8e" + struct.pack("<Q", 2**62) + b"x",  # 4 EiB of bytes, and a text of as many
        b"\x8d" + struct.pack("<Q", 2**62) + b"x",
        b"]]q\x00h\x00a" + b"0" * 3,
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R",
        b"cnumpy.core.multiarray\nscalar\nK\x01C\x01a\x86R",
        b"\x8f",  # a set
        b"\xff",
        b"",
    ],
)
def test_programs_of_no_use_are_refused(path, program):
    write(path, holding(program))
    with pytest.raises(UserError, match=r"frame_3\.npy (is truncated, damaged|holds|is a \.npy)"):
        read_npy_object(path)


def test_the_patched_pickle_of_these_tests_is_read_if_it_is_good(path):
    write(path, holding(b"K\x07"))
    assert read_npy_object(path) == {"here": 7}
    write(path, holding(b"K\x07r\xff\xff\xff\x7f"))  # LONG_BINPUT of 2147483647 asks other machines for 16 GiB
    assert read_npy_object(path) == {"here": 7}


def dumped(value) -> bytes:
    """The program that pickle writes for a value, without head and end."""
    return pickle.dumps(value, 3)[2:-1]


def dtype_state(order: str = "<", fields=(None, None, None)) -> bytes:
    return dumped((3, order, *fields, -1, -1, 0)) + b"b"


ZEROS = dumped(b"\0" * 8)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (ndarray(dumped((2,)), "f4", ZEROS), None),
        (ndarray(dumped((2,)), "f4", ZEROS, dtype_state(">")), None),
        (ndarray(dumped((3,)), "f4", ZEROS), "not as many bytes"),
        (ndarray(dumped((2**40, 2**40)), "f8", ZEROS), "not as many bytes"),
        (ndarray(dumped((-2, -1)), "f4", ZEROS), "without elements or sides"),
        (ndarray(dumped((1,)), "O8", ZEROS), "'O8' elements"),  # bytes passed off as a pointer
        (ndarray(dumped((1,)), "V8", ZEROS, dtype_state("|", (None, ("a",), {"a": 0}))), "have fields"),
        (ndarray(dumped((1,)), "f4,O", ZEROS), "'f4,O' elements"),
        (ndarray(dumped((1,)), "M8[ns]", ZEROS), "only numbers and texts"),
        (ndarray(dumped((1,)), "f8", dumped(["x"])), "without elements or sides"),
        (ndarray(dumped((1,)), "f8", ZEROS, dtype_state("f4,O")), "only numbers and texts"),
    ],
)
def test_an_array_is_made_only_of_what_fits_it(path, program, message):
    write(path, holding(program))
    if message is None:
        assert read_npy_object(path)["here"].tolist() == [0, 0]
        return
    with pytest.raises(UserError, match=rf"frame_3\.npy .*{message}"):
        read_npy_object(path)


def test_what_is_nested_without_end_is_refused(path):
    for program in (b"]" * 10**5 + b"a" * (10**5 - 1), b")" + b"\x85" * 2 * 10**5, b"]q\x63h\x63a"):
        write(path, holding(program))
        with pytest.raises(UserError, match="nested deeper than 32 levels"):
            read_npy_object(path)
    write(path, holding(b"}" + b")" + b"\x85" * 2 * 10**5 + b"Ns"))  # as a key: its hash would exhaust the stack
    with pytest.raises(UserError, match="keys are not all texts"):
        read_npy_object(path)


def test_what_is_shared_a_billion_times_is_made_once(path):
    get, put = ([code + bytes([100 + i]) for i in range(21)] for code in (b"h", b"q"))
    program = b"(]" + put[0] + b"".join(b"](" + 10 * get[i] + b"e" + put[i + 1] for i in range(20)) + b"t"
    write(path, holding(program))
    value = read_npy_object(path)["here"][-1]
    for _ in range(20):
        assert len(value) == 10
        value = value[0]
    assert value == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no .npy"),
        (b"PK\x03\x04", "is no .npy"),
        (b"\x93NUMPY\x09\x00v\x00" + b" " * 200, "is no .npy"),
        (b"\x93NUMPY\x01\x00\xff\xff{" + b" " * 9, "is a .npy file of something else than one dict"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "is a .npy file of something else than one dict"),
    ],
)
def test_other_files_are_refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"frame_3\.npy {message}"):
        read_npy_object(path)


@pytest.mark.parametrize("header", ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "__import__('os')"])
def test_headers_are_not_evaluated(path, header):
    write(path, b"", header)
    with pytest.raises(UserError, match="something else than one dict"):
        read_npy_object(path)


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.array([1, 2], dtype=object), np.array("x", object)])
def test_an_object_that_is_no_dict_is_refused(path, value):
    np.save(path, value, allow_pickle=True)
    with pytest.raises(UserError, match="something else than one dict"):
        read_npy_object(path)


def test_a_truncated_file_is_refused_wherever_it_ends(path):
    np.save(path, np.array(PLAIN, dtype=object), allow_pickle=True)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"frame_3\.npy"):
            read_npy_object(path)


def test_random_damage_never_gets_past_the_reader(path):
    np.save(path, np.array(PLAIN, dtype=object), allow_pickle=True)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(128, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert isinstance(read_npy_object(path), dict)


def test_large_and_missing_files_are_refused(path):
    with pytest.raises(UserError, match=r"cannot read .*frame_3\.npy"):
        read_npy_object(path)
    with path.open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    with pytest.raises(UserError, match=r"frame_3\.npy is larger than"):
        read_npy_object(path)


def test_fields_are_finite_arrays_of_their_shape():
    content = {
        "pose": np.ones((16, 3), np.float32),
        "bad": np.full((16, 3), np.nan),
        "text": "x",
        "words": PLAIN["words"],
    }
    assert array_field("f.npy", content, "pose", (16, 3)).dtype == np.float64
    with pytest.raises(UserError, match=r"^f\.npy: 'pelvis' is missing$"):
        array_field("f.npy", content, "pelvis", (3,))
    for key, shape in (("pose", (18, 3)), ("bad", (16, 3)), ("text", (2,)), ("words", (2,))):
        sides = " x ".join(map(str, shape))
        with pytest.raises(UserError, match=rf"^f\.npy: '{key}' must be an array of {sides} finite numbers$"):
            array_field("f.npy", content, key, shape)
