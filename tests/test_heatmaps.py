"""Heatmaps against a plain loop, and there and back."""

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models import agegopose_rule
from tests.models.egotap_rule import goldens, uniform_input

from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP
from egorear.heatmaps import (
    argmax_2d,
    gaussian_heatmaps,
    limb_angle,
    limb_curve_maps,
    limb_lengths,
    limb_line_maps,
    limb_maps,
    limb_points,
    published_joint_heatmaps,
    published_limb_maps,
    rounded_heatmaps,
    soft_argmax,
    stamped_heatmaps,
    to_image_pixels,
)

# Golden edge cases (pixels of 1024): joints, and the parents' and children's places of limbs in the image and in 3D.
EDGE_JOINTS = [
    (0, 0), (-8, -8), (-16, 40), (-64, 500), (-64.5, 500), (1023.9, 512), (1024, 512), (1030, 300), (512, 1030),
    (512, 1087.9), (512, 1088), (500, -64), (500, -64.5), (7.99, 8), (-0.5, 700), (700, -15.9), (15.99, 16),
    (512.3, 511.9),
]  # fmt: skip
EDGE_LIMBS = [
    ((100, 100), (900, 500), (0, 0, 0), (10, 0, 10)),
    ((900, 500), (100, 100), (0, 0, 0), (10, 0, -10)),
    ((512, -200), (530, 1300), (1, 2, 3), (4, 6, 3)),
    ((-300, -300), (-100, -50), (0, 0, 5), (3, 4, 0)),
    ((512, 512), (512, 512), (0, 0, 9), (3, 4, 4)),
    ((8, 24), (40, 56), (0, 0, 0), (1, 1, 1)),
    ((0, 512), (1023, 512), (5, 5, 5), (5, 5, 9)),
    ((512, 0), (512, 1023), (5, 5, 9), (5, 5, 5)),
    ((1016, 1016), (1040, 1050), (0, 0, 0), (-3, 4, 12)),
    ((300, 700), (310, 690), (-20, 10, 30), (-25, 40, 70)),
    ((1500, 200), (700, -400), (1, 1, 1), (2, 3, 4)),
]
exactly = pytest.mark.parametrize(("tag", "skeleton"), [("gt", EGO4VIEW), ("gt_egocap", EGOCAP)])


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return goldens()


def places(tag: str, joints: int) -> torch.Tensor:
    """Of a golden frame: pixels of left and right (2, J, 2)."""
    return torch.stack([uniform_input(f"{tag}_uv_{side}", (joints, 2), -80, 1100) for side in ("left", "right")])


def close(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-6) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def stamped_by_loops(x: float, y: float, image_size: int, size: int) -> torch.Tensor:
    heatmap = torch.zeros(size, size)
    cx, cy = math.floor(x * size / image_size + 0.5), math.floor(y * size / image_size + 0.5)
    for row in range(max(cy - 3, 0), min(cy + 4, size)):
        for column in range(max(cx - 3, 0), min(cx + 4, size)):
            heatmap[row, column] = math.exp(-((column - cx) ** 2 + (row - cy) ** 2) / 2)
    return heatmap


# Quarter pixels are exact in float32: no tie falls on the other side by rounding.
coordinates = st.integers(-400, 5000).map(lambda quarters: quarters / 4)


@settings(deadline=None, max_examples=60)
@given(x=coordinates, y=coordinates, layout=st.sampled_from([(872, 64), (256, 64), (256, 32)]))
def test_the_stamped_form_is_the_official_one(x, y, layout):
    image_size, size = layout
    expected = stamped_by_loops(x, y, image_size, size)
    stamped = stamped_heatmaps(torch.tensor([x, y]), image_size, size)
    torch.testing.assert_close(stamped, expected, atol=1e-6, rtol=0)
    assert torch.equal(stamped > 0, expected > 0)


def test_a_joint_on_the_border_is_cut_and_one_beyond_is_zero():
    x = torch.tensor([0.0, -3 * 13.625, -4 * 13.625, 871.0])
    maps = stamped_heatmaps(torch.stack((x, torch.full_like(x, 436.0)), -1), 872)
    assert maps[0].max() == 1
    assert maps[1].max() == pytest.approx(math.exp(-4.5))
    assert not maps[2].any()
    assert maps[3, 32, 63] == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize("encode", [stamped_heatmaps, gaussian_heatmaps])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_joint_that_is_not_finite_has_an_empty_map(encode, bad):
    maps = encode(torch.tensor([[[bad, 100.0], [100.0, bad], [100.0, 100.0]]]), 256)
    assert maps.shape == (1, 3, 64, 64)
    assert not maps[0, :2].any()
    assert maps[0, 2].max() > 0.5


