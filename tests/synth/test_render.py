"""Pictures and truth must agree: joints lie on the body that is drawn, maps show it, what hides a joint is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from egorear.datasets.maps import NOTHING as NO_LABEL
from egorear.datasets.truth import Visibility
from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth import render as module
from egorear.synth.body import BONES, EGO4VIEW_BONES, pose_person, sample_person
from egorear.synth.environment import sample_place
from egorear.synth.garments import Part
from egorear.synth.motion import MotionLibrary
from egorear.synth.mount import HEAD, sample_mount
from egorear.synth.rasterizer import NOTHING
from egorear.synth.render import GRAZE, OWN_LIMBS, SLANT, Renderer, _hide, _project
from egorear.synth.scene import Mesh, Scene
from egorear.synth.sensor import sample_sensor
from egorear.synth.shadows import body_spheres

SIZE = 96
RIG = ego4view_syn().resized(SIZE, SIZE)
MAPS = ("depth", "segmentation", "normals")
LIBRARY = MotionLibrary()


def scene_of(seed: int, rig: Rig = RIG, moving: bool = True, loose: bool = False) -> Scene:
    """A person without a headset in a place: standing, or in the middle of a motion."""
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    while loose and not person.loose.any():
        person = sample_person(rng)
    motion = LIBRARY.sample(rng, "train", 1)
    rotations = motion.rotations[0] if moving else np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    root = motion.root[0] * np.float32(person.leg_length) if moving else np.array([0, 0, person.leg_length], np.float32)
    vertices, skeleton = pose_person(person, rotations, root)
    mount = sample_mount(rng, rng, person)
    return Scene(
        mesh=Mesh(person.triangles, person.albedo, person.part, person.limb, person.loose),
        place=sample_place(rng, "train"),
        vertices=vertices,
        joints=skeleton[EGO4VIEW_BONES],
        limb_radius=person.limb_radius,
        spheres=body_spheres(skeleton, person.limb_radius),
        T_device_world=mount.T_device_world(person, rotations[HEAD], skeleton[HEAD], 0.0),
        T_camera_device=rig.T_camera_device.double().numpy(),
        turn_rate=np.zeros(3),
    )


def render(scene: Scene, rig: Rig = RIG, maps=(), samples: int = 1):
    sensor = sample_sensor(np.random.default_rng(0), len(rig.views))
    return Renderer(rig, samples, maps).render(scene, sensor, np.random.default_rng(0))


def in_cameras(scene: Scene) -> np.ndarray:
    """Joints in each camera's frame [V 16 3]."""
    T = scene.T_camera_device @ scene.T_device_world
    return scene.joints.astype(float) @ T[:, :3, :3].mT + T[:, None, :3, 3]


@pytest.mark.parametrize("seed", range(6))
def test_a_visible_joint_lies_just_under_the_surface_that_the_depth_map_shows(seed):
    scene = scene_of(seed)
    frame = render(scene, maps=MAPS)
    points = in_cameras(scene)
    for v, view in enumerate(RIG.views):
        pixels, inside = RIG.cameras[view].project(torch.from_numpy(points[v]))
        maps = frame.maps[view]
        for j in np.flatnonzero(frame.visibility[v] == Visibility.VISIBLE):
            assert inside[j]
            x, y = pixels[j].round().long().clamp(0, SIZE - 1).tolist()
            depth, distance = maps.depth_m[y, x], np.linalg.norm(points[v, j])
            own = maps.limb[y, x] in OWN_LIMBS[j]
            flesh = (GRAZE if own else SLANT) * scene.limb_radius[j]
            # The picture's pixel centre is up to 0.7 px from the joint.
            assert distance - flesh - 0.02 <= depth, f"{EGO4VIEW.names[j]} in {view} is hidden"
            assert maps.part[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].min() != NO_LABEL, "no body is drawn there"


def test_standing_upright_the_trunk_hides_the_hips():
    reasons = render(scene_of(4, moving=False)).visibility
    hips = [EGO4VIEW.names.index("LeftUpLeg"), EGO4VIEW.names.index("RightUpLeg")]
    assert np.isin(reasons[:, hips], (Visibility.BODY, Visibility.CLOTH)).all()


