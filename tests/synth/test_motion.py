"""Windows of motion: what the renderer relies on."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.synth import motion as library_module
from egorear.synth.body import BONES
from egorear.synth.clips import Clip, read_clips, resample, without_copies, write_clips
from egorear.synth.contacts import foot_skate_mm
from egorear.synth.figure import BODY, BODY_BONES, LEG, joints, lowest, mirrored
from egorear.synth.hands import FINGERS
from egorear.synth.motion import ACTIONS, HARD, SPLITS, MotionLibrary, compose, split_of
from egorear.synth.procedural import FAMILIES

BODY_IN_BONES = [BONES.index(bone) for bone in BODY_BONES]


@pytest.fixture(scope="module")
def library():
    return MotionLibrary()


@pytest.mark.parametrize(("split", "procedural"), list(product(SPLITS, (0.0, 1.0))))
def test_window_is_a_proper_motion_above_the_floor(split, procedural):
    library = MotionLibrary(procedural=procedural)
    rng = np.random.default_rng(0)
    for _ in range(25):
        motion = library.sample(rng, split, frames=6, stride=3)
        R = motion.rotations.astype(float)
        assert R.shape == (6, len(BONES), 3, 3)
        assert motion.root.shape == (6, 3)
        np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.broadcast_to(np.eye(3), R.shape), atol=1e-5)
        np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-5)
        assert lowest(R[:, BODY_IN_BONES], motion.root * LEG).min() > -0.02
        assert np.abs(motion.root[:, :2].mean(0)).max() < 0.1 + np.ptp(motion.root[:, :2], 0).max()
        assert motion.fps == 10
        assert len(motion.actions) == 6
        assert set(motion.actions) <= set(ACTIONS)


def test_same_generator_state_gives_the_same_window(library):
    a, b = (library.sample(np.random.default_rng(7), "train", 8, 2) for _ in range(2))
    other = library.sample(np.random.default_rng(8), "train", 8, 2)
    assert (a.name, a.actions) == (b.name, b.actions)
    np.testing.assert_array_equal(a.rotations, b.rotations)
    np.testing.assert_array_equal(a.root, b.root)
    assert a.name != other.name


def test_splits_share_no_motion_and_each_has_recordings(library):
    recorded = {s: {clip.name for clip in library.passages[s, "all"].clips} for s in SPLITS}
    assert all(recorded.values())
    drawn = {}
    for split in SPLITS:
        rng = np.random.default_rng(3)  # the same state for each split: only the split may keep them apart
        drawn[split] = {
            name for _ in range(30) for name in library.sample(rng, split, 2).name.removesuffix("~mirrored").split("+")
        }
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not recorded[a] & recorded[b]
        assert not drawn[a] & drawn[b]
    assert {split_of(clip.name) for clip in library.clips} == set(SPLITS)


def test_procedural_share_and_climbing_share(library):
    rng = np.random.default_rng(0)
    names = [library.sample(rng, "train", 2).name.split("+")[0] for _ in range(160)]
    recorded = [name for name in names if name.split("-")[0] not in FAMILIES or "-" not in name]
    plenty = library.passages["train", "all"].plenty
    assert 0.2 < plenty < 1, "few recordings ship"
    assert abs(len(recorded) / len(names) - 0.5 * plenty) < 0.1
    climbing = sum(name.startswith("01_") for name in recorded)
    assert 0.05 < climbing / len(recorded) < 0.45


def test_mirroring_swaps_sides_and_twice_is_the_identity():
    rotations, root = FAMILIES["wave"].clip(5, np.linspace(0, 2, 9))
    flipped, flipped_root = mirrored(rotations, root)
    np.testing.assert_allclose(flipped_root[:, 0], -root[:, 0])
    left, right = rotations[:, BODY["LeftArm"]], flipped[:, BODY["RightArm"]]
    mirror = np.diag([-1.0, 1, 1])
    np.testing.assert_allclose(right, mirror @ left @ mirror)
    again, root_again = mirrored(flipped, flipped_root)
    np.testing.assert_array_equal(again, rotations)
    np.testing.assert_array_equal(root_again, root)


def test_windows_avoid_faulty_frames():
    """A clip whose good stretches stand still at 1 and 2 leg lengths and whose faulty frames are at 9."""
    ok = np.ones(120, bool)
    ok[50:60] = False
    height = np.where(np.arange(120) < 50, 1.0, 2.0)
    height[~ok] = 9.0
    still = np.tile(np.array([1, 0, 0, 0], np.float32), (120, len(BODY_BONES), 1))
    clip = Clip("still", "stand", still, np.stack([0 * height, 0 * height, height], 1).astype(np.float32), ok)
    passages = library_module._passages([clip])
    np.testing.assert_array_equal([passages.first, passages.last], [[0, 60], [49, 119]])
    rng = np.random.default_rng(0)
    seen = set()
    for seconds in (0.5, 1.5, 6.0):  # the longest is played forth and back
        for _ in range(20):
            times = np.linspace(0, seconds, 7)
            piece = library_module._recorded_piece(rng, passages, passages.share, times, 0.0, 10.0)
            assert np.ptp(piece.root[:, 2]) == 0
            seen.add(float(piece.root[0, 2]))
    assert seen == {1.0, 2.0}


def posed(motion):
    """Rotations of the body bones and hips in metres, as the reference figure stands."""
    return motion.rotations[:, BODY_IN_BONES].astype(float), motion.root.astype(float) * LEG


@pytest.mark.parametrize("seed", range(4))
def test_long_windows_go_on_from_movement_to_movement_without_a_jump(seed):
    motion = MotionLibrary(procedural=1.0).sample(np.random.default_rng(seed), "train", 450)
    assert "+" in motion.name
    assert len(set(motion.actions)) > 1
    rotations, root = posed(motion)
    placed = joints(rotations, root)
    assert np.linalg.norm(np.diff(placed, axis=0), axis=-1).max() * 30 < 20
    assert foot_skate_mm(rotations, root) < 4
    assert lowest(rotations, root).min() > -0.01


def test_chosen_movements_follow_each_other():
    chosen = [("walk", 3, {"speed": 1.0, "turning": 0.0}), ("squat", 2, {}), ("sit", 3, {"arms": "phone"})]
    motion = compose(np.random.default_rng(0), chosen)
    assert len(motion.root) == 240
    assert [motion.actions[i] for i in (0, 89, 90, 149, 150, 239)] == ["walk"] * 2 + ["squat"] * 2 + ["sit"] * 2
    # Two seconds of walking, before the fade.
    assert np.linalg.norm(motion.root[75, :2] - motion.root[15, :2]) * LEG == pytest.approx(2.0, abs=0.1)
    assert motion.root[-1, 2] < 0.9 * motion.root[0, 2]


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [([("fly", 1, {})], "no movement 'fly'"), ([("walk", 0, {})], "seconds"), ([("walk", 1, {"wings": 2})], "wings")],
)
def test_impossible_compositions_are_refused(chosen, complaint):
    with pytest.raises(UserError, match=complaint):
        compose(np.random.default_rng(0), chosen)


def test_hard_mix_has_hard_actions_only(library):
    rng = np.random.default_rng(0)
    drawn = {action for _ in range(40) for action in library.sample(rng, "train", 120, mix="hard").actions}
    assert drawn <= set(HARD)
    assert len(drawn) >= 5


def test_the_same_recording_counts_once(library, tmp_path):
    renamed = [replace(clip, name=f"my_{clip.name}") for clip in library.clips[:4]]
    assert len(without_copies([*library.clips, *renamed])) == len(library.clips)
    first = library.clips[0]
    part = replace(first, root=first.root[:200], quaternions=first.quaternions[:200], ok=first.ok[:200])
    assert len(without_copies([*library.clips, part])) == len(library.clips) + 1


def test_resampling_between_frames_turns_at_constant_speed():
    half = np.radians([0.0, 45.0])
    quaternions = np.stack([np.cos(half), np.sin(half), 0 * half, 0 * half], -1)[:, None]
    between, root = resample(quaternions, np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.array([0.0, 1 / 3, 1.0]))
    np.testing.assert_allclose(2 * np.degrees(np.arctan2(between[:, 0, 1], between[:, 0, 0])), [0, 30, 90], atol=1e-4)
    np.testing.assert_allclose(root[:, 0], [0, 1, 3], atol=1e-6)


def test_fingers_move_with_their_hand(library):
    motion = library.sample(np.random.default_rng(1), "train", 60)
    for side in ("Left", "Right"):
        hand = motion.rotations[:, BONES.index(f"{side}Hand")]
        for finger in FINGERS:
            curl = np.swapaxes(hand, -1, -2) @ motion.rotations[:, BONES.index(f"{side}Hand{finger}1")]
            turned = np.degrees(np.arccos(np.clip((np.trace(curl, axis1=1, axis2=2) - 1) / 2, -1, 1)))
            assert turned.max() < 125


@pytest.mark.parametrize("change", [{"split": "all"}, {"frames": 0}, {"stride": 0}, {"mix": "easy"}])
def test_impossible_windows_are_refused(library, change):
    with pytest.raises(UserError, match="window"):
        library.sample(np.random.default_rng(0), **({"split": "train", "frames": 4, "stride": 1} | change))


def test_clip_asset_round_trip(tmp_path, library):
    clip = library.clips[2]
    write_clips(tmp_path / "m.npz", [clip])
    (again,) = read_clips(tmp_path / "m.npz")
    np.testing.assert_allclose(again.quaternions, clip.quaternions, atol=1e-3)
    np.testing.assert_array_equal(again.root, clip.root)
    with pytest.raises(ValueError, match="faulty"):
        write_clips(tmp_path / "m.npz", [replace(clip, ok=~clip.ok)])
