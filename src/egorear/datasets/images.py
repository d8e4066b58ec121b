"""Reads stored images, and refuses those that are not whole."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from egorear.errors import UserError
from egorear.files import read_bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
LIMIT_BYTES = 64 * 2**20
# Signature and last bytes of each format: OpenCV fills what a truncated file lacks with grey and says nothing.
JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
WHOLE = ((JPEG, b"\xff\xd9"), (PNG, b"IEND\xaeB`\x82"))
IMAGENET_MEAN = np.array((0.485, 0.456, 0.406))[:, None, None]
IMAGENET_DEVIATION = np.array((0.229, 0.224, 0.225))[:, None, None]
COLOR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # as stored: no EXIF rotation
Cut = tuple[int, int, int, int]  # of a picture: left, top, width, height
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


def find_image(folder: str | Path, stem: str) -> Path:
    """The image of that stem in a folder, whatever its format.

    Raises:
        UserError: there is none.
    """
    start = os.path.join(folder, stem)
    for suffix in SUFFIXES:
        if os.path.exists(start + suffix):
            return Path(start + suffix)
    raise UserError(f"{Path(folder) / stem}.jpg is missing (.jpeg and .png would do as well)")


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes an RGB image as stored (no EXIF rotation).

    Raises:
        UserError: the file cannot be read, is neither JPEG nor PNG, is truncated or does not decode.
    """
    return decode_rgb(str(path), read_bytes(path, LIMIT_BYTES))


def decode_rgb(name: str, data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """`read_image` of bytes that are in memory; `name` is what a user knows them by."""
    return cv2.cvtColor(decode_image(name, data, COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode_resized(
    name: str,
    data: bytes,
    stored: tuple[int, int],
    size: tuple[int, int],
    exact: bool = False,
    cut: Cut | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of `stored_size`, or what `cut` leaves of it, resampled to `size` (width, height), in OpenCV's order of
    colours (BGR).

    By area, as `prepare` (`exact`) always does it. But a JPEG at least twice as large is decoded at a half, a quarter
    or an eighth of its size, which its blocks allow at less cost, and the rest, less than another half, is
    interpolated: 44 dB and more from the former on pictures with a sensor's noise (docs/prepare.md).

    Raises:
        UserError: as `decode_image`.
    """
    x, y, width, height = part = cut or (0, 0, *stored)
    step = 1
    if not exact and data.startswith(JPEG):
        fitting = (s for s in REDUCED if (width, height) == stored or not any(side % s for side in part))
        step = next((s for s in fitting if width >= s * size[0] and height >= s * size[1]), 1)
    image = decode_image(name, data, REDUCED.get(step, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
    if (width, height) != stored:
        image = image[y // step : (y + height) // step, x // step : (x + width) // step]
    if image.shape[1::-1] == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if step == 1 else cv2.INTER_LINEAR)


def png_of_normalised(name: str, values: Float[np.ndarray, "3 H W"]) -> bytes:
    """A picture that was normalised by ImageNet's mean and deviation (RGB), as the PNG that it was.

    Raises:
        UserError: a value is beyond what 8 bits become.
    """
    levels = np.rint(255 * (values * IMAGENET_DEVIATION + IMAGENET_MEAN))
    if not (levels.min() >= 0 and levels.max() <= 255):
        raise UserError(f"{name} must be an image normalised by ImageNet's mean and deviation")
    return encode_png(np.ascontiguousarray(levels[::-1].transpose(1, 2, 0).astype(np.uint8)))


def encode_png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """A picture (BGR) as a PNG, in little time rather than few bytes."""
    return cv2.imencode(".png", image, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()


def stored_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG or PNG from its head; nothing is decoded.

    Raises:
        UserError: it is neither, or its head is damaged.
    """
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
    elif data.startswith(JPEG):
        width, height = _jpeg_size(data)
    else:
        raise UserError(f"{name} is neither a JPEG nor a PNG image")
    if not width or not height:
        raise UserError(f"{name} cannot be decoded as an image: its head tells no size")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """As the frame header (SOF) has it; 0, 0 where there is none before the pixels."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a fill byte
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        elif marker == 0xDA:
            break
        else:
            place += 2 + length
    return 0, 0


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