def test_a_long_skirt_hides_joints_as_cloth():
    reasons = np.stack([render(scene_of(seed, moving=False, loose=True)).visibility for seed in range(8)])
    legs = [EGO4VIEW.names.index(name) for name in ("LeftLeg", "RightLeg", "LeftFoot", "RightFoot")]
    assert (reasons[..., legs] == Visibility.CLOTH).any()
    bare = replace(scene_of(3), mesh=replace(scene_of(3).mesh, loose=np.zeros_like(scene_of(3).mesh.loose)))
    assert not (render(bare).visibility == Visibility.CLOTH).any()


def test_what_is_behind_furniture_is_taken_out():
    nearest, winner = np.full((4, 4), 2, np.float32), np.arange(16, dtype=np.int32).reshape(4, 4)
    behind = np.array([[1, 3], [2, np.inf]], np.float32)
    _hide(nearest, winner, behind, 2)
    assert (winner[:2, :2] == NOTHING).all()
    assert np.isinf(nearest[:2, :2]).all()
    kept = np.kron([[0, 1], [1, 1]], np.ones((2, 2))).astype(bool)
    assert (winner[kept] == np.arange(16).reshape(4, 4)[kept]).all()


def test_maps_agree_with_each_other():
    scene = scene_of(2)
    for maps in render(scene, maps=MAPS).maps.values():
        body = maps.part != NO_LABEL
        assert body.any()
        assert (maps.limb[body] < 16).all()
        assert (maps.limb[~body] == NO_LABEL).all()
        assert np.allclose(np.linalg.norm(maps.normals[body], axis=-1), 1, atol=1e-3)
        assert (maps.normals[~body] == 0).all()
        assert np.isfinite(maps.depth_m[body]).all()
        assert (maps.part[body] <= max(Part)).all()


def test_maps_are_only_made_when_asked_for():
    assert render(scene_of(2)).maps is None
    maps = render(scene_of(2), maps=("depth",)).maps["front_left"]
    assert maps.depth_m is not None
    assert maps.part is None
    assert maps.normals is None


@pytest.mark.parametrize("seed", range(8))
def test_leaving_out_the_hidden_background_changes_nothing(seed, monkeypatch):
    scene = scene_of(seed)
    whole = render(scene, samples=2)
    monkeypatch.setattr(module, "_unhidden", lambda rays, *_: np.arange(len(rays)))
    again = render(scene, samples=2)
    assert (whole.visibility == again.visibility).all()
    assert all((whole.images[view] == again.images[view]).all() for view in RIG.views)


def test_outside_the_image_circle_is_black_and_inside_is_not():
    for image in render(scene_of(5), samples=2).images.values():
        assert image.shape == (SIZE, SIZE, 3)
        assert image[0, 0].max() < 40
        assert image[SIZE // 2, SIZE // 2].max() > 5


def test_a_lens_goes_on_smoothly_beyond_its_rim():
    camera = RIG.cameras["front_left"]
    angles = camera.max_angle + np.linspace(-0.02, 0.3, 200)
    drawn = _project(camera, np.stack([0 * angles, np.sin(angles), np.cos(angles)], -1))
    steps = np.diff(drawn.xy[:, 1])
    assert drawn.valid.all()
    assert not drawn.seen[20:].any()
    assert (np.abs(steps - steps.mean()) < 0.02).all()
    assert not _project(camera, np.array([[0.0, 0, -1], [1e-9, 0, -1]])).valid.any()


@pytest.mark.parametrize("count", [1, 6])
def test_any_number_of_cameras_of_any_model(count):
    camera = KannalaBrandt(width=80, height=60, fx=24.0, fy=24.0, cx=39.5, cy=29.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0)
    rig = Rig("mine", {f"camera_{i}": camera for i in range(count)}, torch.eye(4).repeat(count, 1, 1))
    frame = render(scene_of(6, rig), rig)
    assert frame.images["camera_0"].shape == (60, 80, 3)
    assert frame.visibility.shape == (count, 16)


def test_more_samples_a_pixel_soften_edges_only():
    scene = scene_of(7)
    coarse, fine = (render(scene, samples=n).images["front_left"].astype(float) for n in (1, 3))
    assert 0.05 < np.abs(coarse - fine).mean() < 6
