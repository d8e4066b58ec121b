"""What cameras do to light: blur by defocus and motion, gains, noise, and the way to eight bits.

All sums are taken in one fixed order in plain arithmetic, and noise is made of random bytes, so that the same light
gives the same picture on every machine.
"""

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, UInt8

from egorear.synth.rasterizer import compiled

DRAWN_HEIGHT = 256  # pixels: the height of picture that blurs are told for
HOT_PIXELS = 0.3  # mean number a camera has
EXPOSURE_STD, BALANCE_STD = 0.12, 0.025  # log gain between cameras: a sixth of a stop, and some percent of hue
READ_NOISE = (2e-4, 2e-3)  # of full scale
SHOT_NOISE = (4e-6, 6e-4)  # variance over signal, both against full scale: 250,000 down to 1,700 electrons
SHUTTER_S = (0.001, 0.012)
BYTE_STD = np.float32(math.sqrt((256**2 - 1) / 12))
ZERO, HALF, ONE, FULL = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)


@dataclass(frozen=True)
class Sensor:
    """The cameras of one headset; V views, signals against full scale 1.

    gains: exposure and white balance. blur: standard deviation of the defocus, pixels of a picture 256 high.
    read_noise: standard deviation in the dark; shot_noise: variance over signal. colour: share of the noise's
    standard deviation that each channel has to itself. shutter_s: how long light is gathered, which times the turn of
    the device gives `expose`'s motion. hot: pixels that shine by themselves (view, row and column as shares of the
    picture, channel, brightness 0…1). jpeg_quality: for whoever writes the pictures.
    """

    gains: Float32[np.ndarray, "V 3"]
    blur: Float32[np.ndarray, "V"]
    read_noise: float
    shot_noise: float
    colour: float
    shutter_s: float
    hot: Float32[np.ndarray, "K 5"]
    jpeg_quality: int


def sample_sensor(rng: np.random.Generator, views: int) -> Sensor:
    """Cameras of one make: they share noise and shutter, and differ a little in gains and focus."""
    exposure = np.exp(rng.normal(0, EXPOSURE_STD, (views, 1)))
    balance = np.exp(rng.normal(0, BALANCE_STD, (views, 3)))
    count = int(rng.poisson(HOT_PIXELS * views))
    hot = rng.random((count, 5), np.float32) * np.array((views, 1, 1, 3, 1), np.float32)
    hot[:, [0, 3]] = np.floor(hot[:, [0, 3]])
    return Sensor(
        gains=(exposure * balance).astype(np.float32),
        blur=(rng.uniform(0, 0.6) + rng.uniform(0, 0.15, views)).astype(np.float32),
        read_noise=_log_uniform(rng, *READ_NOISE),
        shot_noise=_log_uniform(rng, *SHOT_NOISE),
        colour=rng.uniform(0.1, 0.7),
        shutter_s=_log_uniform(rng, *SHUTTER_S),
        hot=hot,
        jpeg_quality=int(rng.integers(75, 96)),
    )