def test_the_sub_pixel_form_keeps_the_place_that_the_stamped_form_rounds_away():
    joints = torch.tensor([[100.3, 57.9], [31.5, 200.2]])
    maps = gaussian_heatmaps(joints, 256, sigma=2.0)
    # The log of a Gaussian is its own exponent: its softmax is the normalised map.
    found = to_image_pixels(soft_argmax(maps.clamp_min(1e-30).log()), 256)
    torch.testing.assert_close(found, joints, atol=1e-2, rtol=0)


def test_the_centre_of_a_heatmap_pixel_is_the_centre_of_its_image_pixels():
    maps = gaussian_heatmaps(to_image_pixels(torch.tensor([5.0, 9.0]), 256), 256)
    assert maps[9, 5] == 1


def test_argmax_tells_place_and_peak():
    maps = stamped_heatmaps(torch.tensor([[[872 / 2, 872 / 4]], [[0.0, 0.0]]]), 872) * 0.7
    place, peak = argmax_2d(maps)
    assert place.tolist() == [[[32, 16]], [[0, 0]]]
    torch.testing.assert_close(peak, torch.full((2, 1), 0.7))


@exactly
def test_a_published_frame_has_its_golden_joint_maps(golden, tag, skeleton):
    maps = published_joint_heatmaps(places(tag, len(skeleton))[:, 1:])
    close(maps, torch.stack([golden[f"{tag}.heatmap_{side}"] for side in ("left", "right")]))


@exactly
def test_a_published_frame_has_its_golden_limb_maps(golden, tag, skeleton):
    joints_2d = places(tag, len(skeleton))
    parents = list(skeleton.parents[1:])
    pose = uniform_input(f"{tag}_pose", (len(skeleton), 3), -60, 60) + uniform_input(
        f"{tag}_pelvis_left", (3,), -40, 40
    )
    theta = limb_angle(pose[parents], pose[1:])
    close(theta, golden[f"{tag}.limb_theta"])
    ends = joints_2d[:, parents], joints_2d[:, 1:]
    maps = limb_maps(published_limb_maps(*ends), theta.expand(2, -1))
    assert maps.shape == (2, 2, len(parents), 64, 64)
    close(maps.flatten(1, 2), torch.stack([golden[f"{tag}.limb_heatmap_{side}"] for side in ("left", "right")]))
    lengths = torch.stack([golden[f"{tag}.plength_{side}"] for side in ("left", "right")])
    close(limb_lengths(*ends, 1024).repeat(1, 2), lengths, atol=1e-5)


def test_the_golden_edge_cases_come_out(golden):
    close(published_joint_heatmaps(torch.tensor(EDGE_JOINTS)), golden["gt_edge.heatmap"])
    parent_2d, child_2d, parent, child = (
        torch.tensor(values, dtype=torch.float32) for values in zip(*EDGE_LIMBS, strict=True)
    )
    close(published_limb_maps(parent_2d, child_2d), golden["gt_edge.limb_line_x2"])
    close(limb_lengths(parent_2d, child_2d, 1024), golden["gt_edge.plength"], atol=1e-5)
    close(limb_angle(parent, child), golden["gt_edge.theta"])


def line_by_steps(start: tuple[int, int], end: tuple[int, int], size: int) -> torch.Tensor:
    """Zingl's anti-aliased line, pixel by pixel."""
    line = torch.zeros(size, size)
    (x, y), (x1, y1) = start, end
    dx, dy = abs(x1 - x), abs(y1 - y)
    sx, sy = (1 if x1 > x else -1), (1 if y1 > y else -1)
    whole = math.hypot(dx, dy) or 1.0

    def light(x: int, y: int, off: int) -> None:
        if 0 <= x < size and 0 <= y < size:
            line[y, x] = 1 - abs(off) / whole

    error = dy - dx
    while True:
        light(x, y, error - dy + dx)
        error_before, y_before = error, y
        if 2 * error_before >= -dy:
            if y == y1:
                return line
            if error_before + dx < whole:
                light(x + sx, y, error_before + dx)
            error, y = error - dx, y + sy
        if 2 * error_before <= dx:
            if x == x1:
                return line
            if dy - error_before < whole:
                light(x, y_before + sy, dy - error_before)
            error, x = error + dy, x + sx


def blurred_by_weights(line: torch.Tensor) -> torch.Tensor:
    taps = torch.exp(-torch.arange(-4.0, 5).square() / 2)
    taps = taps / taps.sum()
    return 2 * torch.nn.functional.conv2d(line[None, None], (taps[:, None] * taps)[None, None], padding=4)[0, 0]


