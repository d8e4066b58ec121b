"""Pictures against what is known of their light: means, noise, gains and the way the picture moved."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.synth.sensor import Sensor, expose, sample_sensor

SIZE = 128
CLEAR = np.ones((SIZE, SIZE, 1), np.float32)


def quiet(**changes) -> Sensor:
    """One perfect camera."""
    perfect = Sensor(
        gains=np.ones((1, 3), np.float32), blur=np.zeros(1, np.float32), read_noise=0.0, shot_noise=0.0, colour=0.0,
        shutter_s=0.01, hot=np.zeros((0, 5), np.float32), jpeg_quality=90,
    )  # fmt: skip
    return replace(perfect, **changes)


def flat(value: float, size: int = SIZE) -> np.ndarray:
    return np.full((size, size, 3), value, np.float32)


def linear(picture: np.ndarray) -> np.ndarray:
    """The signal behind a picture: the tone curve e = 1.02 √s - 0.02 s undone."""
    e = picture / 255
    return ((1.02 - np.sqrt(1.02**2 - 0.08 * e)) / 0.04) ** 2


def shot(light, sensor, motion=None, seed: int = 0, exposure: float = 1.0, transmission=None) -> np.ndarray:
    clear = CLEAR if transmission is None else transmission
    motion = None if motion is None else np.array(motion, np.float32)
    return expose(light, clear, exposure, sensor, 0, np.random.default_rng(seed), motion)


def test_a_perfect_camera_only_encodes():
    light = np.random.default_rng(0).random((SIZE, SIZE, 3), np.float32)
    picture = shot(light, quiet())
    np.testing.assert_allclose(picture, 255 * (1.02 * np.sqrt(light) - 0.02 * light), atol=0.51)
    assert shot(flat(0), quiet()).max() == 0
    assert shot(flat(1), quiet()).min() == 255


def test_no_motion_and_hardly_any_change_nothing():
    light = np.random.default_rng(1).random((SIZE, SIZE, 3), np.float32)
    still = shot(light, quiet())
    for motion in ((0, 0), (0.1, -0.1)):
        np.testing.assert_array_equal(shot(light, quiet(), motion), still)


@settings(max_examples=30, deadline=None)
@given(st.floats(-14, 14), st.floats(-14, 14), st.floats(0, 2))
def test_blur_keeps_the_light_and_its_place(x, y, defocus):
    light = flat(0.0)
    light[60, 70] = 30.0
    sensor = quiet(blur=np.array([defocus * 256 / SIZE], np.float32))
    # Scaled down so that nothing burns: rounding to 8 bits is all that is lost.
    spread = linear(shot(light, sensor, (x, y), exposure=1 / 30)[..., 1])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    assert spread.sum() == pytest.approx(1, rel=0.1)
    assert (rows * spread).sum() / spread.sum() == pytest.approx(60, abs=0.25)
    assert (columns * spread).sum() / spread.sum() == pytest.approx(70, abs=0.25)
    for motion in ((x, y), None):
        np.testing.assert_array_equal(shot(flat(0.3), sensor, motion), shot(flat(0.3), quiet()))


def test_motion_draws_points_out_along_its_way_only():
    light = flat(0.0)
    light[64, 64] = 8.0
    drawn = shot(light, quiet(), (8, 0))[..., 0]
    assert set(np.flatnonzero(drawn.max(1))) == {64}
    assert list(np.flatnonzero(drawn.max(0))) == list(range(60, 69))
    rows, columns = np.nonzero(shot(light, quiet(), (6, 6))[..., 0] > 100)
    assert np.abs(rows - columns).max() <= 1
    assert columns.max() - columns.min() >= 5


@pytest.mark.parametrize(("read", "shot_noise", "level"), [(0.002, 0.0, 0.2), (0.0, 5e-4, 0.2), (0.001, 2e-4, 0.6)])
@pytest.mark.parametrize("colour", [0.0, 0.6])
def test_noise_has_the_level_it_is_told_and_leaves_the_mean(read, shot_noise, level, colour):
    sensor = quiet(read_noise=read, shot_noise=shot_noise, colour=colour)
    signal = linear(shot(flat(level), sensor))
    rounding = (2 * np.sqrt(level) / 255) ** 2 / 12
    lines = (0.3 * read) ** 2
    assert signal.var() == pytest.approx(read**2 + shot_noise * level + lines + rounding, rel=0.12)
    assert signal.mean() == pytest.approx(level, rel=0.005)


def test_channels_share_their_noise_but_for_its_colour():
    grey = shot(flat(0.3), quiet(shot_noise=5e-4)).astype(float)
    coloured = shot(flat(0.3), quiet(shot_noise=5e-4, colour=0.7)).astype(float)
    assert np.ptp(grey, axis=2).max() == 0
    red_green = np.corrcoef(coloured[..., 0].ravel(), coloured[..., 1].ravel())[0, 1]
    assert 0.4 < red_green < 0.9


def test_gains_exposure_and_vignetting_multiply():
    sensor = quiet(gains=np.array([[1, 0.5, 0.25]], np.float32))
    np.testing.assert_allclose(linear(shot(flat(0.4), sensor, exposure=2.0)).mean((0, 1)), (0.8, 0.4, 0.2), rtol=0.01)
    half = np.where(np.arange(SIZE) < 64, 0, 0.5).astype(np.float32)[None, :, None] * CLEAR
    picture = shot(flat(0.4), quiet(), transmission=half)
    assert picture[:, :64].max() == 0
    np.testing.assert_allclose(linear(picture[:, 64:]), 0.2, rtol=0.01)


def test_black_and_burnt_pictures_stay_within_eight_bits():
    noisy = quiet(read_noise=0.002, shot_noise=6e-4, blur=np.array([0.7], np.float32), colour=0.5)
    black, burnt = shot(flat(0), noisy, (3, 2)), shot(flat(1e6), noisy, (3, 2))
    assert 0 < black.mean() < 15
    assert black.max() < 40
    assert (burnt == 255).all()


def test_hot_pixels_shine_where_they_are_and_only_in_their_camera():
    hot = np.array([[0, 0.5, 0.25, 1, 0.8], [1, 0.1, 0.1, 0, 1]], np.float32)
    picture = shot(flat(0), quiet(hot=hot))
    assert picture[64, 32].tolist() == [0, 204, 0]
    assert np.count_nonzero(picture) == 1


def test_the_same_draws_give_the_same_picture():
    sensor = sample_sensor(np.random.default_rng(5), 4)
    again = sample_sensor(np.random.default_rng(5), 4)
    light = np.random.default_rng(6).random((SIZE, SIZE, 3), np.float32)
    first, second = (shot(light, s, (2, 1), seed=9) for s in (sensor, again))
    assert first.tobytes() == second.tobytes()
    assert (first != shot(light, sensor, (2, 1), seed=10)).any()


def test_noise_takes_the_same_draws_whatever_the_light():
    rngs = [np.random.default_rng(3) for _ in range(2)]
    expose(flat(0), CLEAR, 1.0, quiet(), 0, rngs[0], None)
    expose(flat(9), CLEAR, 1.0, quiet(shot_noise=1e-4, blur=np.ones(1, np.float32)), 0, rngs[1], np.ones(2, np.float32))
    assert rngs[0].random() == rngs[1].random()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_sampled_sensors_are_plausible(seed, views):
    sensor = sample_sensor(np.random.default_rng(seed), views)
    assert sensor.gains.shape == (views, 3)
    assert ((sensor.gains > 0.5) & (sensor.gains < 2)).all()
    assert ((sensor.blur >= 0) & (sensor.blur < 0.8)).all()
    assert 75 <= sensor.jpeg_quality <= 95
    assert np.isin(sensor.hot[:, 0], np.arange(views)).all()
    assert ((sensor.hot >= 0) & (sensor.hot[:, 1:] <= (1, 1, 2, 1)).all(1, keepdims=True)).all()
