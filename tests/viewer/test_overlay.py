"""Overlays: colour where the pose projects, bones bent as the lens bends them, nothing where it cannot see."""

import cv2
import numpy as np
import torch
from tests.people import STANDING

from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.viewer.overlay import SIDES, TRUTH, draw_views, grid, side_of, side_of_bone

RIG = ego4view_syn()
TILE = 240
BLACK = {view: np.zeros((100, 100, 3), np.uint8) for view in RIG.views}


def tile_of(picture: np.ndarray, index: int) -> np.ndarray:
    top = picture.shape[0] - (2 * TILE + 4) + index // 2 * (TILE + 4)
    left = index % 2 * (TILE + 4)
    return picture[top : top + TILE, left : left + TILE]


def test_joints_are_drawn_in_their_sides_colour_where_the_rig_projects_them():
    picture = draw_views(BLACK, RIG, STANDING, tile=TILE)
    hand = EGO4VIEW.index("RightHand")
    pixels, seen = RIG.resized(TILE, TILE).project(STANDING)
    drawn = 0
    for view in range(4):
        if seen[view, hand]:
            x, y = pixels[view, hand].round().int().tolist()
            assert np.abs(tile_of(picture, view)[y, x].astype(int) - SIDES["right"]).max() < 30
            drawn += 1
    assert drawn >= 2


def test_a_bone_follows_the_lens():
    """The true line of a long bone bends; halfway along it in space there must be ink, not halfway in the picture."""
    joints = STANDING.clone()
    ends = EGO4VIEW.index("LeftArm"), EGO4VIEW.index("LeftForeArm")
    joints[ends[0]], joints[ends[1]] = torch.tensor([-0.9, -0.9, 0.3]), torch.tensor([0.9, -0.9, 0.3])
    picture = tile_of(draw_views(BLACK, RIG, joints, truth=joints, tile=TILE), 0)
    camera = RIG.cameras["front_left"].resized(TILE, TILE)
    T = RIG.T_camera_device[0]
    at, _ = camera.project(0.5 * (joints[list(ends)].sum(0)) + T[:3, 3])
    straight = camera.project(joints[list(ends)] + T[:3, 3])[0].mean(0)
    assert (at - straight).norm() > 10
    x, y = at.round().int().tolist()
    assert np.abs(picture[y, x].astype(int) - SIDES["left"]).max() < 40


def test_truth_is_drawn_only_if_given():
    def has_truth(picture):
        return (np.abs(picture[40:].astype(int) - TRUTH).max(-1) < 10).any()

    shifted = STANDING + torch.tensor([0.1, 0.0, 0.0])
    assert has_truth(draw_views(BLACK, RIG, STANDING, truth=shifted, tile=TILE))
    assert not has_truth(draw_views(BLACK, RIG, STANDING, tile=TILE))


def test_a_pose_no_camera_can_see_draws_nothing():
    behind = STANDING * torch.tensor([0.1, 0.1, 0.0]) + torch.tensor([0.0, 0.15, -5.0])
    blank = draw_views(BLACK, RIG, behind, tile=TILE)
    assert not tile_of(blank, 0)[40:].any()
    assert not tile_of(blank, 3)[40:].any()


def test_pictures_of_other_sizes_and_the_input_is_untouched():
    images = {view: np.full((300, 300, 3), 90, np.uint8) for view in RIG.views[:3]}
    picture = draw_views(images, RIG.select(RIG.views[:3]), STANDING, tile=120, title="a/very/long/name" * 9)
    assert picture.shape[1] == 2 * 120 + 4
    assert all((image == 90).all() for image in images.values())
    assert grid([picture], columns=4).shape == picture.shape
    assert cv2.imencode(".jpg", picture)[0]


def test_sides():
    names = EGO4VIEW.names
    assert [side_of(EGO4VIEW, names.index(name)) for name in ("Neck", "LeftFoot", "RightHand")] == [
        "middle", "left", "right",
    ]  # fmt: skip
    assert side_of_bone(EGO4VIEW, (1, 2)) == "left"
    assert side_of_bone(EGO4VIEW, (8, 9)) == "middle"
