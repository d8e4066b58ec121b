"""Windows of motion: what the renderer relies on."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.synth import motion as library_module
from egorear.synth.body import BONES
from egorear.synth.clips import Clip, read_clips, resample, write_clips
from egorear.synth.figure import BODY, BODY_BONES, LEG, lowest, mirrored
from egorear.synth.motion import SPLITS, MotionLibrary, split_of
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


def test_same_generator_state_gives_the_same_window(library):
    a, b = (library.sample(np.random.default_rng(7), "train", 8, 2) for _ in range(2))
    other = library.sample(np.random.default_rng(8), "train", 8, 2)
    assert (a.name, a.action) == (b.name, b.action)
    np.testing.assert_array_equal(a.rotations, b.rotations)
    np.testing.assert_array_equal(a.root, b.root)
    assert a.name != other.name


def test_splits_share_no_motion_and_each_has_recordings(library):
    recorded = {s: {clip.name for clip in library.passages[s].clips} for s in SPLITS}
    assert all(recorded.values())
    drawn = {}
    for split in SPLITS:
        rng = np.random.default_rng(3)  # the same state for each split: only the split may keep them apart
        drawn[split] = {library.sample(rng, split, 2).name.removesuffix("~mirrored") for _ in range(30)}
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not recorded[a] & recorded[b]
        assert not drawn[a] & drawn[b]
    assert {split_of(clip.name) for clip in library.clips} == set(SPLITS)


def test_procedural_share_and_climbing_share(library):
    rng = np.random.default_rng(0)
    names = [library.sample(rng, "train", 2).name for _ in range(160)]
    recorded = [name for name in names if name.split("-")[0] not in FAMILIES or "-" not in name]
    assert 0.38 < len(recorded) / len(names) < 0.62
    climbing = sum(name.startswith("01_") for name in recorded)
    assert 0.1 < climbing / len(recorded) < 0.36


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
            *_, root = library_module._recorded_window(rng, passages, np.linspace(0, seconds, 7))
            assert np.ptp(root[:, 2]) == 0
            seen.add(float(root[0, 2]))
    assert seen == {1.0, 2.0}


def test_resampling_between_frames_turns_at_constant_speed():
    half = np.radians([0.0, 45.0])
    quaternions = np.stack([np.cos(half), np.sin(half), 0 * half, 0 * half], -1)[:, None]
    between, root = resample(quaternions, np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.array([0.0, 1 / 3, 1.0]))
    np.testing.assert_allclose(2 * np.degrees(np.arctan2(between[:, 0, 1], between[:, 0, 0])), [0, 30, 90], atol=1e-4)
    np.testing.assert_allclose(root[:, 0], [0, 1, 3], atol=1e-6)


def test_fingers_follow_the_hand_and_only_curl(library):
    motion = library.sample(np.random.default_rng(1), "train", 4)
    hand = motion.rotations[:, BONES.index("LeftHand")]
    curl = np.swapaxes(hand, -1, -2) @ motion.rotations[:, BONES.index("LeftHandMiddle3")]
    np.testing.assert_allclose(curl, np.broadcast_to(curl[:1], curl.shape), atol=1e-5)
    assert 0 <= np.degrees(np.arccos(np.clip((np.trace(curl[0]) - 1) / 2, -1, 1))) < 100


@pytest.mark.parametrize("change", [{"split": "all"}, {"frames": 0}, {"stride": 0}])
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
