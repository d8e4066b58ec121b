"""Reads stored images, and refuses those that are not whole."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from egorear.errors import UserError
from egorear.files import read_bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
LIMIT_BYTES = 64 * 2**20
# Signature and last bytes of each format: OpenCV fills what a truncated file lacks with grey and says nothing.
WHOLE = ((b"\xff\xd8", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"))


def find_image(folder: str | Path, stem: str) -> Path:
    """The image of that stem in a folder, whatever its format.

    Raises:
        UserError: there is none.
    """
    for suffix in SUFFIXES:
        path = Path(folder) / f"{stem}{suffix}"
        if path.exists():
            return path
    raise UserError(f"{Path(folder) / stem}.jpg is missing (.jpeg and .png would do as well)")


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes an RGB image as stored (no EXIF rotation).

    Raises:
        UserError: the file cannot be read, is neither JPEG nor PNG, is truncated or does not decode.
    """
    return decode_rgb(str(path), read_bytes(path, LIMIT_BYTES))


def decode_rgb(name: str, data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """`read_image` of bytes that are in memory; `name` is what a user knows them by."""
    image = decode_image(name, data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode_image(name: str, data: bytes, flags: int) -> np.ndarray:
    """`cv2.imdecode` of a whole JPEG or PNG.

    Raises:
        UserError: it is neither, is truncated or does not decode.
    """
    ends = [end for start, end in WHOLE if data.startswith(start)]
    if not ends:
        raise UserError(f"{name} is neither a JPEG nor a PNG image")
    if not data.rstrip(b"\0").endswith(ends[0]):
        raise UserError(f"{name} is truncated: its end marker is missing")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UserError(f"{name} cannot be decoded as an image: {error.err}") from error
    if image is None:
        raise UserError(f"{name} cannot be decoded as an image")
    return image
