"""Figures of a study whose errors are known, which frames it takes, and how it goes on after an interruption."""

import numpy as np
import pytest
from tests.evaluation.moments import Moments

from egorear.errors import UserError
from egorear.evaluation.bootstrap import ClusterBootstrap
from egorear.evaluation.clip_store import ClipStore
from egorear.evaluation.faults import Late, Lost, NoFault, Turned
from egorear.evaluation.robustness import Study, choose_clips, lengths
from egorear.geometry.skeleton import EGOCAP

VIEWS = ("front_left", "front_right", "back_left", "back_right")
FAULTS = [NoFault(), Lost(("back_left",)), Late(("front_right",), 2), Turned(None, 5.0)]


class Oracle:
    """The truth; left hand and confidence of it off by 160 mm and 0.8 where a picture is missing, all joints by 10 mm
    to the right for each frame that front right is late."""

    def __init__(self, data: Moments) -> None:
        self.data = data
        self.calls: list[tuple[int, str]] = []

    def __call__(self, frames, rig):
        index = [int(images["front_left"][0, 0, 0]) // 10 for images in frames]
        joints, confidence = self.data.truth_m[index], np.full((len(frames), 16), 0.9, np.float32)
        for row, images in enumerate(frames):
            joints[row, :, 0] += 0.01 * (index[row] - int(images["front_right"][0, 0, 0]) // 10)
            if images["back_left"] is None:
                joints[row, 6, 1] += 0.16
                confidence[row, 6] -= 0.8
        self.calls.append((len(frames), rig.hash()))
        return joints.astype(np.float32), confidence


def study(data, faults=FAULTS, limit=0):
    return Study(data, choose_clips(data.names, 2, limit), faults, VIEWS)


def test_known_errors_are_told():
    data = Moments([7, 2, 5])
    known = study(data)
    store = ClipStore(None, {})
    assert list(known.predict(Oracle(data), store)) == [1, 2, 3]
    none, lost, late, turned = known.summarise(store)
    assert none.frames == 5 + 3
    assert none.mpjpe_mm.value == pytest.approx(0, abs=1e-3)
    assert none.auroc is None
    assert (lost.mpjpe_mm.value, lost.change_mm.value) == (pytest.approx(10, abs=1e-3), pytest.approx(10, abs=1e-3))
    assert (lost.upper_mm.value, lost.lower_mm.value) == (pytest.approx(20, abs=1e-3), pytest.approx(0, abs=1e-3))
    assert lost.auroc == 1
    assert lost.confidence_change.value == pytest.approx(-0.05)
    assert late.change_mm.value == pytest.approx(20, abs=1e-3)
    assert late.pa_mpjpe_mm.value == pytest.approx(0, abs=1e-3)
    assert (late.change_mm.low, late.change_mm.high) == (pytest.approx(20, abs=1e-3), pytest.approx(20, abs=1e-3))
    assert turned.mpjpe_mm.value == pytest.approx(0, abs=1e-3)


def test_joints_and_halves_are_those_of_the_datasets_skeleton():
    """EgoCap: the camera is no joint of the body, and a hand is no foot although Ego4View has a foot in its row."""
    data = Moments([4], EGOCAP)

    def answer(frames, rig):
        joints = np.stack([data.truth_m[int(frame[VIEWS[0]][0, 0, 0]) // 10] for frame in frames])
        joints[:, 0] += 9.0
        joints[:, EGOCAP.index("RightFinger")] += (0.0, 0.17, 0.0)
        return joints.astype(np.float32), np.ones(joints.shape[:2], np.float32)

    known = Study(data, choose_clips(data.names, 0), (NoFault(),), VIEWS)
    store = ClipStore(None, {})
    list(known.predict(answer, store))
    (row,) = known.summarise(store)
    assert row.mpjpe_mm.value == pytest.approx(10, abs=1e-3)
    assert row.upper_mm.value == pytest.approx(170 / len(EGOCAP.groups["upper"]), abs=1e-3)
    assert row.lower_mm.value == pytest.approx(0, abs=1e-3)


def test_frames_of_one_rig_share_a_batch_and_pictures_are_read_once():
    data = Moments([6])
    oracle = Oracle(data)
    list(study(data).predict(oracle, ClipStore(None, {})))
    assert [count for count, _ in oracle.calls] == [4] * len(FAULTS)
    assert len({rig for _, rig in oracle.calls}) == 2
    assert len(data.read) == len(set(data.read))
    # 2 … 5 of every view, and what the late camera saw before
    assert set(data.read) == {(i, v) for i in range(2, 6) for v in VIEWS} | {(0, "front_right"), (1, "front_right")}


def test_clips_leave_out_the_frames_that_have_no_history_and_are_spread_evenly():
    names = Moments([10] * 20).names
    assert lengths(names) == {f"anna/{i}": 10 for i in range(20)}
    clips = choose_clips(names, 3)
    assert [list(clip.scored) for clip in clips[:2]] == [[3, 4, 5, 6], [7, 8, 9]]
    assert sum(len(clip.scored) for clip in clips) == 140
    assert clips[2].indices == [13, 14, 15, 16]
    few = choose_clips(names, 3, limit=20)
    assert 16 <= sum(len(clip.scored) for clip in few) <= 20
    places = [int(clip.sequence.split("/")[1]) for clip in few]
    assert (places[0], places[-1]) == (0, 19)
    assert max(np.diff(places)) <= 5
    assert len(choose_clips(names, 3, limit=1)) == 1
    assert choose_clips(names, 3, limit=10**6) == clips
    with pytest.raises(UserError, match="more than 10 frames"):
        choose_clips(names, 10)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    data = Moments([6] * 4)
    whole, known = ClipStore(None, {}), study(data)
    list(known.predict(Oracle(data), whole))
    first = known.predict(Oracle(data), ClipStore(tmp_path, {"weights": "a"}))
    assert (next(first), next(first)) == (1, 2)
    (tmp_path / "clips" / ".000002.npz.0123abcd.npz").write_bytes(b"half")
    oracle = Oracle(data)
    again = ClipStore(tmp_path, {"weights": "a"})
    assert not list((tmp_path / "clips").glob(".*"))
    list(known.predict(oracle, again))
    assert len(oracle.calls) == 2 * len(FAULTS)
    assert known.summarise(again) == known.summarise(whole)


def test_results_of_something_else_are_refused(tmp_path):
    data = Moments([6])
    ClipStore(tmp_path, {**study(data).identity(), "weights": "a"})
    ClipStore(tmp_path, {**study(Moments([6])).identity(), "weights": "a"})
    moved = Moments([6])
    moved.truth_m[5, 0, 0] += 1e-3
    others = {
        "weights": {**study(data).identity(), "weights": "b"},
        "data": {**study(moved).identity(), "weights": "a"},
        "faults": {**study(data, FAULTS[:2]).identity(), "weights": "a"},
    }
    for what, identity in others.items():
        with pytest.raises(UserError, match=f"'{what}' differs"):
            ClipStore(tmp_path, identity)


def test_a_damaged_clip_is_named(tmp_path):
    data = Moments([6])
    store = ClipStore(tmp_path, {})
    list(study(data).predict(Oracle(data), store))
    path = tmp_path / "clips" / "000000.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"000000\.npz is damaged"):
        study(data).summarise(store)


def test_the_interval_of_single_values_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(50, 10, 400)
    estimate = ClusterBootstrap(range(400)).mean(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == (
        pytest.approx(values.mean() - half, abs=0.15),
        pytest.approx(values.mean() + half, abs=0.15),
    )


def test_frames_that_repeat_their_sequence_do_not_narrow_the_interval():
    values = np.random.default_rng(2).normal(0, 1, 30)
    one = ClusterBootstrap(range(30)).mean(values)
    ten = ClusterBootstrap(np.repeat(range(30), 10).tolist()).mean(np.repeat(values, 10))
    assert (ten.low, ten.high) == (pytest.approx(one.low), pytest.approx(one.high))
    alone = ClusterBootstrap(["a"] * 5).mean(np.arange(5.0))
    assert (alone.value, alone.low, alone.high) == (2, None, None)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(150):
        sizes = rng.integers(1, 8, 60)
        clusters = np.repeat(np.arange(60), sizes)
        values = rng.normal(0, 1, 60)[clusters] + rng.normal(0, 1, len(clusters))
        estimate = ClusterBootstrap(clusters.tolist(), trial).mean(values)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 0 <= estimate.high
    assert 0.90 <= held / 150 <= 0.98
