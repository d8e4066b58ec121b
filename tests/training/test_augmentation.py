"""Whatever augmentation does to the images it does to the truth: projected joints stay where the pictures show them."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.people import STANDING
from torch import Tensor

from egorear.datasets.sample import Sample
from egorear.datasets.truth import Visibility
from egorear.errors import UserError
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, EGOPW
from egorear.geometry.transforms import transform_points
from egorear.models.images import IMAGENET_MEAN, IMAGENET_STD, normalize
from egorear.training.augmentation import Augmentation
from egorear.training.mirror import is_symmetric, mirror_truth, partners
from egorear.training.photometry import add_noise, blur
from egorear.training.warp import move

SWAP = list(EGO4VIEW.mirror)
FRONT = ("front_left", "front_right")
DARK = {"contrast": 0.0, "colour": 0.0, "brightness": 0.0}
POSE = STANDING + torch.tensor([[0.03, 0.05, 0.1]]) * torch.linspace(-1, 1, 16)[:, None]  # not symmetric itself


def people(rig: Rig, batch: int, seed: int = 0) -> Sample:
    """Noise images of one pose, shifted from frame to frame; what is seen is drawn by lot among what is in view."""
    generator = torch.Generator().manual_seed(seed)
    size = next(iter(rig.cameras.values()))
    joints = POSE + 0.1 * torch.randn((batch, 1, 3), generator=generator)
    pixels, inside = rig.project(joints)
    lot = torch.tensor([Visibility.VISIBLE, Visibility.VISIBLE, Visibility.BODY, Visibility.OTHER])
    drawn = lot[torch.randint(0, 4, inside.shape, generator=generator)]
    reasons = torch.where(inside, drawn, Visibility.OUTSIDE).byte()
    shape = (batch, len(rig.views), 3, size.height, size.width)
    return Sample(
        images=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        joints=joints,
        joints_2d=pixels,
        visible=reasons == Visibility.VISIBLE,
        rig=rig,
        name=[str(i) for i in range(batch)],
        visibility=reasons,
    )


def dots(rig: Rig) -> Sample:
    """Sixteen frames of one pose; frame j shows a soft dot at joint j and nothing else."""
    camera = next(iter(rig.cameras.values()))
    joints = POSE.expand(16, 16, 3)
    pixels, inside = rig.project(joints)
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    own = pixels[range(16), :, range(16)]
    away = (columns - own[..., 0, None, None]) ** 2 + (rows - own[..., 1, None, None]) ** 2
    images = (255 * torch.exp(-away / (2 * 1.5**2))).byte()[:, :, None].expand(-1, -1, 3, -1, -1)
    return Sample(images, joints, pixels, inside, rig, [str(i) for i in range(16)])


def centre_of_light(images: Tensor) -> Tensor:
    """Pixel (x, y) around which images "... 3 H W" are bright."""
    light = images.sum(-3)
    x = (light.sum(-2) * torch.arange(light.shape[-1])).sum(-1)
    y = (light.sum(-1) * torch.arange(light.shape[-2])).sum(-1)
    return torch.stack((x, y), -1) / light.sum((-1, -2))[..., None]


def turns_of(batch: int, views: int, degrees: float) -> Tensor:
    return math.radians(degrees) * (2 * torch.rand((batch, views, 3), generator=torch.Generator().manual_seed(3)) - 1)


def reasons_of(sample: Sample) -> Tensor:
    assert sample.visibility is not None
    return sample.visibility


def present_of(sample: Sample) -> Tensor:
    assert sample.present is not None
    return sample.present


def tensors(sample: Sample) -> list[Tensor]:
    parts = [getattr(sample, field.name) for field in fields(sample)] + [sample.rig.T_camera_device]
    return [part.clone() for part in parts if isinstance(part, Tensor)]


@pytest.mark.parametrize("skeleton", [EGO4VIEW, EGOPW, EGOCAP], ids=["ego4view", "egopw", "egocap"])
def test_the_mirror_swaps_the_joints_of_any_skeleton(skeleton):
    joints, seen = torch.randn(2, len(skeleton), 3), torch.ones((2, 4, len(skeleton)), dtype=torch.bool)
    nowhere = torch.zeros((*seen.shape, 2))
    frames = people(ego4view_syn().resized(32, 32), 2)
    sample = replace(frames, joints=joints, joints_2d=nowhere, visible=seen, visibility=None)
    after = mirror_truth(sample, torch.tensor([True, False]), skeleton)
    left, right = skeleton.index("LeftHand"), skeleton.index("RightHand")
    assert torch.equal(after.joints[0, left], joints[0, right] * torch.tensor([-1.0, 1.0, 1.0]))
    assert torch.equal(after.joints[1], joints[1])


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize(("mirrored", "degrees"), [(True, 0.0), (False, 6.0), (True, 6.0)])
def test_pictures_and_projected_joints_move_together_through_real_lenses(size, mirrored, degrees):
    frames = dots(ego4view_syn().resized(size, size))
    images, after = move(frames, torch.full((16,), mirrored), turns_of(16, 4, degrees))
    frame = torch.arange(16)
    joint = torch.tensor(SWAP)[frame] if mirrored else frame
    expected = after.joints_2d[frame, :, joint]
    whole = after.visible[frame, :, joint] & ((expected > 8) & (expected < size - 9)).all(-1)
    # At the rim of the lens part of a dot is missing.
    light = images.sum((-3, -2, -1))
    whole &= light > 0.97 * 3 * 255 * 2 * math.pi * 1.5**2 * 0.9
    assert whole.sum() > 25
    assert whole.any(0).all()
    assert ((centre_of_light(images) - expected)[whole].norm(dim=-1) < 0.3).all()
    if mirrored:
        torch.testing.assert_close(after.joints, POSE[SWAP].expand(16, 16, 3) * torch.tensor([-1.0, 1.0, 1.0]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    turned=st.floats(0, 1),
    turn=st.floats(0, 15),
    roll=st.floats(0, 40),
    mirror=st.floats(0, 1),
    erase=st.floats(0, 1),
    dropout=st.floats(0, 1),
    batched=st.booleans(),
)
def test_any_strengths_keep_the_truth_true(seed, turned, turn, roll, mirror, erase, dropout, batched):
    rig = ego4view_syn().resized(24, 24)
    sample = people(rig.expand(5) if batched else rig, 5, seed % 7)
    before = tensors(sample)
    torch.manual_seed(seed)
    augmentation = Augmentation(
        noise=0.1, blur=1.0, erase=erase, turned=turned, turn_deg=turn, roll_deg=roll, mirror=mirror,
        view_dropout=dropout,
    )  # fmt: skip
    images, after = augmentation(sample)
    pixels, inside = after.rig.project(after.joints)
    torch.testing.assert_close(pixels, after.joints_2d, atol=1e-4, rtol=1e-4)
    assert not (after.visible & ~inside).any()
    assert torch.equal(after.visible, reasons_of(after) == Visibility.VISIBLE)
    assert images.shape == sample.images.shape
    assert images.isfinite().all()
    R = after.rig.T_camera_device[..., :3, :3]
    torch.testing.assert_close(R @ R.transpose(-1, -2), torch.eye(3).expand_as(R), atol=1e-5, rtol=0)
    assert after.present is None or after.present.any(1).all()
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(sample), strict=True))


def test_cameras_turn_about_their_own_centres_by_the_angles_asked_for():
    sample = people(ego4view_syn().resized(32, 32), 40)
    _, after = Augmentation(turned=0.5, turn_deg=0.0, roll_deg=5.0)(sample)
    before, new = sample.rig.expand(40), after.rig
    centres = [-(T[..., :3, :3].mT @ T[..., :3, 3:])[..., 0] for T in (before.T_camera_device, new.T_camera_device)]
    torch.testing.assert_close(*centres, atol=1e-6, rtol=0)
    relative = new.T_camera_device[..., :3, :3] @ before.T_camera_device[..., :3, :3].mT
    torch.testing.assert_close(relative[..., 2, 2], torch.ones(40, 4))  # the optical axis stays
    roll = torch.atan2(relative[..., 1, 0], relative[..., 0, 0]).abs().rad2deg()
    assert 4.5 < roll.max() <= 5.0
    assert 8 < (roll == 0).all(1).sum() < 32  # about half of the frames are left alone
    assert not ((roll == 0).any(1) & ~(roll == 0).all(1)).any()


def test_a_camera_turned_right_sees_the_scene_move_left():
    sample = people(ego4view_syn().resized(32, 32), 1)
    _, after = move(sample, torch.tensor([False]), torch.tensor([0.0, 0.1, 0.0]).expand(1, 4, 3))
    both = sample.visible & after.visible
    assert both.sum() > 10
    assert (after.joints_2d[..., 0] < sample.joints_2d[..., 0] - 0.3)[both].all()


def test_frames_that_do_not_move_keep_every_bit():
    sample = people(ego4view_syn().resized(32, 32), 12)
    torch.manual_seed(0)
    images, after = Augmentation(**DARK, turned=0.3, mirror=0.3)(sample)
    same = (after.joints_2d == sample.joints_2d).flatten(1).all(1)
    assert 0 < same.sum() < 12
    torch.testing.assert_close(images[same], normalize(sample.images)[same], atol=1e-5, rtol=1e-5)
    assert torch.equal(after.joints[same], sample.joints[same])
    assert torch.equal(after.visible[same], sample.visible[same])
    assert not torch.equal(after.visible, sample.visible)


def test_the_mirror_swaps_joints_and_views_and_what_is_known_of_them():
    sample = people(ego4view_syn().resized(48, 48), 3)
    sample = replace(sample, present=torch.tensor([[True, False, True, True]]).repeat(3, 1))
    _, after = Augmentation(mirror=1.0)(sample)
    assert torch.equal(after.joints[..., 0], -sample.joints[:, SWAP, 0])
    assert torch.equal(after.joints[..., 1:], sample.joints[:, SWAP, 1:])
    _, inside = after.rig.project(after.joints)
    swapped = reasons_of(sample)[:, [1, 0, 3, 2]][..., SWAP]
    assert torch.equal(reasons_of(after), torch.where(inside, swapped, Visibility.OUTSIDE).byte())
    assert torch.equal(present_of(after), torch.tensor([[False, True, True, True]]).repeat(3, 1))
    assert torch.equal(after.rig.T_camera_device, sample.rig.expand(3).T_camera_device)


def test_mirroring_twice_gives_the_frame_back_where_the_lenses_cover_it():
    sample = people(ego4view_syn().resized(128, 128), 2)
    soft = torch.nn.functional.interpolate(torch.rand(8, 3, 12, 12), 128, mode="bicubic").clamp(0, 1)
    sample = replace(sample, images=(200 * soft + 30).byte().view(2, 4, 3, 128, 128))

    def twice(images: Tensor) -> tuple[Tensor, Sample]:
        once, still = torch.full((2,), True), torch.zeros(2, 4, 3)
        images, there = move(replace(sample, images=images), once, still)
        return move(replace(there, images=images.round().byte()), once, still)

    covered = twice(torch.full_like(sample.images, 255))[0] > 254
    assert covered.float().mean() > 0.74  # the lens' circle fills 0.78 of the image
    images, back = twice(sample.images)
    difference = (images - sample.images).abs()[covered]
    assert difference.mean() < 0.7
    assert difference.max() < 10
    torch.testing.assert_close(back.joints, sample.joints)
    torch.testing.assert_close(back.joints_2d, sample.joints_2d, atol=1e-3, rtol=1e-4)


def test_only_samples_of_symmetric_rigs_are_mirrored():
    rig = ego4view_syn().resized(32, 32)
    T = rig.T_camera_device.repeat(4, 1, 1, 1)
    T[1, 0, 0, 3] += 0.02  # one centre 2 cm off
    T[2, 3, 1, 3] += 0.02
    T[3, :, :3, 3] += 0.0005  # within the tolerance
    sample = people(replace(rig, T_camera_device=T), 4)
    assert is_symmetric(sample.rig).tolist() == [True, False, False, True]
    images, after = Augmentation(**DARK, mirror=1.0)(sample)
    moved = (after.joints != sample.joints).flatten(1).any(1)
    assert moved.tolist() == [True, False, False, True]
    torch.testing.assert_close(images[1:3], normalize(sample.images)[1:3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("views", "mirrors"),
    [(FRONT, True), ((*FRONT, "back_left"), False), (("back_right",), False), (("back_right", "back_left"), True)],
)
def test_a_view_without_its_partner_is_not_mirrored(views, mirrors):
    sample = people(ego4view_syn().resized(32, 32).select(views), 2)
    _, after = Augmentation(mirror=1.0)(sample)
    assert torch.equal(after.joints, sample.joints) != mirrors


def test_a_camera_in_the_middle_is_its_own_partner():
    rig = ego4view_syn().resized(128, 128).select((*FRONT, "back_left"))
    T = rig.T_camera_device.clone()
    T[2, 0, 3] = 0.0
    T[:2] = T[[1, 0]]
    names = ["cam_right", "cam_left", "centre"]
    cameras = dict(zip(names, rig.cameras.values(), strict=True))
    middle = Rig("three", cameras, T)
    assert partners(middle.views) == [1, 0, 2]
    frames = dots(middle)
    images, after = move(frames, is_symmetric(middle).expand(16), torch.zeros(16, 3, 3))
    frame = torch.arange(16)
    expected = after.joints_2d[frame, 2, SWAP]
    whole = ((expected > 15) & (expected < 112)).all(-1) & after.visible[frame, 2, SWAP]
    assert whole.sum() > 3
    assert ((centre_of_light(images[:, 2]) - expected)[whole].norm(dim=-1) < 0.5).all()


def test_light_alone_is_affine_and_each_views_own():
    torch.manual_seed(0)
    sample = people(ego4view_syn().resized(8, 8).select(FRONT), 2)
    changed, after = Augmentation()(sample)
    images = normalize(sample.images)
    assert after is sample
    before, now = ((x - x.mean((-2, -1), keepdim=True)) / x.std((-2, -1), keepdim=True) for x in (images, changed))
    torch.testing.assert_close(before, now, rtol=1e-4, atol=1e-4)
    scales = changed.std((-2, -1)) / images.std((-2, -1))
    assert scales.flatten().unique().numel() == 12
    torch.testing.assert_close(Augmentation(**DARK)(sample)[0], images, atol=1e-5, rtol=1e-5)


def test_blur_spreads_a_point_by_its_deviation_and_leaves_half_of_the_views():
    torch.manual_seed(0)
    images = torch.zeros(50, 4, 3, 31, 31)
    images[..., 15, 15] = 1.0
    blurred = blur(images.clone(), 3.0)
    torch.testing.assert_close(blurred.sum((-2, -1)), torch.ones(50, 4, 3))
    away = torch.arange(31) - 15.0
    variance = (blurred.sum(-2) * away**2).sum(-1)
    torch.testing.assert_close(variance, (blurred.sum(-1) * away**2).sum(-1))
    sharp = (blurred == images).flatten(2).all(2)
    assert 70 < sharp.sum() < 130
    assert 2.3 < variance.max().sqrt() < 3.0
    flat = torch.full((4, 4, 3, 9, 9), 7.0)
    torch.testing.assert_close(blur(flat.clone(), 2.0), flat)


def test_noise_has_a_deviation_of_its_own_in_half_of_the_views():
    torch.manual_seed(0)
    noise = add_noise(torch.zeros(100, 4, 3, 16, 16), 0.5).flatten(2)
    deviation = noise.std(-1)
    assert 160 < (deviation == 0).sum() < 240
    assert 0.45 < deviation.max() < 0.55
    assert 0.2 < deviation[deviation > 0].mean() < 0.3
    assert abs(noise.mean()) < 0.01


def test_joints_in_an_erased_patch_are_hidden_and_only_those():
    sample = people(ego4view_syn().resized(40, 40), 60)
    sample = replace(sample, images=torch.zeros_like(sample.images))
    torch.manual_seed(1)
    images, after = Augmentation(**DARK, erase=0.5)(sample)
    black = -torch.tensor(IMAGENET_MEAN) / torch.tensor(IMAGENET_STD)
    patch = ((images - black.view(3, 1, 1)).abs() > 1e-4).any(2)
    assert 80 < patch.flatten(2).any(2).sum() < 160
    x, y = (sample.joints_2d + 0.5).floor().long().unbind(-1)
    inside = ((x >= 0) & (x < 40) & (y >= 0) & (y < 40)).nonzero()
    hidden = torch.zeros_like(sample.visible)
    for b, v, j in inside.tolist():
        hidden[b, v, j] = patch[b, v, y[b, v, j], x[b, v, j]]
    assert torch.equal(after.visible, sample.visible & ~hidden)
    seen = reasons_of(sample) == Visibility.VISIBLE
    assert torch.equal(reasons_of(after), torch.where(seen & hidden, Visibility.OTHER, reasons_of(sample)).byte())
    assert torch.equal(after.joints_2d, sample.joints_2d)
    share = patch.float().mean((-2, -1))[patch.flatten(2).any(2)]
    assert share.max() <= 0.4**2
    assert share.mean() > 0.04


def test_lost_views_are_every_subset_as_often_and_never_all():
    sample = people(ego4view_syn().resized(4, 4), 30_000)
    torch.manual_seed(0)
    present = present_of(Augmentation(view_dropout=14 / 15)(sample)[1])
    count = (present.long() * torch.tensor([1, 2, 4, 8])).sum(1).bincount(minlength=16)
    assert count[0] == 0
    assert (count[1:] - 2000).abs().max() < 4.5 * math.sqrt(2000)


def test_only_views_that_are_there_can_be_lost():
    sample = people(ego4view_syn().resized(4, 4), 3000)
    there = torch.tensor([[True, False, True, True], [False, False, False, True], [True] * 4]).repeat(1000, 1)
    present = present_of(Augmentation(view_dropout=1.0)(replace(sample, present=there))[1])
    assert not (present & ~there).any()
    kinds = [present[i::3].unique(dim=0) for i in range(3)]
    assert [len(kind) for kind in kinds] == [6, 1, 14]
    assert all(kind.any(1).all() for kind in kinds)


def test_the_same_seed_gives_the_same_batch():
    sample = people(ego4view_syn().resized(32, 32), 6)
    augmentation = Augmentation(noise=0.2, blur=1.0, erase=0.5, turned=0.5, mirror=0.5, view_dropout=0.5)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        images, after = augmentation(sample)
        results.append([images, *tensors(after)])
    same, other = ([torch.equal(a, b) for a, b in zip(one, two, strict=True)] for one, two in pairwise(results))
    assert all(same)
    assert not other[0]


def test_mixed_precision_and_memory_layout_change_nothing():
    sample = people(ego4view_syn().resized(48, 48), 4)
    by_pixel = replace(sample, images=sample.images.movedim(-3, -1).contiguous().movedim(-1, -3))
    augmentation = Augmentation(noise=0.2, blur=1.0, erase=0.5, turned=1.0, mirror=0.5)
    torch.manual_seed(0)
    expected = augmentation(sample)[0]
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        images, after = augmentation(by_pixel)
    assert torch.equal(images, expected)
    assert not images.requires_grad
    torch.testing.assert_close(
        transform_points(after.rig.T_camera_device, after.joints[:, None]), after.rig.to_camera(after.joints)
    )


@pytest.mark.parametrize("bad", [{"noise": -0.1}, {"mirror": 1.5}, {"turn_deg": math.inf}, {"blur": math.nan}])
def test_strengths_that_mean_nothing_are_refused(bad):
    with pytest.raises(UserError, match=f"augmentation.{next(iter(bad))}"):
        Augmentation(**bad)
