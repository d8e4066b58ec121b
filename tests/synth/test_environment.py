"""Places: the same for the same seed, apart between splits, and physically right where it can be checked."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.synth import clutter, exposure, floors, furniture, rooms, skies
from egorear.synth.environment import Place, sample_place
from egorear.synth.floors import FLOOR, PLAIN
from egorear.synth.ground import GROUND_HALF_M, add_sunbeams, floor_shares
from egorear.synth.shadows import FloorLight
from egorear.synth.skies import SKIES, Light, load_sky, map_directions, solid_angles, split_light

EYE = np.array([0.3, -0.2, 1.6], np.float32)
NOTHING = furniture.gather([])
BARE = clutter.lay([])
BRIGHT = FloorLight(np.ones((2, 2, 2), np.float32), (0.0, 0.0), 1.0)


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
    return replace(
        place, room=None, furniture=NOTHING, patches=BARE, light=white_light(), fade=(1e6, 2e6), yaw=yaw,
        surfaces=(floor, *place.surfaces[1:]), pool=np.zeros(5, np.float32),
    )  # fmt: skip


def grey_place(yaw: float = 0.0) -> Place:
    return tiled_place(np.full((256, 256, 3), 0.5), metres=2.0, yaw=yaw)


def look_at(points: np.ndarray) -> np.ndarray:
    rays = points - EYE
    return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


def seen(place: Place, rays: np.ndarray, origin: np.ndarray = EYE, light: FloorLight = BRIGHT, pixel_angle=0.012):
    """(colour, distance) along world rays."""
    return place.background(rays, np.eye(3, dtype=np.float32), origin, light, pixel_angle)


def test_the_same_seed_gives_the_same_place() -> None:
    rays = directions(500)
    first, again, other = (seen(sample_place(np.random.default_rng(seed), "train"), rays)[0] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_splits_share_no_map_and_no_piece_of_a_photograph() -> None:
    for one, other in combinations(SKIES, 2):
        assert not set(SKIES[one]) & set(SKIES[other])
        assert not set(floors.QUADRANTS[one]) & set(floors.QUADRANTS[other])
    names = {sample_place(np.random.default_rng(seed), "test").name for seed in range(20)}
    assert names == set(SKIES["test"])


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
    color, _ = seen(place, look_at(points), pixel_angle=1e-4)
    expected = np.where(cells.sum(1) % 2, 0.9, 0.1)
    np.testing.assert_allclose(color[clear, 0], expected[clear], atol=0.02)


def test_far_patterns_fade_to_their_mean_instead_of_moire() -> None:
    y, x = np.indices((256, 256)) * 8 // 256
    place = tiled_place(np.where((x + y) % 2, 0.9, 0.1)[..., None] * np.ones(3), metres=2.0, yaw=0.0)
    azimuth = np.linspace(0, 6, 300)
    points = np.column_stack([150 * np.cos(azimuth), 150 * np.sin(azimuth), 0 * azimuth])
    np.testing.assert_allclose(seen(place, look_at(points))[0], 0.5, atol=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_distance_is_that_of_the_nearest_floor_wall_or_box(seed: int) -> None:
    """Against slabs in double precision over all boxes: the tables of masks leave out no box that is hit."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-4, 3, (64, 3)) * [1, 1, 0.3] + [0, 0, 0.9]
    boxes = np.column_stack([low, low + rng.uniform(0.02, 1.5, (64, 3))]).astype(np.float32)
    place = replace(grey_place(), furniture=furniture.Furniture(boxes, np.tile(np.float32([1, 1, 1, PLAIN]), (64, 1))))
    if indoors := seed % 2 == 0:
        place = replace(place, room=rooms.Room(np.array([[-3, -4, 0], [4, 3, 2.5]], np.float32), rooms.NO_PANELS))
    rays, R = directions(3000, seed), np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    _, distance = place.background(rays, R, EYE, BRIGHT, 0.012)

    world = rays.astype(np.float64) @ R.T
    with np.errstate(divide="ignore"):
        near, far = np.sort([(boxes.reshape(-1, 2, 3)[:, k] - EYE) / world[:, None] for k in (0, 1)], 0)
        enter, leave = near.max(-1), far.min(-1)
        exact = np.where((enter > 0) & (enter < leave), enter, np.inf).min(1)
        floor = np.where(world[:, 2] < 0, -EYE[2] / world[:, 2], np.inf)
        if indoors:
            walls = np.where(world > 0, [4, 3, 2.5], [-3, -4, 0]) - EYE
            floor = (walls / world).min(1)
    exact = np.minimum(exact, np.where(floor > 1000, np.inf, floor))
    wrong = ~np.isclose(distance, exact, rtol=1e-4)
    assert wrong.mean() < 0.002  # rays along an edge


