"""Every lens model: exact inverse, finite everywhere, honest about what it cannot see."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.geometry.lenses import CAMERAS, PRINCIPAL, SIZE

from egorear.errors import UserError
from egorear.geometry.cameras import DoubleSphere, KannalaBrandt, Pinhole, Scaramuzza

every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
few = settings(deadline=None, max_examples=25)
unit = st.floats(-1.0, 1.0, allow_nan=False)

NASTY = [
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.0, 0.0, -1.0],
    [1e-9, 0.0, 1.0],
    [1e-12, 0.0, -1.0],
    [1.0, 0.0, 0.0],
    [1e30, 1.0, -1e30],
    [1e-30, 1e-30, 1.0],
    [0.3, 0.2, -0.5],
    [math.nan, 0.0, 1.0],
    [math.inf, 1.0, 1.0],
    [0.0, 0.0, -math.inf],
]


def image_grid(camera, step=7, dtype=torch.float32):
    x, y = (torch.arange(0, size, step, dtype=dtype) for size in (camera.width, camera.height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def points_in_view(camera, count=200, dtype=torch.float64):
    """Random camera points within the field of view, 1 cm to 10 m away."""
    draw = torch.Generator().manual_seed(0)
    angle, around, distance = torch.rand(3, count, generator=draw, dtype=dtype)
    angle, around = angle * camera.max_angle * 0.999, around * 2 * math.pi
    rays = torch.stack((angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos()), -1)
    return rays * 10 ** (distance * 3 - 2)[:, None]


@every_camera
@both_dtypes
def test_projection_inverts_unprojection(camera, dtype):
    pixels = image_grid(camera, dtype=dtype)
    rays, valid = camera.unproject(pixels)
    back, _ = camera.project(rays)
    assert valid.float().mean() > 0.7
    assert (back - pixels)[valid].norm(dim=-1).max() < (1e-3 if dtype == torch.float32 else 1e-8)
    torch.testing.assert_close(rays.norm(dim=-1), torch.ones_like(rays[..., 0]))


@every_camera
def test_unprojection_inverts_projection(camera):
    points = points_in_view(camera)
    pixels, valid = camera.project(points)
    rays, _ = camera.unproject(pixels)
    assert valid.all()
    torch.testing.assert_close(rays, torch.nn.functional.normalize(points, dim=-1), atol=1e-6, rtol=0)


@few
@given(k=st.tuples(*[st.floats(-0.3, 0.3)] * 4), focal=st.floats(100, 600))
def test_any_accepted_fisheye_round_trips(k, focal):
    k1, k2, k3, k4 = k
    try:
        camera = KannalaBrandt(**SIZE, **PRINCIPAL, fx=focal, fy=focal, k1=k1, k2=k2, k3=k3, k4=k4)
    except UserError:
        assume(False)
    pixels = image_grid(camera, step=31)
    rays, valid = camera.unproject(pixels)
    assert not valid.any() or (camera.project(rays)[0] - pixels)[valid].norm(dim=-1).max() < 1e-3


@few
@given(xi=st.floats(-0.9, 0.9), alpha=st.floats(0.0, 1.0), focal=st.floats(100, 600))
def test_any_double_sphere_round_trips(xi, alpha, focal):
    try:
        camera = DoubleSphere(**SIZE, **PRINCIPAL, fx=focal, fy=focal, xi=xi, alpha=alpha)
    except UserError:
        assume(False)
    pixels = image_grid(camera, step=31, dtype=torch.float64)
    rays, valid = camera.unproject(pixels)
    assert not valid.any() or (camera.project(rays)[0] - pixels)[valid].norm(dim=-1).max() < 1e-3


@few
@given(k1=st.floats(-0.4, 0.4), k2=st.floats(-0.1, 0.1), p=st.floats(-0.005, 0.005), focal=st.floats(200, 600))
def test_any_accepted_pinhole_round_trips(k1, k2, p, focal):
    try:
        camera = Pinhole(**SIZE, **PRINCIPAL, fx=focal, fy=focal, k1=k1, k2=k2, p1=p, p2=-p)
    except UserError:
        assume(False)
    pixels = image_grid(camera, step=31)
    rays, valid = camera.unproject(pixels)
    assert not valid.any() or (camera.project(rays)[0] - pixels)[valid].norm(dim=-1).max() < 1e-3


@every_camera
@both_dtypes
def test_values_and_gradients_are_finite_for_every_point(camera, dtype):
    points = torch.tensor(NASTY, dtype=dtype, requires_grad=True)
    pixels, valid = camera.project(points)
    (gradient,) = torch.autograd.grad(pixels.sum(), points)
    assert pixels.isfinite().all()
    assert gradient.isfinite().all()
    assert valid[[1, 3, 7]].all()
    assert not valid[[0, 2, 4, 6, 8, 9, 10, 11]].any()
    centre = torch.tensor(camera.principal_point, dtype=dtype)
    torch.testing.assert_close(pixels[[0, 1, 2]].detach(), centre.expand(3, 2))


@every_camera
@both_dtypes
def test_values_and_gradients_are_finite_for_every_pixel(camera, dtype):
    nasty = [[0, 0], [1e30, 0], [math.nan, 1], [math.inf, 0], [-1e6, 5], camera.principal_point, [300, 300]]
    pixels = torch.tensor(nasty, dtype=dtype, requires_grad=True)
    rays, valid = camera.unproject(pixels)
    (gradient,) = torch.autograd.grad(rays.sum(), pixels)
    assert rays.isfinite().all()
    assert gradient.isfinite().all()
    assert valid[[5, 6]].all()
    assert not valid[1:5].any()
    torch.testing.assert_close(rays[5].detach(), torch.tensor([0.0, 0.0, 1.0], dtype=dtype), atol=1e-6, rtol=0)


@every_camera
def test_gradients_are_the_derivatives(camera):
    points = points_in_view(camera, 6)
    points = torch.cat((points, torch.tensor([[0.0, 0.0, 0.7]], dtype=torch.float64)))  # on the axis too
    if isinstance(camera, Scaramuzza):
        points = points[:-1]  # its published polynomials miss the centre by up to 0.007 px: no derivative there
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: camera.project(p)[0], (points,), eps=1e-6, atol=1e-3, rtol=1e-4)
    pixels = camera.project(points[:6])[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: camera.unproject(p)[0], (pixels,), eps=1e-4, atol=1e-6, rtol=1e-4)


@every_camera
def test_valid_ends_at_the_field_of_view(camera):
    angles = torch.tensor([0.99, 1.01], dtype=torch.float64) * camera.max_angle
    _, valid = camera.project(torch.stack((angles.sin(), 0 * angles, angles.cos()), -1))
    assert valid.tolist() == [True, False]


@every_camera
def test_a_batch_is_its_elements(camera):
    points = points_in_view(camera, 12, torch.float32).reshape(2, 3, 2, 3)
    pixels, valid = camera.project(points)
    assert pixels.shape == (2, 3, 2, 2)
    one_by_one = torch.stack([camera.project(p)[0] for p in points.reshape(-1, 3)])
    torch.testing.assert_close(pixels.reshape(-1, 2), one_by_one)
    assert valid.shape == (2, 3, 2)
    assert camera.project(points[:, :0])[0].shape == (2, 0, 2, 2) or camera.project(torch.zeros(0, 3))[0].shape == (
        0,
        2,
    )


@every_camera
def test_float32_is_float64_to_a_thousandth_of_a_pixel(camera):
    points = points_in_view(camera)
    exact, _ = camera.project(points)
    assert (camera.project(points.float())[0] - exact).norm(dim=-1).max() < 1e-3


@every_camera
@few
@given(width=st.integers(16, 2000), height=st.integers(16, 2000))
def test_resizing_commutes_with_projection(camera, width, height):
    points = points_in_view(camera, 20)
    pixels, valid = camera.project(points)
    scale = torch.tensor([width / camera.width, height / camera.height], dtype=torch.float64)
    small, small_valid = camera.resized(width, height).project(points)
    torch.testing.assert_close(small, (pixels + 0.5) * scale - 0.5)
    assert torch.equal(valid, small_valid)


@every_camera
@few
@given(x=st.integers(-50, 300), y=st.integers(-50, 300), pad=st.integers(0, 100))
def test_cropping_and_padding_commute_with_projection(camera, x, y, pad):
    points = points_in_view(camera, 20)
    pixels, _ = camera.project(points)
    window = camera.cropped(x, y, 100, 120).padded(pad, 0, 3, 4)
    assert (window.width, window.height) == (103 + pad, 124)
    moved = pixels - torch.tensor([x - pad, y], dtype=torch.float64)
    torch.testing.assert_close(window.project(points)[0], moved)
    rays, valid = window.unproject(moved)
    torch.testing.assert_close(rays[valid], camera.unproject(pixels)[0][valid])


def test_contains_counts_whole_pixels():
    camera = CAMERAS["pinhole"]
    pixels = torch.tensor([[-0.5, 0.0], [-0.51, 0.0], [639.4, 479.4], [639.5, 0.0], [0.0, 479.5], [math.nan, 0.0]])
    assert camera.contains(pixels).tolist() == [True, False, True, False, False, False]


def test_scaramuzza_is_the_published_formula():
    camera = CAMERAS["front_left"]
    rng = np.random.default_rng(0)
    for x, y, z in rng.normal(size=(50, 3)):  # behind the lens too
        r = math.hypot(x, y)
        theta = math.atan(-z / r)
        rho = sum(c * theta**i for i, c in enumerate(camera.world_to_cam))
        expected = (x / r * rho + 426.391953, y / r * rho + 442.934625)
        assert camera.project(torch.tensor([x, y, z]))[0].tolist() == pytest.approx(expected, abs=1e-8)
    for u, v in rng.uniform(200, 600, size=(50, 2)):
        u0, v0 = u - 426.391953, v - 442.934625
        ray = np.array([u0, v0, -sum(c * math.hypot(u0, v0) ** i for i, c in enumerate(camera.cam_to_world))])
        ours = camera.unproject(torch.tensor([u, v]))[0].numpy()
        assert ours == pytest.approx(ray / np.linalg.norm(ray), abs=3e-5)  # the two polynomials differ by 0.007 px


def test_scaramuzza_affine_multiplies_the_offset_from_the_centre():
    plain = CAMERAS["front_left"]
    fields = {name: getattr(plain, name) for name in ("width", "height", "max_angle", "center")}
    sheared = Scaramuzza(
        **fields, cam_to_world=plain.cam_to_world, world_to_cam=plain.world_to_cam, affine=(1.01, 0.02, -0.03)
    )
    points = points_in_view(plain)
    centre = torch.tensor(plain.center, dtype=torch.float64)
    x, y = (plain.project(points)[0] - centre).unbind(-1)
    expected = torch.stack((1.01 * x + 0.02 * y, -0.03 * x + y), -1) + centre
    pixels, _ = sheared.project(points)
    torch.testing.assert_close(pixels, expected)
    torch.testing.assert_close(sheared.unproject(pixels)[0], plain.unproject(plain.project(points)[0])[0])


def test_kannala_brandt_is_opencv_fisheye():
    camera = CAMERAS["fisheye"]
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    D = np.array([camera.k1, camera.k2, camera.k3, camera.k4])
    points = points_in_view(camera)
    points = points[points[:, 2] > 0.1 * points.norm(dim=-1)]  # OpenCV's stops at 90°
    expected, _ = cv2.fisheye.projectPoints(points.numpy()[None], np.zeros(3), np.zeros(3), K, D)
    pixels, _ = camera.project(points)
    np.testing.assert_allclose(pixels.numpy(), expected[0], atol=1e-6)
    undistorted = cv2.fisheye.undistortPoints(expected, K, D)[0]
    rays, _ = camera.unproject(pixels)
    np.testing.assert_allclose((rays[:, :2] / rays[:, 2:]).numpy(), undistorted, rtol=1e-4, atol=1e-5)


def test_kannala_brandt_beyond_ninety_degrees():
    camera = CAMERAS["fisheye"]
    theta = math.radians(97)
    rho = theta + 0.05 * theta**3 - 0.01 * theta**5 + 0.002 * theta**7 - 0.0003 * theta**9
    point = torch.tensor([math.sin(theta) * 0.6, math.sin(theta) * 0.8, math.cos(theta)], dtype=torch.float64)
    pixel, valid = camera.project(point)
    assert valid
    assert pixel.tolist() == pytest.approx((200 * 0.6 * rho + camera.cx, 205 * 0.8 * rho + camera.cy))


def test_pinhole_is_opencv():
    camera = CAMERAS["pinhole_distorted"]
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    D = np.array([camera.k1, camera.k2, camera.p1, camera.p2, camera.k3])
    points = points_in_view(camera)
    expected, _ = cv2.projectPoints(points.numpy(), np.zeros(3), np.zeros(3), K, D)
    np.testing.assert_allclose(camera.project(points)[0].numpy(), expected[:, 0], atol=1e-6)


def test_double_sphere_is_the_paper():
    camera = CAMERAS["double_sphere"]
    for x, y, z in points_in_view(camera, 30).tolist():
        d1 = math.sqrt(x * x + y * y + z * z)
        d2 = math.sqrt(x * x + y * y + (camera.xi * d1 + z) ** 2)
        depth = camera.alpha * d2 + (1 - camera.alpha) * (camera.xi * d1 + z)
        expected = (camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy)
        assert camera.project(torch.tensor([x, y, z]).double())[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_a_camera_without_max_angle_covers_its_image():
    assert CAMERAS["pinhole_distorted"].unproject(image_grid(CAMERAS["pinhole_distorted"]))[1].all()
    ideal = Pinhole(width=200, height=200, fx=100.0, fy=100.0, cx=99.5, cy=99.5)
    assert ideal.max_angle == pytest.approx(math.atan(math.sqrt(2)), abs=2e-3)


GOOD = CAMERAS["front_left"]
SCARAMUZZA = {
    "width": 872,
    "height": 872,
    "max_angle": GOOD.max_angle,
    "center": GOOD.center,
    "cam_to_world": GOOD.cam_to_world,
    "world_to_cam": GOOD.world_to_cam,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"world_to_cam": GOOD.world_to_cam[::-1]}, "fold over"),
        ({"cam_to_world": GOOD.cam_to_world[::-1]}, "disagree"),
        ({"cam_to_world": GOOD.world_to_cam, "world_to_cam": GOOD.cam_to_world}, "fold over"),
        ({"cam_to_world": tuple(-c for c in GOOD.cam_to_world)}, "disagree"),
        ({"world_to_cam": (465.0, *GOOD.world_to_cam[1:])}, "disagree"),
        ({"world_to_cam": (math.nan, *GOOD.world_to_cam[1:])}, "finite"),
        ({"center": (426.0, 4420.0)}, "inside the 872x872 image"),
        ({"width": 0}, "positive"),
        ({"height": -872}, "positive"),
        ({"max_angle": -1.0}, "positive"),
        ({"max_angle": 4.0}, "within 180"),
        ({"affine": (-1.0, 0.0, 0.0)}, "orientation"),
    ],
)
def test_a_wrong_scaramuzza_calibration_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        Scaramuzza(**{**SCARAMUZZA, **change})


def test_folding_models_are_refused():
    with pytest.raises(UserError, match="not monotone"):
        KannalaBrandt(**SIZE, **PRINCIPAL, fx=200.0, fy=200.0, k1=-0.5, max_angle=math.radians(90))
    with pytest.raises(UserError, match="not monotone"):
        Pinhole(**SIZE, **PRINCIPAL, fx=200.0, fy=200.0, k1=-0.8, max_angle=math.radians(60))
    with pytest.raises(UserError, match="within"):
        DoubleSphere(**SIZE, **PRINCIPAL, fx=200.0, fy=200.0, xi=-0.2, alpha=0.6, max_angle=math.radians(170))
    with pytest.raises(UserError, match="alpha"):
        DoubleSphere(**SIZE, **PRINCIPAL, fx=200.0, fy=200.0, xi=-0.2, alpha=1.6)
