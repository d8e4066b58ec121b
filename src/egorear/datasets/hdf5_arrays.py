"""Reads arrays from HDF5 files of others: only what stands in the file itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from egorear.errors import UserError


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The open `h5py.File`, for reading.

    Raises:
        UserError: h5py is not installed, or (also while it is open) the file cannot be read as HDF5.
    """
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"reading {path} needs h5py: pip install 'egorear[egocap]'") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path} cannot be read as an HDF5 file: {error}".splitlines()[0]) from error


def hdf5_array(path: Path, file: Any, name: str, shape: tuple[int, ...], kinds: str, limit: int) -> Any:
    """The `h5py.Dataset` of that name in an open file, n x shape, n at most `limit`; nothing of it is read yet. kinds:
    of its numbers, some of numpy's "fiu".

    Raises:
        UserError: it is missing or another, or the numbers stand in another file.
    """
    import h5py

    # No link, external storage or virtual dataset: each reads whatever other file it names.
    data: Any = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    own = isinstance(data, h5py.Dataset) and not data.external and not data.is_virtual
    if not own or data.dtype.kind not in kinds or data.ndim != 1 + len(shape) or data.shape[1:] != shape:
        sides = " x ".join(map(str, ("n", *shape)))
        raise UserError(f"{path}: '{name}' must be {sides} {'numbers' if 'f' in kinds else 'whole numbers'}")
    if not 0 < data.shape[0] <= limit:
        raise UserError(f"{path}: '{name}' has {data.shape[0]} rows but must have 1 to {limit}")
    return data
