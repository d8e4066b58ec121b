"""Plain values and arrays come out as pickle wrote them; whatever else a file asks for is refused and not run."""

import builtins
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from egorear.datasets import pickle_machine
from egorear.datasets.plain_pickle import entries_of, numbers_of, read_pickle
from egorear.errors import UserError

POSE = np.random.default_rng(0).normal(size=(15, 3))
LABELS = [
    {
        "image_name": f"img_{number:06d}.jpg",
        "optimized_local_pose": POSE + number,
        "joints_2d": (100 * POSE[:, :2]).astype(np.float32),
        "ext_id": np.int64(1000 + number),
        "ego": number,
        "score": np.float32(0.5),
        "columns": np.asfortranarray(POSE[:, :2]),
        "turned": np.arange(12.0).reshape(2, 3, 2).transpose(1, 0, 2),
        "strided": POSE[::2],
        "big_endian": np.arange(3, dtype=">i4"),
        "nothing": None,
        "more": [(1, 2.5, True), [], "ünï", b"\x00\xff", 2**70, {"deep": [np.nan, np.inf]}],
        "scalar": np.array(3.0),
        "empty": np.zeros((0, 3)),
    }
    for number in range(3)
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pseudo_gt.pkl"


def assert_same(found, expected) -> None:
    """Of the same values in the same containers; an array of the same type."""
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs)
    elif isinstance(expected, dict):
        assert type(found) is dict
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    else:
        np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_labels_are_those_written_by_any_numpy(path, protocol, core):
    program = pickle.dumps(LABELS, protocol)
    for name in ("multiarray", "numeric"):  # as this numpy calls them, and as the other calls them
        for here in ("numpy._core", "numpy.core"):
            old, new = f"{here}.{name}".encode(), f"{core}.{name}".encode()
            program = program.replace(b"c" + old + b"\n", b"c" + new + b"\n")  # GLOBAL
            program = program.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)  # SHORT_BINUNICODE
    path.write_bytes(program if protocol < 4 else without_frames(program))
    found = read_pickle(path)
    assert_same(found, LABELS)
    assert type(found[0]["ext_id"]) is int
    assert not found[0]["optimized_local_pose"].flags.writeable


def without_frames(program: bytes) -> bytes:
    """The one frame's length no longer holds where a name has been changed; pickle reads without it too."""
    assert program[2:3] == pickle.FRAME
    return program[:2] + program[11:]


def test_as_pickle_writes_it_frames_and_all(path):
    large = [{"pose": np.zeros((200, 300)), "text": "x" * 70_000}] * 2 + LABELS  # what is large is outside of frames
    for protocol in (4, 5):
        path.write_bytes(pickle.dumps(large, protocol))
        assert_same(read_pickle(path), large)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats()
    | st.text(max_size=8) | st.binary(max_size=8)
    | arrays(st.sampled_from(["f8", "f4", "i2", ">u4", "?", "U3", "S2", "c8"]), array_shapes(min_dims=0, min_side=0)),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=4), each, max_size=4)
    | st.tuples(each, each),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, protocol=st.integers(2, 5))
def test_any_plain_value_comes_back(path, value, protocol):
    path.write_bytes(pickle.dumps(value, protocol))
    assert_same(read_pickle(path), value)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stated:
    """Pickles as an object of a class, with a state."""

    def __init__(self):
        self.name = "state"


class Sneaky(np.ndarray):
    pass


