"""Scenes: truth and cameras found by name, pictures evenly spread, and what a fisheye sees as an outline."""

import math

import numpy as np
import pytest
import torch
from tests.people import two_camera_rig, write_dataset
from tests.viewer.test_html import poses_of

from egorear.datasets.opening import open_dataset
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.poses import Poses
from egorear.viewer.scene import Scene, lens_outline, scene_of_dataset, scene_of_source, within_budget


def test_frames_are_found_by_name_whatever_their_order(tmp_path):
    dataset = open_dataset(write_dataset(tmp_path), "test")
    scene = scene_of_dataset(poses_of([dataset.names[2], "none/of/them", dataset.names[0]]), dataset)
    for frame, place in ((0, 2), (2, 0)):
        np.testing.assert_allclose(scene.truth[frame], dataset.joints(place)[0], atol=1e-6)
    assert np.isnan(scene.truth[1]).all()
    assert scene.rigs[1] is None
    assert scene.rigs[0] is scene.rigs[2]
    pictures = {frame: read() for frame, read in scene.pictures}
    assert np.array_equal(pictures[0]["back_left"], dataset.image(2, "back_left"))
    assert list(pictures) == [0, 2]


def test_the_shipped_rig_of_the_poses_is_known_by_its_hash():
    assert scene_of_source(poses_of(["a"]), None, None).rig.hash() == ego4view_syn().hash()
    other = two_camera_rig()
    assert scene_of_source(poses_of(["a"]), None, other).rig is other


def test_poses_that_cannot_be_drawn_are_refused():
    with pytest.raises(UserError, match="no poses"):
        Scene(poses_of([]))
    poses = poses_of(["a"])
    with pytest.raises(UserError, match="no known set"):
        Scene(Poses(**{**vars(poses), "joint_names": ("Tail", *poses.joint_names[1:])}))


@pytest.mark.parametrize(("budget", "step"), [(1000, 1), (100, 1), (99, 2), (50, 2), (49, 4), (10, 16), (9, None)])
def test_pictures_are_evenly_spread_within_the_budget(budget, step):
    read: list[int] = []

    def encode(frame, images):
        read.append(frame)
        return {"view": b"0123456789"}

    kept = within_budget([(frame, dict) for frame in range(10)], encode, budget)
    assert list(kept) == ([] if step is None else list(range(0, 10, step)))
    assert len(read) <= max(1, budget // 10) * 2 + 4  # what does not fit is not even read


def test_an_outline_ends_where_the_lens_or_its_picture_does():
    rig = ego4view_syn()
    rays = torch.from_numpy(lens_outline(rig, "front_left"))
    camera = rig.cameras["front_left"]
    pixels, valid = camera.project(rays)
    assert (valid & camera.contains(pixels)).all()
    angle = rays[:, 2].acos()
    wider = torch.atan2(rays[:, 1], rays[:, 0])
    out = torch.stack(
        ((angle + 0.02).sin() * wider.cos(), (angle + 0.02).sin() * wider.sin(), (angle + 0.02).cos()), -1
    )
    pixels, valid = camera.project(out)
    assert not (valid & camera.contains(pixels)).any()
    visor = lens_outline(two_camera_rig(), "front_left")  # 160x120: it sees wider to the sides than up
    assert np.abs(visor[:, 0]).max() > np.abs(visor[:, 1]).max() - 1e-9
    assert math.isclose(np.linalg.norm(visor, axis=1).min(), 1, abs_tol=1e-6)