# Eighths of a heatmap pixel: exact in float32, and halves, which round to even, come up often.
ends_2d = st.tuples(*[st.integers(-30 * 8, 62 * 8).map(lambda eighths: eighths / 8)] * 2)


@settings(deadline=None, max_examples=100)
@given(limbs=st.lists(st.tuples(ends_2d, ends_2d), min_size=1, max_size=6))
def test_the_published_line_is_the_walked_one(limbs):
    parent, child = torch.tensor(limbs).unbind(1)
    maps = published_limb_maps(parent * 8, child * 8, size=32, image_size=256)
    for found, start, end in zip(maps, parent.tolist(), child.tolist(), strict=True):
        walked = line_by_steps((round(start[0]), round(start[1])), (round(end[0]), round(end[1])), 32)
        close(found, blurred_by_weights(walked), atol=2e-6)


def test_a_published_line_from_far_away_runs_where_it_should():
    # Through (32, 32) along the diagonal, from 400,000 pixels away to as far beyond.
    far = published_limb_maps(torch.tensor([-4e5 + 32, -4e5 + 32]) * 16, torch.tensor([4e5 + 32, 4e5 + 32]) * 16)
    near = published_limb_maps(torch.tensor([-1600.0, -1600.0]), torch.tensor([2624.0, 2624.0]))
    close(far, near)


@pytest.mark.parametrize("draw", [published_limb_maps, lambda p, c: limb_line_maps(p, c, 1024)])
def test_a_batch_of_limbs_is_drawn_one_by_one(draw):
    generator = torch.Generator().manual_seed(0)
    parent, child = torch.rand(2, 2, 3, 5, 2, generator=generator) * 1400 - 200
    maps = draw(parent, child)
    single = [draw(p, c) for p, c in zip(parent.reshape(-1, 2), child.reshape(-1, 2), strict=True)]
    close(maps, torch.stack(single).view(2, 3, 5, 64, 64))
    assert draw(parent[:0], child[:0]).shape == (0, 3, 5, 64, 64)


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_the_closed_form_is_the_line_convolved_with_a_gaussian(sigma):
    generator = torch.Generator().manual_seed(1)
    parent, child = torch.rand(2, 8, 2, generator=generator) * 320 - 32
    maps = limb_line_maps(parent, child, 256, 64, sigma)
    start, end = ((ends.double() + 0.5) / 4 - 0.5 for ends in (parent, child))
    share = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    along = start[:, None] + (end - start)[:, None] * share[:, None]
    dots = torch.exp((torch.arange(64) - along[..., None]).square() / (-2 * sigma**2))
    summed = dots[:, :, 1].mT @ dots[:, :, 0] * ((end - start).norm(dim=-1) / 4000)[:, None, None]
    close(maps.double(), 2 * summed / (2 * math.pi * sigma**2), atol=1e-5)


