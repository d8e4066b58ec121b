"""Bakes src/egorear/synth/assets/places.npz; run by hand when the asset changes, never at run time.

Needs OpenEXR and scikit-image beside this package, and the unpacked npm package @pmndrs/assets 1.7.0:
    npm pack @pmndrs/assets@1.7.0 && tar xzf pmndrs-assets-1.7.0.tgz
    python scripts/bake_places.py package
Contents of the asset, per HDRI NAME (all in linear RGB, scaled so that the map's mean is about 1):
    view_NAME   256x512 JPEG of 255 (radiance / PEAK)^(1/3): what is seen
    light_NAME  32x64x3 float16, area-averaged radiance, unclipped: what gives light
and per photograph, texture_NAME: 512x512 grey JPEG.
"""

import argparse
import base64
import io
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
from skimage import data

from egorear.files import atomic_write
from egorear.synth.skies import ASSET, GAMMA, PEAK


def read_exr_module(path: Path) -> np.ndarray:
    """The [256, 512, 3] radiance in one of the npm package's base64 modules; ringing below zero is mended
    from the neighbourhood, because a black ring around every lamp would be seen."""
    encoded = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text())
    assert encoded, f"{path} holds no base64"
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(encoded.group(1)))
        file.flush()
        with OpenEXR.File(file.name) as exr:
            channels = exr.channels()
            image = channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3].astype(np.float32)
    broken = cv2.dilate((image.min(-1) < 0).astype(np.uint8), np.ones((3, 3))).astype(bool)
    broken &= image.max(-1) < 4 * np.median(image)  # the lamp itself stays
    image = np.maximum(image, 0)
    weight = cv2.GaussianBlur((~broken).astype(np.float32), (0, 0), 2)[..., None]
    around = cv2.GaussianBlur(np.minimum(image, 8) * ~broken[..., None], (0, 0), 2) / np.maximum(weight, 1e-3)
    return np.where(broken[..., None], around, image)


def solid_angle(height: int, width: int) -> np.ndarray:
    theta = (np.arange(height) + 0.5) * np.pi / height
    return np.repeat(np.sin(theta)[:, None], width, 1)[..., None].astype(np.float32)


def bake_sky(radiance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(JPEG bytes, light map) of one equirectangular map."""
    height, width, _ = radiance.shape
    weight = solid_angle(height, width)
    luminance = radiance.mean(-1, keepdims=True)
    capped = np.minimum(luminance, np.quantile(luminance, 0.99))
    radiance = radiance * (weight.sum() / (capped * weight).sum())
    blocks = (radiance * weight).reshape(32, height // 32, 64, width // 64, 3).sum((1, 3))
    light = blocks / weight.reshape(32, height // 32, 64, width // 64, 1).sum((1, 3))
    stored = np.round(255 * np.clip(radiance / PEAK, 0, 1) ** (1 / GAMMA)).astype(np.uint8)
    return to_jpeg(stored[..., ::-1], 95), light.astype(np.float16)


def to_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return encoded.ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="the unpacked @pmndrs/assets folder")
    folder = parser.parse_args().package
    arrays = {}
    for path in sorted((folder / "hdri").glob("*.exr.js")):
        name = path.name.removesuffix(".exr.js")
        arrays[f"view_{name}"], arrays[f"light_{name}"] = bake_sky(read_exr_module(path))
    for name in ("brick", "grass", "gravel"):
        arrays[f"texture_{name}"] = to_jpeg(getattr(data, name)(), 80)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic_write(ASSET) as temporary:
        temporary.write_bytes(buffer.getvalue())
    print(f"{ASSET}: {len(buffer.getvalue()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