HOSTILE = {
    "os.system": (lambda mark: Call(os.system, f"touch {mark}"), "system"),
    "subprocess": (lambda mark: Call(subprocess.call, ["touch", str(mark)]), "call"),
    "eval": (lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"), "builtins.eval|__builtin__.eval"),
    "exec": (lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"), "exec"),
    "import": (lambda mark: Call(builtins.__import__, "antigravity"), "import"),
    "getattr": (lambda mark: Call(getattr, "text", "format"), "getattr"),
    "open": (lambda mark: Call(open, str(mark), "w"), "io.open"),
    "a numpy function": (lambda mark: Call(np.memmap, str(mark), "u1", "w+", 0, 8), "numpy.memmap"),
    "numpy.load": (lambda mark: Call(np.load, str(mark)), "numpy.load"),
    "a subclass of arrays": (lambda mark: np.zeros(3).view(Sneaky), "Sneaky"),
    "an object": (lambda mark: Stated(), "copyreg|Stated|copy_reg"),
    "a class": (lambda mark: int, r"builtins?__?\.(int|long)|builtin"),
    "a set": (lambda mark: {1, 2}, "set|is truncated, damaged"),
    "an array of objects": (lambda mark: np.array([Call(os.system, f"touch {mark}")], dtype=object), "system"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("depth", [0, 3])
def test_no_other_name_is_looked_up(path, tmp_path, kind, protocol, depth):
    make, words = HOSTILE[kind]
    mark = tmp_path / "run"
    value = make(mark)
    for _ in range(depth):
        value = [{"image_name": "img_000001.jpg", "optimized_local_pose": (POSE, value)}]
    path.write_bytes(pickle.dumps(value, protocol))
    modules = set(sys.modules)
    with pytest.raises(UserError, match=words) as refused:
        read_pickle(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert not mark.exists()
    assert set(sys.modules) == modules


GLOBAL = b"cnumpy\nndarray\n"
TEXT = b"X\x03\x00\x00\x00abc"


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy.core.multiarray\nfromstring\n" + TEXT + b"\x85R",
        b"cnumpy\nndarray.__class__\n",  # a dotted path
        b"cos\nsystem\n(S'touch run'\ntR",  # protocol 0's texts
        b"(cos\nsystem\nS'touch run'\no",  # OBJ
        b"(S'touch run'\nios\nsystem\n",  # INST
        b"Pid\n", b"NQ",  # PERSID, BINPERSID
        b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00",  # EXT1, 2, 4
        GLOBAL + b")\x81", GLOBAL + b")}\x92",  # NEWOBJ, NEWOBJ_EX
        GLOBAL,  # a name instead of a value
        GLOBAL + b"N}X\x01\x00\x00\x00aK\x01s\x86b",  # attributes of a name
        b"}}X\x05\x00\x00\x00itemsNsb",  # attributes of a dict, and of a list
        b"]}X\x06\x00\x00\x00appendNsb",
        b"K\x01)R", TEXT + b")R", GLOBAL + b")RK\x01\x85R", GLOBAL + b"]R",  # calls of what is no name, with no tuple
        b"\x98", b"\x97",  # NEXT_BUFFER: there is none
        b"cnumpy._core.numeric\n_frombuffer\n(C\x08\x00\x00\x00\x00\x00\x00\x00\x00NK\x01\x85X\x01\x00\x00\x00CtR",
        b"c_codecs\nencode\n" + TEXT + b"X\x05\x00\x00\x00rot13\x86R",
        b"]2", b"0", b"1", b"\x8f", b"j\xff\xff\xff\xff", b"}K\x01K\x02s", b"}NK\x02s",
        b"\x96" + struct.pack("<Q", 2**62) + b"x", b"\x8e" + struct.pack("<Q", 2**63) + b"x",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x",
        b"", b"\xff", b"]" * 40 + b"a" * 39, b"]q\x00h\x00a",
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [2, 5])
def test_programs_of_no_use_are_refused(path, tmp_path, monkeypatch, program, version):
    monkeypatch.chdir(tmp_path)
    path.write_bytes(b"\x80" + bytes([version]) + program + b".")
    with pytest.raises(UserError, match=r"pseudo_gt\.pkl (is|holds|asks)") as refused:
        read_pickle(path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_arrays_of_protocol_5_are_made_only_of_what_fits_them(path):
    def written(data: bytes, shape: object, order: str, axes: bytes = b"") -> bytes:
        element = pickle.dumps(np.dtype("f8"), 4)[2:-1]
        element = element[9:] if element[:1] == b"\x95" else element
        buffer = b"\x96" + struct.pack("<Q", len(data)) + data
        tail = pickle.dumps(shape, 2)[2:-1] + pickle.dumps(order, 2)[2:-1].replace(b"q\x00", b"") + axes
        return b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(" + buffer + element + tail + b"tR."

    data = np.arange(6.0).tobytes()
    for order, expected in (("C", [[0, 1, 2], [3, 4, 5]]), ("F", [[0, 2, 4], [1, 3, 5]])):
        path.write_bytes(written(data, (2, 3), order))
        assert read_pickle(path).tolist() == expected
    path.write_bytes(written(data, (2, 3), "K", b"K\x01K\x00\x86"))
    assert read_pickle(path).tolist() == [[0, 3], [1, 4], [2, 5]]
    for shape, order, axes in (
        ((2, 2), "C", b""), ((2**40, 2**40), "C", b""), ((-2, -3), "C", b""), ((1,) * 33 + (6,), "C", b""),
        ((2, 3), "A", b""), ((2, 3), "K", b"K\x07K\x00\x86"), ((2, 3), "K", TEXT), ([2, 3], "C", b""),
    ):  # fmt: skip
        path.write_bytes(written(data, shape, order, axes))
        with pytest.raises(UserError, match=r"pseudo_gt\.pkl (is|holds)"):
            read_pickle(path)


def test_small_files_cannot_grow_large(path, monkeypatch):
    monkeypatch.setattr(pickle_machine, "MOST_INSTRUCTIONS", 5_000)
    monkeypatch.setattr(pickle_machine, "MOST_MADE_BYTES", 2**20)
    text = b"\x8d" + struct.pack("<Q", 10**5) + b"x" * 10**5 + b"q\x00"
    again = b"".join(b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" for _ in range(200))
    element = b"cnumpy\ndtype\nX\x06\x00\x00\x00S99999\x89\x88\x87Rq\x01"
    bytes_of = b"\x8e" + struct.pack("<Q", 99_999) + b"x" * 99_999 + b"q\x02"
    scalars = b"".join(b"cnumpy.core.multiarray\nscalar\nh\x01h\x02\x86R" for _ in range(200))
    for program, words in (
        (b"(" + b"}" * 6_000 + b"l", "instructions"),
        (b"(" + b"N" * 6_000 + b"t", "instructions"),
        (b"(" + text + again + b"t", "makes more than"),
        (b"(" + element + bytes_of + scalars + b"t", "makes more than"),
        (b"\x96" + struct.pack("<Q", 2**40) + b"x", "truncated"),
        (b"\x8d" + struct.pack("<Q", 2**40) + b"x", "truncated"),
        (b"K\x01r\xff\xff\xff\x7f" * 6_000, "instructions"),
    ):
        path.write_bytes(b"\x80\x04" + program + b".")
        tracemalloc.start()
        with pytest.raises(UserError, match=words):
            read_pickle(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 32 * 2**20


def test_what_shares_its_parts_is_made_once_and_never_walked(path):
    """Ten lists that are one list, of ten that are one, twenty times over: 10^20 numbers to whoever walks them."""
    value: list = [0.0]
    for _ in range(20):
        value = [value] * 10
    path.write_bytes(pickle.dumps([{"image_name": "a", "pose": value}], 4))
    [entry] = read_pickle(path)
    assert numbers_of(entry["pose"], (15, 3)) is None
    assert numbers_of(entry["pose"], (10, 10, 10)) is None


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_damage_gives_a_value_or_one_sentence(path, tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    whole, rng = pickle.dumps(LABELS[:1], protocol), np.random.default_rng(protocol)
    outcomes = {"read": 0, "refused": 0}
    for trial in range(700):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 1 + trial % 3):
            match trial % 4:
                case 0:
                    damaged[place] = rng.integers(256)
                case 1:
                    damaged[place] ^= 1 << rng.integers(8)
                case 2:
                    del damaged[int(place) % len(damaged)]
                case 3:
                    damaged[place:place] = whole[place : place + rng.integers(1, 30)]
        path.write_bytes(damaged)
        try:
            assert_plain(read_pickle(path))
            outcomes["read"] += 1
        except UserError as error:
            sentence = str(error)
            outcomes["refused"] += sentence.startswith(str(path)) and "\n" not in sentence
    assert sum(outcomes.values()) == 700
    assert min(outcomes.values()) > 50
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def assert_plain(value) -> None:
    if isinstance(value, np.ndarray):
        assert value.dtype.kind in "fiubcUS"
    elif type(value) in (list, tuple):
        for each in value:
            assert_plain(each)
    elif type(value) is dict:
        for key, each in value.items():
            assert type(key) is str
            assert_plain(each)
    else:
        assert type(value) in (bool, int, float, complex, str, bytes, type(None))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_truncated_file_is_refused_wherever_it_ends(path, protocol):
    whole = pickle.dumps(LABELS[:1], protocol)
    for end in range(0, len(whole), 5):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"pseudo_gt\.pkl (is|asks)"):
            read_pickle(path)


def test_other_files_are_refused(path):
    for data in (b"", b"\x80", b"\x80\x01].", b"\x80\x06].", pickle.dumps([1], 0), b"PK\x03\x04", b"[1, 2]"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is no pickle of protocol 2 to 5"):
            read_pickle(path)
    with pytest.raises(UserError, match="larger than the 2 bytes"):
        read_pickle(path, limit_bytes=2)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*pseudo_gt\.pkl"):
        read_pickle(path)


def test_entries_have_their_keys():
    assert entries_of("f.pkl", [{"a": 1, "b": 2}], ("a",)) == [{"a": 1, "b": 2}]
    for value in ({}, None, [1], [{}, []]):
        with pytest.raises(UserError, match=r"^f\.pkl must hold a list of dicts$"):
            entries_of("f.pkl", value, ("a",))
    with pytest.raises(UserError, match=r"^f\.pkl: 'a' of entry 1 is missing$"):
        entries_of("f.pkl", [{"a": 1}, {"b": 1}], ("a",))


@pytest.mark.parametrize(
    "value", [POSE, POSE.astype(np.float32), POSE.tolist(), [*POSE], tuple(map(tuple, POSE.tolist()))]
)
def test_numbers_of_arrays_and_of_lists(value):
    found = numbers_of(value, (15, 3))
    assert found is not None
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, POSE, rtol=1e-6)
    assert numbers_of([[1, np.nan]], (1, 2)) is not None
    for other in (None, "x" * 15, value[:14], [["1", 2, 3]] * 15, [[True, 2, 3]] * 15, [[10**400, 2, 3]] * 15, {}):
        assert numbers_of(other, (15, 3)) is None
