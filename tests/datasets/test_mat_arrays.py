"""MATLAB files: numbers as they were saved, and one sentence for whatever else a file may be."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.datasets.mo2cap2_files import element, mat_file, matrix, poses_mm, small

from egorear.datasets import mat_arrays
from egorear.datasets.mat_arrays import read_mat_array
from egorear.errors import UserError

SHAPE = (None, 15, 3)
POSES = poses_mm(2)


def read(folder, data: bytes, name: str = "pose_gt", shape: tuple[int | None, ...] = SHAPE) -> np.ndarray:
    path = folder / "a.mat"
    path.write_bytes(data)
    return read_mat_array(path, name, shape)


def refused(folder, data: bytes, name: str = "pose_gt") -> str:
    with pytest.raises(UserError) as error:
        read(folder, data, name)
    sentence = str(error.value)
    assert sentence.startswith(str(folder / "a.mat"))
    assert "\n" not in sentence
    return sentence.removeprefix(str(folder / "a.mat"))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_numbers_of_every_type_and_byte_order(tmp_path, dtype, compressed, order):
    values = np.random.default_rng(0).uniform(0, 100, (3, 15, 3)).astype(dtype)
    others = matrix("f", np.array([[25.0]]), order), matrix("text", np.zeros((1, 4), "u2"), order, array_class=4)
    data = mat_file(*others, matrix("pose_gt", values, order), others[0], compressed=compressed, order=order)
    found = read(tmp_path, data)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)
    assert read(tmp_path, data, "f", (1, 1)).tolist() == [[25.0]]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "i8"])
def test_files_of_scipy(tmp_path, compressed, dtype):
    savemat = pytest.importorskip("scipy.io").savemat
    array = np.random.default_rng(0).uniform(0, 100, (3, 15, 3)).astype(dtype)
    other = {"text": "pose_gt", "cell": np.array([1, "a"], dtype=object), "complex": 1j * array, "small": {"a": 3}}
    savemat(tmp_path / "a.mat", {**other, "pose_gt": array, "after": array}, do_compression=compressed)
    data = (tmp_path / "a.mat").read_bytes()
    for name in ("pose_gt", "after"):
        np.testing.assert_array_equal(read(tmp_path, data, name), array)
    for name in other:
        assert refused(tmp_path, data, name) == f": '{name}' must be n x 15 x 3 real numbers"


@pytest.mark.parametrize(
    "stored",
    [
        matrix("pose_gt", POSES[:, :14]),
        matrix("pose_gt", POSES[0]),
        matrix("pose_gt", POSES[:0]),
        matrix("pose_gt", POSES, array_class=4),  # text
        matrix("pose_gt", POSES, array_class=1),  # cells
        matrix("pose_gt", POSES, array_class=5),  # sparse
        matrix("pose_gt", POSES, flags=0x0800),  # complex
    ],
)
def test_other_variables_are_refused(tmp_path, stored):
    assert refused(tmp_path, mat_file(stored)) == ": 'pose_gt' must be n x 15 x 3 real numbers"


def test_what_is_not_there_is_told(tmp_path):
    assert refused(tmp_path, mat_file(matrix("pose", POSES), compressed=True)) == ": 'pose_gt' is missing"
    assert refused(tmp_path, mat_file()) == ": 'pose_gt' is missing"
    with pytest.raises(UserError, match=r"none\.mat"):
        read_mat_array(tmp_path / "none.mat", "pose_gt", SHAPE)


def test_other_files_are_refused(tmp_path):
    new = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"
    for data in (new, new[512:] + bytes(200)):
        assert refused(tmp_path, data) == " is a MATLAB file of v7.3 but must be of v7 or earlier: save(…, '-v7')"
    for data in (b"", bytes(4000), mat_file()[:127], mat_file()[:124] + b"\x00\x03IM", b"MATLAB 4".ljust(200)):
        assert refused(tmp_path, data) == " is no MATLAB file of v5 to v7"


def shaped(*sides: int, kind: int = 9, numbers: bytes = POSES.tobytes()) -> bytes:
    flags, shape = element(6, struct.pack("<II", 6, 0)), element(5, struct.pack(f"<{len(sides)}i", *sides))
    return element(14, flags + shape + element(1, b"pose_gt") + element(kind, numbers))


PACKED = zlib.compress(matrix("pose_gt", POSES))


@pytest.mark.parametrize(
    "content",
    [
        shaped(3, 15, 3),  # more numbers than there are
        shaped(1, 15, 3),
        shaped(-1, 15, 3),
        shaped(-2, -15, 3),
        shaped(),
        shaped(*[1] * 100),
        shaped(2, 15, 3, kind=16),  # text
        shaped(2, 15, 3, numbers=POSES.tobytes()[:-1]),
        element(14, element(6, struct.pack("<II", 6, 0)) + element(5, bytes(12)) + element(1, b"pose_gt")),
        element(14, element(6, b"") + element(5, bytes(12)) + element(1, b"pose_gt") + element(9, b"")),
        struct.pack("<II", 14, 2**32 - 1),
        struct.pack("<I", 5 << 16 | 1) + bytes(4),  # a small element of five bytes
        b"\0\0\0",
        element(15, b"no zlib at all"),
        struct.pack("<II", 15, len(PACKED) - 6) + PACKED[:-6],  # all numbers are there, the checksum is not
        element(14, small(6, b"\6\0\0\0") + small(5, b"") + element(1, b"pose_gt") + small(9, b"")),
    ],
)
def test_damage_is_told(tmp_path, content):
    assert refused(tmp_path, mat_file(content)).startswith(" is a damaged MATLAB file")


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.integers(124, 500),
    st.integers(0, 255),
    st.one_of(st.none(), st.integers(0, 500)),
)
def test_any_damage_gives_numbers_or_one_sentence(tmp_path_factory, compressed, place, value, length):
    data = bytearray(mat_file(matrix("f", np.zeros((1, 1))), matrix("pose_gt", poses_mm(1)), compressed=compressed))
    data[min(place, len(data) - 1)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    path.write_bytes(data[:length])
    sentence = None
    try:
        found = read_mat_array(path, "pose_gt", SHAPE)
    except UserError as error:
        sentence = str(error)
    else:
        assert found.shape[1:] == (15, 3)
    assert sentence is None or (sentence.startswith(str(path)) and "\n" not in sentence)


def test_small_parts_cannot_grow_large(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_arrays, "LIMIT_BYTES", 40_000)
    parts = [matrix(f"a{place}", np.zeros((1500, 1))) for place in range(4)]  # of 12 kB each
    assert refused(tmp_path, mat_file(*parts[:3], compressed=True)) == ": 'pose_gt' is missing"
    assert "holds more than" in refused(tmp_path, mat_file(*parts, compressed=True))
    assert "holds more than" in refused(tmp_path, mat_file(matrix("a", np.zeros((10_000, 1))), compressed=True))
