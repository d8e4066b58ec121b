"""A take is a function of its recipe, split and number; its people keep apart and its truth is that of the scene."""

from dataclasses import replace

import numpy as np
import pytest

from egorear.geometry.rig import ego4view_syn
from egorear.geometry.rotations import to_matrix
from egorear.synth.body import EGO4VIEW_BONES, pose_person
from egorear.synth.garments import Part
from egorear.synth.job import Recipe, Take
from egorear.synth.motion import MotionLibrary
from egorear.synth.performance import Performance
from egorear.synth.scene import NOBODY

RECIPE = Recipe(ego4view_syn(), seed=11, size=64, take_frames=4)
LIBRARY = MotionLibrary()


def perform(number: int = 0, recipe: Recipe = RECIPE, split: str = "train") -> Performance:
    return Performance(recipe, Take(split, number, recipe.take_frames), LIBRARY)


@pytest.fixture(scope="module")
def crowded() -> Performance:
    """A take with strangers in view."""
    return next(take for number in range(60) if (take := perform(number)).strangers)


def test_any_picture_can_be_made_alone():
    whole = [perform().scene(i).vertices for i in range(4)]
    assert (perform().scene(3).vertices == whole[3]).all()
    assert (whole[0] != whole[3]).any()


def test_a_person_keeps_looks_over_takes_but_moves_elsewhere():
    first, second, another = perform(0), perform(1), perform(4)
    assert (first.person.vertices == second.person.vertices).all()
    assert first.motion.name != second.motion.name
    assert first.person.vertices.shape != another.person.vertices.shape


def test_the_headset_moves_with_the_head():
    take = perform()
    near = []
    for i in range(4):
        scene = take.scene(i)
        headset = scene.vertices[len(take.person.vertices) :][: len(take.headset.vertices)]
        near.append(np.linalg.norm(headset.mean(0) - scene.joints[0]))
    assert max(near) < 0.35
    assert np.ptp(near) < 0.02


def test_strangers_stay_out_of_reach_and_are_labelled(crowded):
    scene = crowded.scene(0)
    part, limb = scene.mesh.part, scene.mesh.limb
    assert (limb[part == Part.STRANGER] == NOBODY).all()
    assert (limb[np.isin(part, (Part.SKIN, Part.SHIRT, Part.HAIR))] < 16).all()
    theirs = scene.vertices[np.unique(scene.mesh.triangles[part == Part.STRANGER])]
    own = scene.vertices[: len(crowded.person.vertices)]
    gap = np.linalg.norm(theirs[::50, None] - own[None, ::50], axis=-1).min()
    assert gap > 0.3
    alone = next(take for number in range(60) if not (take := perform(number)).strangers)
    assert len(scene.spheres) == (1 + len(crowded.strangers)) * len(alone.scene(0).spheres)


def test_body_truth_poses_the_same_joints():
    take = perform()
    for i in (0, 3):
        body = take.body(i)
        assert np.allclose(np.linalg.norm(body.bones, axis=-1), 1)
        assert np.allclose(to_matrix(body.bones), take.motion.rotations[i * take.stride], atol=1e-5)
        _, joints = pose_person(take.person, to_matrix(body.bones).astype(np.float32), body.root_m.astype(np.float32))
        assert np.allclose(joints[EGO4VIEW_BONES], take.scene(i).joints, atol=1e-5)


def test_only_shaken_cameras_leave_the_rig():
    nominal = RECIPE.rig.T_camera_device.double().numpy()
    assert (perform().scene(0).T_camera_device == nominal).all()
    moved = perform(0, replace(RECIPE, shaken=True)).scene(0).T_camera_device
    assert 1e-5 < np.abs(moved - nominal).max() < 0.1


def test_turn_rate_is_that_of_the_device():
    recipe = replace(RECIPE, fps=30.0)
    take = perform(3, recipe)
    before, after = (take.scene(i).T_device_world[:3, :3] for i in (1, 2))
    turned = before @ after.T  # of the device, in its own axes
    axis = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]) / 2
    assert np.allclose(take.scene(1).turn_rate, axis * 30, atol=0.05 + 0.05 * np.abs(axis * 30).max())


def test_pictures_are_timed_by_the_rate_and_labelled():
    take = perform(0, replace(RECIPE, fps=15.0))
    assert [take.seconds(i) for i in range(4)] == pytest.approx([0, 1 / 15, 2 / 15, 0.2])
    cinema = perform(0, replace(RECIPE, fps=25.0))
    assert [cinema.seconds(i) for i in range(4)] == pytest.approx([0, 0.04, 0.08, 0.12])
    assert len(cinema.motion.root) == 4, "at 25 pictures a second none lies between"
    assert all(isinstance(take.action(i), str) and take.action(i) for i in range(4))
