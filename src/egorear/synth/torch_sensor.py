"""What `sensor` does to light, for many views at once, in torch operations on any device.

Without noise the pictures are those of `sensor.expose` to a rounding; the noise has the same statistics, but normal
numbers in place of sums of bytes.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn.functional import conv2d, pad

from egorear.synth.sensor import DRAWN_HEIGHT, Sensor, bell_weights, streak_weights

ROW_NOISE = 0.3  # of the read noise, shared by a row of the sensor


def expose(
    light: Float32[Tensor, "S V H W 3"],
    transmission: Float32[Tensor, "V H W 1"],
    exposure: Float32[Tensor, "S"],
    sensors: Sequence[Sensor],
    motion: Float32[np.ndarray, "S V 2"],
    generator: torch.Generator | None = None,
) -> UInt8[Tensor, "S V H W 3"]:
    """Pictures of S scenes in V views; see `sensor.expose`. generator: of the noise, on the device of the light."""
    device, shape = light.device, light.shape
    views = _blurred(light.flatten(0, 1), sensors, motion.reshape(-1, 2)).view(shape)

    def of(name: str) -> Tensor:
        values = np.array([getattr(sensor, name) for sensor in sensors], np.float32)
        return torch.from_numpy(values).to(device)

    def noise(*size: int) -> Tensor:
        return torch.randn(*shape[:2], *size, generator=generator, device=device)

    gains = (exposure[:, None, None] * of("gains"))[:, :, None, None]
    read, shot, colour = (of(name)[:, None, None, None, None] for name in ("read_noise", "shot_noise", "colour"))
    signal = views * (transmission * gains)
    shared, own = noise(*shape[2:4], 1), noise(*shape[2:4], 4)  # of `own`, neighbouring channels share a half
    grain = shared * (1 - colour * colour).sqrt() + (own[..., :3] + own[..., 1:]) * (colour / math.sqrt(2))
    rows = noise(shape[2], 1, 3) * (ROW_NOISE * read)
    signal = (signal + grain * (read * read + shot * signal.clamp(min=0)).sqrt() + rows).clamp(0, 1)
    picture = ((1.02 * signal.sqrt() - 0.02 * signal) * 255 + 0.5).to(torch.uint8)
    return _with_hot_pixels(picture, sensors)


def _with_hot_pixels(picture: Tensor, sensors: Sequence[Sensor]) -> Tensor:
    _, views, height, width, _ = picture.shape
    where, level = [], []
    for s, sensor in enumerate(sensors):
        view, row, column, channel, brightness = sensor.hot.astype(np.float64).T
        pixel = np.floor(row * height) * width + np.floor(column * width)
        where.append(((s * views + view) * height * width + pixel) * 3 + channel)
        level.append(np.floor(255 * brightness))
    index = torch.from_numpy(np.concatenate(where).astype(np.int64)).to(picture.device)
    flat = picture.view(-1)
    flat[index] = torch.maximum(flat[index], torch.from_numpy(np.concatenate(level)).to(flat))
    return picture


def _blurred(light: Tensor, sensors: Sequence[Sensor], motion: np.ndarray) -> Tensor:
    """Views [B H W 3] out of focus and moved."""
    sigma = np.concatenate([sensor.blur for sensor in sensors]).astype(float) * light.shape[1] / DRAWN_HEIGHT
    soft = np.flatnonzero(sigma > 0.1)
    if len(soft):
        bells = _stacked([bell_weights(sigma[b])[None] for b in soft])
        light = light.clone()
        light[soft] = _convolved(_convolved(light[soft], bells), bells.transpose(0, 2, 1))
    moved = np.flatnonzero(np.hypot(*motion.T) > 0.25)
    if len(moved):
        light = light.clone()
        light[moved] = _convolved(light[moved], _stacked([streak_weights(*map(float, motion[b])) for b in moved]))
    return light


def _stacked(weights: list[np.ndarray]) -> np.ndarray:
    """Kernels of odd sizes, padded by zeros to one size."""
    height, width = (max(kernel.shape[axis] for kernel in weights) for axis in (0, 1))
    sides = [[((full - own) // 2,) * 2 for full, own in zip((height, width), k.shape, strict=True)] for k in weights]
    return np.stack([np.pad(kernel, side) for kernel, side in zip(weights, sides, strict=True)])


def _convolved(light: Tensor, weights: np.ndarray) -> Tensor:
    """Views [B H W 3] by one kernel each [B, odd, odd]; beyond its edges a picture goes on as it ends."""
    down, across = weights.shape[1] // 2, weights.shape[2] // 2
    planes = light.permute(0, 3, 1, 2).flatten(0, 1)[None]
    kernels = torch.from_numpy(weights).to(light).repeat_interleave(3, 0)[:, None]
    planes = conv2d(pad(planes, (across, across, down, down), mode="replicate"), kernels, groups=len(kernels))
    return planes[0].unflatten(0, (-1, 3)).permute(0, 2, 3, 1)