def test_a_camera_beyond_its_room_sees_no_hole() -> None:
    place = replace(grey_place(0.3), room=rooms.sample_room(np.random.default_rng(1)))
    for origin in ([9, 0, 1.6], [0, -20, 1], [-7, 7, 3.9]):
        _, distance = seen(place, directions(2000), np.array(origin, np.float32))
        assert np.isfinite(distance).all()


def test_neighbouring_rays_see_like_colours() -> None:
    """No seams between the sectors and bands of the masks, nor between mip levels."""
    waves = 0.5 + 0.2 * np.sin(2 * np.pi * np.arange(256) / 256)
    place = tiled_place(waves[:, None, None] * np.ones((1, 256, 3)), metres=4.0, yaw=0.2)
    azimuth = np.linspace(0, 2 * np.pi, 8000)
    for radius in (0.5, 2.0, 5.0):
        circle = np.column_stack([radius * np.cos(azimuth), radius * np.sin(azimuth), 0 * azimuth])
        color, distance = seen(place, look_at(circle))
        assert np.abs(np.diff(color, axis=0)).max() < 0.01
        assert np.abs(np.diff(distance)).max() < 0.005


def test_the_floor_shows_what_light_the_person_leaves() -> None:
    place = grey_place(0.4)
    sun = np.array([0, 0.6, 0.8], np.float32)
    place = replace(place, light=replace(white_light(), sun_direction=sun, sun_color=np.array([2, 1, 0], np.float32)))
    texture = np.ones((9, 9, 2), np.float32)
    texture[4, 6] = 0.25, 0.5  # x = 1 + 0.5, y = 2
    points = np.array([[1.5, 2.0, 0], [1.0, 2.0, 0], [1.5, 2.125, 0]])
    color, _ = seen(place, look_at(points), light=FloorLight(texture, (1.0, 2.0), 1.0))
    sunlight = 0.8 * sun[2:] / 0.8 * [2, 1, 0]
    expected = [0.5 * (0.5 + 0.25 * sunlight), 0.5 * (1 + sunlight), 0.5 * (0.75 + 0.625 * sunlight)]
    np.testing.assert_allclose(color, expected, rtol=1e-3)


def test_furniture_shades_the_floor_away_from_the_sun() -> None:
    boxes = np.array([[2, -0.5, 0, 2.4, 0.5, 1]], np.float32)
    sun = np.array([-0.6, 0, 0.8], np.float32)  # it stands in -x, so the shadow runs to x = 2.4 + 0.75
    shares = floor_shares(boxes, sun, reach=1.2)
    at = lambda x, y: shares[tuple(np.rint((np.array([y, x]) / GROUND_HALF_M + 1) * 79.5).astype(int))]  # noqa: E731
    assert at(2.9, 0)[0] == 0
    assert at(3.4, 0)[0] == at(1.8, 0)[0] == at(2.9, 0.8)[0] == 1
    assert at(1.9, 0)[1] < 0.8 < at(1.4, 0)[1]


def test_a_sunbeam_lands_where_its_window_points() -> None:
    shares = np.ones((160, 160, 2), np.float32)
    window = np.array([[1, -0.5, 0.5, 1, 2]], np.float32)  # in the wall x = 3, from 1 to 2 m up
    bounds = np.array([[-3, -3, 0], [3, 3, 2.5]], np.float32)
    add_sunbeams(shares, window, bounds, np.array([1.0, 0.5, 4.0], np.float32), reach=0.0)
    y, x = np.mgrid[-1:1:160j, -1:1:160j] * GROUND_HALF_M
    lit = shares[..., 0] - 1
    np.testing.assert_allclose(lit.max(), 4)
    # heights 1…2 come down 1…2 m inside the wall and half as far to -y
    np.testing.assert_allclose([(lit * x).sum() / lit.sum(), (lit * y).sum() / lit.sum()], [1.5, -0.75], atol=0.02)
    np.testing.assert_allclose(lit.sum() * (10 / 159) ** 2 / 4, 1.0, rtol=0.05)


