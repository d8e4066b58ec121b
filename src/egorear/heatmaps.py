"""Joints and limbs to heatmaps and back, batched on any device.

Joints are in pixels of a square image of `image_size`, the centre of its top-left pixel at (0, 0); maps are square too.
Limb maps in words and pictures: docs/limb_maps.md.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STAMP_RADIUS = 3.0  # of EgoRear's 7x7 window
EGOTAP_RADIUS = 4  # of EgoTAP's 9x9 window, and of the blur of its limbs
LIMB_GAIN = 2.0  # of EgoTAP's limb maps over the blurred line
FARTHEST = 1e6  # heatmap pixels from the corner; float32 cannot place a line that ends beyond


def stamped_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], image_size: int, size: int = 64
) -> Float[Tensor, "*B {size} {size}"]:
    """The target of the official training (EgoRear, ICCV 2025): peak 1, zero outside a 7x7 window.

    The centre is the whole heatmap pixel floor(joint·size/image_size + 0.5): the official formula, which adds no
    half pixel, so give pixels of the calibration (872) to reproduce its maps exactly. Gaussian of sigma 1. A joint
    whose window misses the map, or that is not finite, gives zeros.
    """
    centre = (joints_2d * size / image_size + 0.5).floor()
    return _separable(centre, size, sigma=1.0, radius=STAMP_RADIUS)


def gaussian_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], image_size: int, size: int = 64, sigma: float = 1.0
) -> Float[Tensor, "*B {size} {size}"]:
    """Sub-pixel form: a whole Gaussian about the joint's exact place, (x + 0.5)·size/image_size - 0.5.

    `sigma` is in heatmap pixels; the peak is 1 at the joint, hence less on the nearest pixel. A joint that is not
    finite gives zeros.
    """
    return _separable((joints_2d + 0.5) * (size / image_size) - 0.5, size, sigma, radius=float("inf"))


def published_joint_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], size: int = 64, image_size: int = 1024
) -> Float[Tensor, "*B {size} {size}"]:
    """The joint target of the official EgoTAP training (CVPR 2024): peak 1, sigma 1, zero outside a 9x9 window.

    The centre is the joint cut towards zero, trunc(joint·size/image_size): pixels of UnrealEgo's 1024 reproduce the
    official maps. Kept as published: a joint up to 4 heatmap pixels beyond the left, upper or lower border still leaves
    its tail, one beyond the right border leaves none. A joint farther out, or not finite, gives zeros.
    """
    places = joints_2d * size / image_size
    beyond = places.new_tensor((size, size + EGOTAP_RADIUS))
    near = ((places >= -EGOTAP_RADIUS) & (places < beyond)).all(-1, keepdim=True)
    return _separable(torch.where(near, places.trunc(), math.nan), size, sigma=1.0, radius=float(EGOTAP_RADIUS))


def rounded_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], image_size: tuple[int, int], size: int = 64, sigma: float = 2.0
) -> Float[Tensor, "*B {size} {size}"]:
    """The joint target of the released code of AG-EgoPose: peak 1, zero outside a 13x13 window (of sigma 2).

    The centre is the nearest whole heatmap pixel to joint·size/image_size (half to even), the window reaches
    int(3·sigma) pixels, and each map is divided by its maximum: so a joint outside the image, but within the reach of
    the window, leaves a blob of peak 1 at the border. One farther out, or not finite, gives zeros. The paper's own
    formula (equation 7) is `gaussian_heatmaps`.

    joints_2d: pixels as they were annotated. image_size: (width, height) of those images; the map is square.
    """
    centre = (joints_2d * size / joints_2d.new_tensor(image_size)).round()
    maps = _separable(centre, size, sigma, radius=float(int(3 * sigma)))
    return maps / maps.amax((-2, -1), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def published_limb_maps(
    parent_2d: Float[Tensor, "*B 2"], child_2d: Float[Tensor, "*B 2"], size: int = 64, image_size: int = 1024
) -> Float[Tensor, "*B {size} {size}"]:
    """The limb target of the official EgoTAP training, before cos θ and sin θ: an anti-aliased line, blurred, times 2.

    The ends are rounded to whole heatmap pixels (half to even). Zingl's recurrence, by which the official code walks
    along the line, lights all pixels of the ends' bounding box that are nearer to the line than one pixel, with one
    minus that distance: so it is drawn here, all lines at once. The blur has sigma 1 and 9 taps and sees zeros beyond
    the border. Long limbs reach 0.798, a limb of one pixel 0.318. A limb with an end that is not finite, or a million
    heatmap pixels away, gives zeros.
    """
    ends = (torch.stack((parent_2d, child_2d), -2) * size / image_size).round()
    known = (ends.abs() < FARTHEST).flatten(-2).all(-1)[..., None, None]  # False for NaN
    # Whole numbers: differences of products as large as these would cost float32 its last pixels.
    ends = torch.where(known, ends, 0.0).long()
    low, high = ends.amin(-2)[..., None], ends.amax(-2)[..., None]
    pixels = torch.arange(size, device=ends.device)
    inside = (pixels >= low) & (pixels <= high)
    start, step = ends[..., 0, :, None], ends[..., 1, :] - ends[..., 0, :]
    x, y = (pixels - start).unbind(-2)
    area = (y * step[..., :1])[..., :, None] - (x * step[..., 1:])[..., None, :]
    length = torch.linalg.vector_norm(step.to(parent_2d.dtype), dim=-1).clamp_min(1.0)[..., None, None]
    line = (1 - area.abs() / length).clamp_min(0) * (inside[..., 1, :, None] & inside[..., 0, None, :] & known)
    return LIMB_GAIN * _blurred(_blurred(line).mT).mT


def limb_line_maps(
    parent_2d: Float[Tensor, "*B 2"],
    child_2d: Float[Tensor, "*B 2"],
    image_size: int,
    size: int = 64,
    sigma: float = 1.0,
) -> Float[Tensor, "*B {size} {size}"]:
    """Sub-pixel form of EgoTAP's limb map: the straight segment between two joints convolved with a Gaussian, times 2.

    In closed form, with t along the segment (0 at the parent, `length` at the child) and d across it, heatmap pixels:
    exp(-d²/2σ²) / (σ√(2π)) · (erf(t/σ√2) - erf((t - length)/σ√2)). The middle of a long limb has 2/(σ√(2π)), 0.798 for
    σ = 1, as in `published_limb_maps`; a shorter limb less, down to nothing for one seen end on (there the published
    form keeps its single pixel, 0.318). Pixels as in `gaussian_heatmaps`. A limb with an end that is not finite gives
    zeros.
    """
    return limb_curve_maps(
        torch.stack((parent_2d, child_2d), -2),
        torch.ones_like(parent_2d, dtype=torch.bool),
        image_size,
        size,
        sigma,
    )


def limb_curve_maps(
    points_2d: Float[Tensor, "*B P 2"],
    valid: Bool[Tensor, "*B P"],
    image_size: int,
    size: int = 64,
    sigma: float = 1.0,
) -> Float[Tensor, "*B {size} {size}"]:
    """`limb_line_maps` of a bent limb: the polyline through its points (`limb_points`, projected) instead of a segment.

    A convolution is linear, so the map is the sum of its segments' closed forms and points that lie on one line change
    nothing. A segment with an end that is not `valid`, or not finite, is left out.
    """
    points = (points_2d + 0.5) * (size / image_size) - 0.5
    known = valid & (points.detach().abs().amax(-1) < FARTHEST)  # False for NaN
    points = torch.where(known[..., None], points, 0.0)
    pixels = torch.arange(size, dtype=points.dtype, device=points.device)
    maps = points.new_zeros(*points.shape[:-2], size, size)
    for i in range(points.shape[-2] - 1):  # one segment of all limbs at a time: memory for one
        start, step = points[..., i, :, None], points[..., i + 1, :, None] - points[..., i, :, None]
        length = torch.linalg.vector_norm(step, dim=-2, keepdim=True)
        right, down = (step / length.clamp_min(1e-6)).unbind(-2)
        x, y = pixels - start[..., 0, :], pixels - start[..., 1, :]
        along = (y * down)[..., :, None] + (x * right)[..., None, :]
        across = (y * right)[..., :, None] - (x * down)[..., None, :]
        unit = 1 / (sigma * math.sqrt(2))
        between = torch.erf(along * unit) - torch.erf((along - length) * unit)
        drawn = (known[..., i] & known[..., i + 1])[..., None, None]
        maps = maps + between * torch.exp(-(across * unit).square()) * drawn
    return maps * (LIMB_GAIN / 2 / (sigma * math.sqrt(2 * math.pi)))


def limb_points(
    parent: Float[Tensor, "*B 3"], child: Float[Tensor, "*B 3"], points: int
) -> Float[Tensor, "*B {points} 3"]:
    """`points` places along each limb at equal distances, both ends included: a lens bends their image into a curve."""
    share = torch.linspace(0, 1, points, dtype=parent.dtype, device=parent.device)[:, None]
    return torch.lerp(parent[..., None, :], child[..., None, :], share)


def limb_angle(parent: Float[Tensor, "*B 3"], child: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B"]:
    """θ of EgoTAP's limb maps: by how much a limb leaves the image plane, positive if the child is nearer.

    Ends in a camera's frame, any unit; radians from -π/2 to π/2: atan((z_parent - z_child) / distance in x, y). A limb
    without length, or with an end that is not finite, has 0 (the published formula: NaN).
    """
    step = parent - child
    known = step.isfinite().all(-1, keepdim=True)
    step = torch.where(known, step, step.new_tensor((1.0, 0.0, 0.0)))
    return torch.atan2(step[..., 2], torch.linalg.vector_norm(step[..., :2], dim=-1))


def limb_maps(lines: Float[Tensor, "*B K h w"], angles: Float[Tensor, "*B K"]) -> Float[Tensor, "*B 2 K h w"]:
    """EgoTAP's limb maps: the drawn limbs times cos θ (first K) and times sin θ (last K)."""
    angles = angles[..., None, None]
    return torch.stack((lines * angles.cos(), lines * angles.sin()), -4)


