"""Pictures and truth must agree: joints lie on the body that is drawn, and what is told visible is."""

import numpy as np
import pytest
import torch

from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.body import BONES, sample_person
from egorear.synth.environment import sample_place
from egorear.synth.rasterizer import NOTHING, rasterize
from egorear.synth.render import Renderer, sample_sensor
from egorear.synth.scene import pose_scene, sample_mount

SIZE = 96


def standing_scene(seed: int):
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    rest = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    root = np.array([0, 0, person.leg_length], np.float32)
    return pose_scene(person, sample_place(rng, "train"), sample_mount(rng, person), rest, root)


def device_joints(scene) -> torch.Tensor:
    T = scene.T_device_world
    return torch.from_numpy(scene.joints @ T[:3, :3].T + T[:3, 3])


def test_headset_axes_on_a_standing_person():
    joints = dict(zip(EGO4VIEW.names, device_joints(standing_scene(0)).numpy(), strict=True))
    assert joints["LeftHand"][0] < -0.1 < 0.1 < joints["RightHand"][0]  # x to the wearer's right
    assert joints["LeftFoot"][2] > 1.0  # z down
    assert joints["Head"][1] > 0.08  # y backward: the neck is behind the front cameras


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_visible_joints_are_drawn_where_the_truth_projects(seed):
    rig = ego4view_syn().resized(SIZE, SIZE)
    scene = standing_scene(seed)
    frame = Renderer(rig, samples=1).render(scene, sample_sensor(np.random.default_rng(0), 4), np.random.default_rng(0))
    pixels, in_view = rig.project(device_joints(scene))
    assert frame.visible.any()
    assert not (frame.visible & ~in_view.numpy()).any()
    for v, view in enumerate(rig.views):
        T = rig.T_camera_device[v].numpy() @ scene.T_device_world
        points = scene.vertices @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)
        xy, valid = rig.cameras[view].project(torch.from_numpy(points))
        distance = np.linalg.norm(points, axis=-1).astype(np.float32)
        _, winner = rasterize(xy.numpy(), distance, valid.numpy(), scene.person.triangles, SIZE, SIZE)
        for j in np.flatnonzero(frame.visible[v]):
            x, y = pixels[v, j].round().int().tolist()
            around = winner[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            assert (around != NOTHING).any(), (
                f"{EGO4VIEW.names[j]} is told visible in {view} but no body is drawn there"
            )


def test_a_joint_behind_the_body_is_not_visible():
    scene = standing_scene(4)
    frame = Renderer(ego4view_syn().resized(SIZE, SIZE), 1).render(
        scene, sample_sensor(np.random.default_rng(0), 4), np.random.default_rng(0)
    )
    hips = [EGO4VIEW.names.index("LeftUpLeg"), EGO4VIEW.names.index("RightUpLeg")]
    assert not frame.visible[:, hips].any(), "standing upright, the trunk hides the hips from above"


def test_outside_the_image_circle_is_black_and_inside_is_not():
    rig = ego4view_syn().resized(SIZE, SIZE)
    scene = standing_scene(5)
    frame = Renderer(rig).render(scene, sample_sensor(np.random.default_rng(0), 4), np.random.default_rng(0))
    for image in frame.images.values():
        assert image.shape == (SIZE, SIZE, 3)
        assert image[0, 0].max() < 40
        assert image[SIZE // 2, SIZE // 2].max() > 10


def test_any_number_of_cameras_of_any_model():
    camera = KannalaBrandt(width=80, height=60, fx=24.0, fy=24.0, cx=39.5, cy=29.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0)
    rig = Rig("one camera", {"chest": camera}, torch.eye(4)[None])
    scene = standing_scene(6)
    frame = Renderer(rig).render(scene, sample_sensor(np.random.default_rng(0), 1), np.random.default_rng(0))
    assert frame.images["chest"].shape == (60, 80, 3)
    assert frame.visible.shape == (1, 16)