def test_a_patch_covers_its_own_area() -> None:
    turn = np.radians(30)
    paper = [[0.7, 0.4, np.cos(turn), np.sin(turn), 0.5, 0.25, 1.0, 0.0, 0.0, float(PLAIN)]]
    place = replace(grey_place(), patches=clutter.lay(paper))
    grid = np.stack(np.meshgrid(np.linspace(-1, 2, 241), np.linspace(-1, 2, 241)), -1).reshape(-1, 2)
    color, _ = seen(place, look_at(np.column_stack([grid, 0 * grid[:, 0]])))
    share = (color[:, 0] - 0.5) / 0.5
    np.testing.assert_allclose(share.sum() * (3 / 240) ** 2, 1.0 * 0.5, rtol=0.01)
    np.testing.assert_allclose((grid * share[:, None]).sum(0) / share.sum(), [0.7, 0.4], atol=0.01)


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
        color, distance = seen(place, rays, origin)
        assert np.isfinite(color).all()
        assert (color >= 0).all()
        assert (distance > 0).all()


def test_the_sky_is_seen_in_the_direction_its_texels_lie() -> None:
    place = replace(sample_place(np.random.default_rng(3), "train"), room=None, furniture=NOTHING)
    rows = slice(10, 120)  # above the horizon
    rays = map_directions(256, 512)[rows].reshape(-1, 3).astype(np.float32)
    color, distance = seen(place, rays)
    assert np.abs(color.reshape(110, 512, 3) - place.sky[rows]).mean() < 0.01 * place.sky[rows].mean()
    assert np.isinf(distance).all()


def test_a_panel_lies_where_it_hangs() -> None:
    bounds = np.array([[-3, -3, 0], [4, 3, 2.5]], np.float32)
    red = np.array([[1, -0.5, 0.5, 1, 2, 0.9, 0.0, 0.0, PLAIN]], np.float32)  # on the wall x = 4
    place = replace(grey_place(), room=rooms.Room(bounds, red))
    edge = np.array([[4, 0.49, 1.5], [4, 0.51, 1.5], [4, 0, 1.01], [4, 0, 0.99]])
    color, _ = seen(place, look_at(edge))
    np.testing.assert_array_equal(color[:, 1] < 1e-6, [True, False, True, False])


@pytest.mark.parametrize("reach", [0.6, 1.2, 3.0])
def test_rooms_leave_the_person_space(reach: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        room = rooms.sample_room(rng, reach)
        assert (np.abs(room.bounds[:, :2]) >= reach + rooms.MARGIN_M - 1e-5).all()
        boxes = furniture.furnish(rng, room.bounds, reach, large=8, small=4, ground="house").boxes
        assert (np.linalg.norm(np.clip(0, boxes[:, :2], boxes[:, 3:5]), axis=1) >= reach - 1e-5).all()
        assert (boxes[:, :2] >= room.bounds[0, :2] - 1e-4).all()
        assert (boxes[:, 3:5] <= room.bounds[1, :2] + 1e-4).all()
        assert (boxes[:, 3:] > boxes[:, :3]).all()


@pytest.mark.parametrize("split", list(SKIES))
def test_no_place_is_black_or_burnt(split: str) -> None:
    means = []
    for seed in range(12):
        place = sample_place(np.random.default_rng([3, seed]), split, reach=0.8 + 0.2 * seed)
        color, _ = seen(place, directions(1500))
        picture = np.sqrt(np.clip(color * place.exposure, 0, 1))
        assert picture.mean() > 0.01
        assert (picture.max(1) >= 0.998).mean() < 0.6
        means.append(picture.mean())
    assert max(means) - min(means) > 0.2


def test_a_floor_has_grain_beyond_its_pattern() -> None:
    place = grey_place()
    rough = replace(place, surfaces=(replace(place.surfaces[FLOOR], grain=0.2), *place.surfaces[1:]))
    near = np.column_stack([np.random.default_rng(0).uniform(-1, 1, (2000, 2)), np.zeros(2000)])
    color, _ = seen(rough, look_at(near))
    assert 0.02 < color.std() / color.mean() < 0.2
    np.testing.assert_allclose(color.mean(), 0.5, rtol=0.02)


def test_the_exposure_reaches_its_bounds() -> None:
    def glare(*_):
        return np.full((exposure.RAYS, 3), 1.0, np.float32), None

    for night in (True, False):
        value = exposure.sample_exposure(np.random.default_rng(0), glare, night)
        assert exposure.DARKEST < np.sqrt(value) < 1


def test_the_asset_holds_every_map_without_pickle() -> None:
    with np.load(skies.ASSET, allow_pickle=False) as asset:
        assert {key.removeprefix("view_") for key in asset if key.startswith("view_")} == set().union(*SKIES.values())
    assert skies.ASSET.stat().st_size < 2.5e6