def limb_lengths(
    parent_2d: Float[Tensor, "*B 2"], child_2d: Float[Tensor, "*B 2"], image_size: int, size: int = 64
) -> Float[Tensor, "*B"]:
    """A limb's straight length in heatmap pixels plus one, by whose root EgoTAP's loss divides its maps.

    1 where an end is not finite.
    """
    step = (parent_2d - child_2d) * (size / image_size)
    step = torch.where(step.isfinite().all(-1, keepdim=True), step, 0.0)
    return torch.linalg.vector_norm(step, dim=-1) + 1


def argmax_2d(heatmaps: Float[Tensor, "*B H W"]) -> tuple[Float[Tensor, "*B 2"], Float[Tensor, "*B"]]:
    """Index (x, y) of the largest value, in heatmap pixels, and that value."""
    width = heatmaps.shape[-1]
    peak, index = heatmaps.flatten(-2).max(-1)
    return torch.stack((index % width, index // width), -1).to(heatmaps.dtype), peak


def soft_argmax(logits: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B 2"]:
    """Mean place (x, y) under the softmax of a map, in heatmap pixels; differentiable."""
    height, width = logits.shape[-2:]
    weights = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
    columns = torch.arange(width, dtype=logits.dtype, device=logits.device)
    rows = torch.arange(height, dtype=logits.dtype, device=logits.device)
    return torch.stack(((weights.sum(-2) * columns).sum(-1), (weights.sum(-1) * rows).sum(-1)), -1)


def to_image_pixels(places: Float[Tensor, "*B 2"], image_size: int, size: int = 64) -> Float[Tensor, "*B 2"]:
    """Heatmap pixels to image pixels; undoes the sub-pixel form."""
    return (places + 0.5) * (image_size / size) - 0.5


def _separable(
    centre: Float[Tensor, "*B 2"], size: int, sigma: float, radius: float
) -> Float[Tensor, "*B {size} {size}"]:
    """Gaussians as products of a row and a column, cut beyond `radius` pixels from the centre in x or y."""
    pixels = torch.arange(size, dtype=centre.dtype, device=centre.device)
    finite = centre.isfinite().all(-1, keepdim=True)
    distance = pixels - torch.where(finite, centre, 0.0)[..., None]
    profile = torch.exp(distance.square() / (-2 * sigma**2)) * ((distance.abs() <= radius) & finite[..., None])
    return profile[..., 1, :, None] * profile[..., 0, None, :]


def _blurred(maps: Float[Tensor, "*B h w"]) -> Float[Tensor, "*B h w"]:
    """Rows convolved with a Gaussian of sigma 1 and 9 taps, zeros beyond the ends. As sums, not as a convolution or a
    product of matrices, which a GPU may compute in TF32."""
    width, padded = maps.shape[-1], torch.nn.functional.pad(maps, (EGOTAP_RADIUS, EGOTAP_RADIUS))
    taps = [math.exp(-(k**2) / 2) for k in range(-EGOTAP_RADIUS, EGOTAP_RADIUS + 1)]
    total = torch.zeros_like(maps)
    for k, tap in enumerate(taps):
        total = total + tap / sum(taps) * padded[..., k : k + width]
    return total