def expose(
    light: Float32[np.ndarray, "H W 3"],
    transmission: Float32[np.ndarray, "H W 1"],
    exposure: float,
    sensor: Sensor,
    view: int,
    rng: np.random.Generator,
    motion: Float32[np.ndarray, "2"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """One picture of linear light.

    Args:
        transmission: what the lens lets through: vignetting, 0 outside the image circle.
        exposure: value of a light of 1 against full scale, before the sensor's own gains.
        view: index of the camera within `sensor`.
        rng: feeds the noise only, always by the same number of draws.
        motion: way (x, y; pixels) that the picture moves while the shutter is open.
    """
    height, width = light.shape[:2]
    sigma = float(sensor.blur[view]) * height / DRAWN_HEIGHT
    if sigma > 0.1:
        bell = bell_weights(sigma)
        light = _blurred(_blurred(light, bell[None]), bell[:, None])
    if motion is not None and math.hypot(*motion) > 0.25:
        light = _blurred(light, streak_weights(float(motion[0]), float(motion[1])))
    noise = np.frombuffer(rng.bytes(height * width * 8), np.uint8).reshape(height, width, 8)
    rows = np.frombuffer(rng.bytes(height * 3 * 4), np.uint8).reshape(height, 3, 4)
    picture = np.empty(light.shape, np.uint8)
    _develop(
        light, transmission[..., 0], (exposure * sensor.gains[view].astype(np.float64)).astype(np.float32),
        np.float32(sensor.read_noise), np.float32(sensor.shot_noise), np.float32(sensor.colour), noise, rows, picture,
    )  # fmt: skip
    for _, row, column, channel, brightness in sensor.hot[sensor.hot[:, 0] == view]:
        pixel = int(row * height), int(column * width), int(channel)
        picture[pixel] = max(picture[pixel], int(255 * brightness))
    return picture


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def bell_weights(sigma: float) -> np.ndarray:
    """A Gaussian's weights, which sum to 1."""
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def streak_weights(x: float, y: float) -> np.ndarray:
    """Weights of a straight way of (x, y) pixels about the middle, from points on it shared among their neighbours."""
    reach = math.ceil(max(abs(x), abs(y)) / 2) + 1
    weights = np.zeros((2 * reach + 1, 2 * reach + 1))
    points = 2 * math.ceil(max(abs(x), abs(y))) + 1
    for way in (np.arange(points) + 0.5) / points - 0.5:
        px, py = way * x + reach, way * y + reach
        column, row = int(px), int(py)
        fx, fy = px - column, py - row
        weights[row : row + 2, column : column + 2] += np.outer((1 - fy, fy), (1 - fx, fx)) / points
    return weights


def _blurred(light: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Convolution with centred weights [odd, odd]; beyond its edges a picture goes on as it ends."""
    down, across = weights.shape[0] // 2, weights.shape[1] // 2
    padded = np.pad(light, ((down, down), (across, across), (0, 0)), mode="edge")
    rows, columns = np.nonzero(weights)
    out = np.empty(light.shape, np.float32)
    flat = padded.reshape(len(padded), -1), out.reshape(len(out), -1)
    _convolve(flat[0], rows, 3 * columns, weights[rows, columns].astype(np.float32), flat[1])
    return out


@compiled
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _convolve(padded, rows, columns, weights, out):
    """out[y, x] = the sum over the taps k of weights[k] padded[y + rows[k], x + columns[k]]."""
    for y in range(out.shape[0]):
        out[y] = ZERO
        for k in range(weights.shape[0]):
            source = padded[y + rows[k], columns[k] : columns[k] + out.shape[1]]
            weight = weights[k]
            for x in range(out.shape[1]):
                out[y, x] += weight * source[x]


@compiled
@no_type_check
def _develop(light, transmission, gains, read_noise, shot_noise, colour, noise, rows, out):
    """Gains, noise and tone curve. Sums of random bytes stand for normal numbers: exact, and quick to draw."""
    shared = math.sqrt(ONE - colour * colour) / (BYTE_STD * np.float32(2))
    own = colour / (BYTE_STD * np.float32(math.sqrt(2)))
    line = np.float32(0.3) / (BYTE_STD * np.float32(2))
    floor = read_noise * read_noise
    height, width = transmission.shape
    offsets = np.empty(3, np.float32)
    for y in range(height):
        for c in range(3):
            sum_of_four = np.int32(rows[y, c, 0]) + rows[y, c, 1] + rows[y, c, 2] + rows[y, c, 3]
            offsets[c] = np.float32(sum_of_four - 510) * line * read_noise
        for x in range(width):
            n = noise[y, x]
            common = np.float32(np.int32(n[0]) + n[1] + n[2] + n[3] - 510) * shared
            for c in range(3):
                other = np.float32(np.int32(n[4 + c]) + n[5 + c] - 255) * own
                signal = light[y, x, c] * (transmission[y, x] * gains[c])
                deviation = math.sqrt(floor + shot_noise * max(signal, ZERO))
                signal += (common + other) * deviation + offsets[c]
                signal = min(max(signal, ZERO), ONE)
                # sRGB's curve to within two percent, without a power
                encoded = np.float32(1.02) * math.sqrt(signal) - np.float32(0.02) * signal
                out[y, x, c] = np.uint8(np.int32(encoded * FULL + HALF))