def test_the_forms_agree_on_a_line_through_pixel_centres():
    parent, child = torch.tensor([80.0, 400.0]), torch.tensor([880.0, 400.0])
    published = published_limb_maps(parent, child)
    line = limb_line_maps(to_image_pixels(parent / 16, 1024), to_image_pixels(child / 16, 1024), 1024)
    middle = slice(12, 48)  # the published line is one pixel longer: both end pixels are drawn
    close(line[:, middle], published[:, middle], atol=2e-3)
    assert line.max() == pytest.approx(2 / math.sqrt(2 * math.pi), abs=1e-5)
    assert published.sum() / line.sum() == pytest.approx(51 / 50, abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(parent=ends_2d, child=ends_2d, shares=st.lists(st.floats(0, 1, width=32), max_size=6))
def test_a_straight_curve_is_the_line(parent, child, shares):
    start, end = torch.tensor(parent), torch.tensor(child)
    share = torch.tensor([0.0, *sorted(shares), 1.0])[:, None]
    points = start + (end - start) * share
    curve = limb_curve_maps(points, torch.ones(len(points), dtype=torch.bool), 32, 32)
    close(curve, limb_line_maps(start, end, 32, 32), atol=1e-5)


def test_a_curve_leaves_out_what_is_not_seen():
    points = torch.tensor([[10.0, 30], [30, 30], [50, 30], [50, 50], [math.nan, 60]])
    valid = torch.tensor([False, True, True, True, True])
    seen = limb_curve_maps(points, valid, 64)
    close(seen, limb_curve_maps(points[1:4], valid[1:4], 64))
    assert not limb_curve_maps(points, torch.zeros(5, dtype=torch.bool), 64).any()
    assert seen[30, 12] < 1e-6 < seen[30, 40]


def test_the_curve_of_a_fisheye_follows_the_limb_and_the_chord_does_not():
    # 70 cm across the lens, 30 cm below and 25 cm before it: rays 84 degrees apart.
    rig = ego4view_syn().resized(256, 256)
    camera_from_device = rig.T_camera_device[0].double()
    ends = torch.tensor([[-0.35, 0.3, 0.25], [0.35, 0.3, 0.25]], dtype=torch.float64)
    parent, child = ((ends - camera_from_device[:3, 3]) @ camera_from_device[:3, :3]).float()
    points, seen = rig.project(limb_points(parent, child, 17))
    assert seen[0].all()
    curve = limb_curve_maps(points[0], seen[0], 256)
    chord = limb_line_maps(points[0, 0], points[0, -1], 256)
    x, y = ((points[0, 8] + 0.5) / 4 - 0.5).round().long().tolist()
    middle = rig.project(((parent + child) / 2)[None])[0][0, 0]
    close(points[0, 8], middle, atol=1e-3)
    assert curve[y, x] > 0.7
    assert chord[y, x] < 0.1
    assert (curve[:, x].argmax() - y).abs() <= 1


def test_limb_points_are_evenly_spaced_from_end_to_end():
    parent, child = torch.tensor([[0.0, 0, 0], [1, 2, 3]]), torch.tensor([[4.0, 0, 8], [1, 2, 3]])
    points = limb_points(parent, child, 5)
    close(points[0], torch.tensor([[0.0, 0, 0], [1, 0, 2], [2, 0, 4], [3, 0, 6], [4, 0, 8]]))
    close(points[1], parent[1].expand(5, 3))


def test_an_angle_is_always_finite():
    parent = torch.tensor([[0.0, 0, 0], [0, 0, 2], [0, 0, 0], [1, 0, 1], [math.nan, 0, 0]])
    child = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    close(limb_angle(parent, child), torch.tensor([0, math.pi / 2, -math.pi / 2, math.pi / 4, 0]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_a_limb_that_ends_nowhere_has_an_empty_map(bad):
    parent = torch.tensor([[bad, 100.0], [100.0, 100.0], [100.0, 100.0]])
    child = torch.tensor([[50.0, 50.0], [50.0, bad], [50.0, 50.0]])
    for maps in (published_limb_maps(parent, child, image_size=256), limb_line_maps(parent, child, 256)):
        assert not maps[:2].any()
        assert maps[2].max() > 0.5
    assert limb_lengths(parent, child, 256)[2] == pytest.approx(1 + math.hypot(12.5, 12.5))
    assert not limb_lengths(parent, child, 256).isnan().any()


def test_gradients_reach_the_joints_and_are_finite():
    # An ordinary limb, one without length, one that ends nowhere, one that ends far away.
    parent = torch.tensor([[60.0, 70], [100, 100], [math.nan, 3], [-9e5, 9e5]], requires_grad=True)
    child = torch.tensor([[200.0, 90], [100, 100], [20, 30], [100, 100]], requires_grad=True)
    maps = limb_line_maps(parent, child, 256)
    weights = torch.linspace(0, 1, 64 * 64).view(64, 64)
    (maps * weights).sum().backward()
    for end in (parent, child):
        assert end.grad is not None
        assert end.grad.isfinite().all()
        assert end.grad[0].any()
        assert not end.grad[2].any()
    ends = torch.zeros(2, 3, requires_grad=True)
    limb_angle(ends[0], ends[1]).backward()
    assert ends.grad is not None
    assert ends.grad.isfinite().all()


def test_the_rounded_form_is_that_of_the_published_generator() -> None:
    published = agegopose_rule.goldens()["I_hmgen"]
    seed = hashlib.sha256(b"input.hmgen.joints").digest()[:8]
    joints = np.random.default_rng(int.from_bytes(seed, "little")).random((15, 2)) * [1480, 1224] - 100
    joints = torch.from_numpy(joints.astype(np.float32))
    close(rounded_heatmaps(joints, (1280, 1024)), published)


def test_the_rounded_form_leaves_nothing_of_joints_that_are_far_or_unknown() -> None:
    joints = torch.tensor([(-140.0, 500.0), (math.nan, 3.0), (-120.0, 500.0), (640.0, 1129.0)])
    # Cells -7, -, -6 and 70.56: rounded 71, out of reach of the last row 63.
    assert rounded_heatmaps(joints, (1280, 1024)).amax((-2, -1)).tolist() == [0, 0, 1, 0]
