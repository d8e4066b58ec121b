"""Cameras in torch against the compiled ones."""

from dataclasses import replace

import numpy as np
import torch

from egorear.synth import sensor, torch_sensor

SENSORS = [sensor.sample_sensor(np.random.default_rng(seed), 2) for seed in range(3)]


def test_without_noise_pictures_are_the_compiled_ones():
    rng = np.random.default_rng(0)
    light, lens = rng.random((3, 2, 40, 40, 3), np.float32) ** 2, rng.random((2, 40, 40, 1), np.float32)
    exposure, motion = np.array([1, 0.5, 2], np.float32), rng.normal(0, 3, (3, 2, 2)).astype(np.float32)
    motion[0, 0] = 0
    quiet = [replace(s, read_noise=0.0, shot_noise=0.0, blur=s.blur * 4) for s in SENSORS]
    pictures = torch_sensor.expose(*map(torch.from_numpy, (light, lens, exposure)), quiet, motion)
    for s in range(3):
        for v in range(2):
            expected = sensor.expose(light[s, v], lens[v], float(exposure[s]), quiet[s], v, rng, motion[s, v])
            difference = np.abs(pictures[s, v].numpy().astype(int) - expected)
            assert difference.max() <= 1
            assert difference.mean() < 0.01


def test_noise_is_as_strong_as_the_compiled_one():
    light = np.full((3, 2, 64, 64, 3), 0.3, np.float32)
    noisy = [replace(s, read_noise=0.004, shot_noise=1e-3, hot=s.hot[:0]) for s in SENSORS]
    still = np.zeros((3, 2, 2), np.float32)
    pictures = torch_sensor.expose(
        torch.from_numpy(light), torch.ones(2, 64, 64, 1), torch.ones(3), noisy, still, torch.Generator().manual_seed(0)
    ).numpy()
    for s in range(3):
        expected = sensor.expose(
            light[s, 0], np.ones((64, 64, 1), np.float32), 1.0, noisy[s], 0, np.random.default_rng(s)
        )
        np.testing.assert_allclose(pictures[s, 0].std((0, 1)), expected.std((0, 1)), rtol=0.1)
        np.testing.assert_allclose(
            np.corrcoef(pictures[s, 0].reshape(-1, 3).T), np.corrcoef(expected.reshape(-1, 3).T), atol=0.1
        )
