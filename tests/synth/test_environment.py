"""Places: the same for the same seed, apart between splits, and physically right where it can be checked."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.synth import floors, rooms, skies
from egorear.synth.environment import Place, sample_place
from egorear.synth.skies import SKIES, Light, load_sky, map_directions, solid_angles, split_light

EYE = np.array([0.3, -0.2, 1.6], np.float32)
NOTHING = rooms.Furniture(np.zeros((0, 6), np.float32), np.zeros((0, 3), np.float32))


def directions(count: int, seed: int = 0) -> np.ndarray:
    rays = np.random.default_rng(seed).normal(size=(count, 3))
    return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


def white_light() -> Light:
    harmonics = np.zeros((9, 3), np.float32)
    harmonics[0] = 1 / 0.282095  # ambient is exactly 1 for every normal
    return Light(harmonics, np.array([0, 0, 1], np.float32), np.zeros(3, np.float32))


def tiled_place(albedo: np.ndarray, metres: float, yaw: float) -> Place:
    """White light on an endless bare floor with the given pattern."""
    place = sample_place(np.random.default_rng(0), "train")
    floor = floors.Surface("test", metres, floors.mip_pyramid(albedo.astype(np.float32)))
    bare = replace(place, room=None, furniture=NOTHING, light=white_light())
    return replace(bare, fade=(1e6, 2e6), floor=floor, yaw=yaw)


def look_at(points: np.ndarray) -> np.ndarray:
    rays = points - EYE
    return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


def test_the_same_seed_gives_the_same_place() -> None:
    rays = directions(500)
    first, again, other = (
        sample_place(np.random.default_rng(seed), "train").background(rays, EYE) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_splits_share_no_map_and_no_piece_of_a_photograph() -> None:
    for one, other in combinations(SKIES, 2):
        assert not set(SKIES[one]) & set(SKIES[other])
        assert not set(floors.QUADRANTS[one]) & set(floors.QUADRANTS[other])
    seen = {sample_place(np.random.default_rng(seed), "test").name for seed in range(20)}
    assert seen == set(SKIES["test"])


def test_equal_seeds_do_not_repeat_a_floor_in_another_split() -> None:
    sizes = {sample_place(np.random.default_rng(4), split).capture_height for split in SKIES}
    assert len(sizes) == len(SKIES)


def test_unknown_split_is_told_to_the_user() -> None:
    with pytest.raises(UserError, match="split is 'dev', expected one of train, validation, test"):
        sample_place(np.random.default_rng(0), "dev")


@pytest.mark.parametrize("yaw", [0.0, 0.7])
def test_checker_edges_lie_where_they_should_on_the_floor(yaw: float) -> None:
    y, x = np.indices((256, 256)) * 8 // 256
    place = tiled_place(np.where((x + y) % 2, 0.9, 0.1)[..., None] * np.ones(3), metres=8 * 0.25, yaw=yaw)
    grid = np.random.default_rng(1).uniform(-3, 3, (4000, 2))
    cells = np.floor(grid / 0.25)
    clear = (np.abs(grid / 0.25 - np.round(grid / 0.25)) * 0.25).min(1) > 0.005  # 5 mm off every edge
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    points = np.column_stack([grid @ turn.T, np.zeros(len(grid))])
    seen = place.background(look_at(points), EYE, pixel_angle=1e-4)[:, 0]
    expected = np.where(cells.sum(1) % 2, 0.9, 0.1)
    np.testing.assert_allclose(seen[clear], expected[clear], atol=0.02)


def test_far_patterns_fade_to_their_mean_instead_of_moire() -> None:
    y, x = np.indices((256, 256)) * 8 // 256
    place = tiled_place(np.where((x + y) % 2, 0.9, 0.1)[..., None] * np.ones(3), metres=2.0, yaw=0.0)
    azimuth = np.linspace(0, 6, 300)
    points = np.column_stack([150 * np.cos(azimuth), 150 * np.sin(azimuth), 0 * azimuth])
    np.testing.assert_allclose(place.background(look_at(points), EYE), 0.5, atol=0.02)


def test_a_blob_darkens_the_floor_under_it_and_nothing_else() -> None:
    place = tiled_place(np.full((256, 256, 3), 0.5), metres=2.0, yaw=0.4)
    blob = np.array([[1.0, 2.0, 0.5, 0.8]], np.float32)
    points = np.array([[1.0, 2.0, 0], [1.6, 2.0, 0], [1.0, 2.25, 0]])
    seen = place.background(look_at(points), EYE, blob)[:, 0]
    np.testing.assert_allclose(seen, [0.5 * 0.2, 0.5, 0.5 * (1 - 0.8 * 0.75**2)], rtol=1e-3)


@pytest.mark.parametrize("name", [name for names in SKIES.values() for name in names])
def test_ambient_and_sun_match_the_integral_over_the_map(name: str) -> None:
    _, radiance = load_sky(name)
    toward, area = map_directions(32, 64).reshape(-1, 3), np.broadcast_to(solid_angles(32, 64), (32, 64, 1))
    weighted = (radiance * area).reshape(-1, 3)
    normals, light = directions(200), split_light(radiance)
    exact = np.maximum(normals @ toward.T, 0) @ weighted / np.pi
    assert (light.ambient(normals) > 0).all()
    assert light.sun_direction[2] > 0
    # nine harmonics leave a few per cent of the mean light (Ramamoorthi and Hanrahan 2001)
    assert np.abs(light.shade(normals) - exact).mean() < 0.04 * exact.mean()


def test_the_sun_of_a_black_map_with_one_bright_spot() -> None:
    radiance = np.full((32, 64, 3), 1e-3, np.float32)
    radiance[8, 20] = 500
    light = split_light(radiance)
    np.testing.assert_allclose(light.sun_direction, map_directions(32, 64)[8, 20], atol=1e-3)
    np.testing.assert_allclose(light.sun_color, 500 * solid_angles(32, 64)[8, 0, 0] / np.pi, rtol=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_awkward_rays_stay_finite(seed: int) -> None:
    place = sample_place(np.random.default_rng(seed), "train")
    axes = np.concatenate([np.eye(3), -np.eye(3), [[0.6, 0.8, 0], [0.6, 0.8, -1e-12], [0, 1e-20, 1]]])
    rays = np.concatenate([axes.astype(np.float32), directions(2000)])
    for origin in (EYE, np.array([0, 0, 0], np.float32), np.array([2, -2, 0.3], np.float32)):
        seen = place.background(rays, origin)
        assert np.isfinite(seen).all()
        assert (seen >= 0).all()


def test_the_sky_is_seen_in_the_direction_its_texels_lie() -> None:
    place = replace(sample_place(np.random.default_rng(3), "train"), room=None, furniture=NOTHING)
    rows = slice(10, 120)  # above the horizon
    rays = map_directions(256, 512)[rows].reshape(-1, 3)
    seen = place.background(np.ascontiguousarray(rays), EYE).reshape(110, 512, 3)
    assert np.abs(seen - place.sky[rows]).mean() < 0.01 * place.sky[rows].mean()


def test_a_wall_is_hit_at_its_distance() -> None:
    bounds = np.array([[-3, -3, 0], [4, 3, 2.5]], np.float32)
    red = np.array([[1, -0.5, 0.5, 1, 2, 0.9, 0.0, 0.0, rooms.PAINTED]], np.float32)  # on the wall x = 4
    place = replace(tiled_place(np.full((256, 256, 3), 0.5), 2.0, 0.0), room=rooms.Room(bounds, red))
    edge = np.array([[4, 0.49, 1.5], [4, 0.51, 1.5], [4, 0, 1.01], [4, 0, 0.99]])
    seen = place.background(look_at(edge), EYE)
    np.testing.assert_array_equal(seen[:, 1] < 1e-6, [True, False, True, False])


def test_rooms_leave_the_person_space() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        room = rooms.sample_room(rng)
        assert (room.bounds[0, :2] <= -2.5).all()
        assert (room.bounds[1, :2] >= 2.5).all()
        boxes = rooms.sample_furniture(rng, room, 6).boxes
        nearest = np.clip(0, boxes[:, :2], boxes[:, 3:5])
        assert (np.linalg.norm(nearest, axis=1) >= rooms.CLEAR_RADIUS - 1e-5).all()
        assert (boxes[:, :2] >= room.bounds[0, :2] - 1e-4).all()
        assert (boxes[:, 3:5] <= room.bounds[1, :2] + 1e-4).all()


def test_the_asset_holds_every_map_without_pickle() -> None:
    with np.load(skies.ASSET, allow_pickle=False) as asset:
        assert {key.removeprefix("view_") for key in asset if key.startswith("view_")} == set().union(*SKIES.values())
    assert skies.ASSET.stat().st_size < 2.5e6
