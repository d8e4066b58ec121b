"""Potential and effect of known errors, and what noise alone makes of their regression."""

import dataclasses

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.evaluation.propagation import Samples, sample, summarise
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP
from egorear.poses import Poses
from egorear.viewer.propagation_plot import plot_propagation


class Truth:
    """Poses in memory: 4 frames of each of the recordings "anna/0", "anna/1" …"""

    def __init__(self, frames, skeleton=EGO4VIEW):
        self.skeleton = skeleton
        self.names = [f"anna/{i // 4}/{i % 4}" for i in range(frames)]
        self.skeleton = skeleton
        self.poses = np.random.default_rng(0).uniform(-1, 1, (frames, len(skeleton), 3))

    def joints(self, index):
        return self.poses[index], None


def off_by(truth, errors_mm, skeleton=EGO4VIEW) -> Poses:
    """Each joint as far off as told, in a random direction."""
    ways = np.random.default_rng(1).normal(size=truth.poses.shape)
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    joints = truth.poses + ways * np.broadcast_to(errors_mm, ways.shape[:2])[..., None] / 1000
    return Poses(
        joints=joints.astype(np.float32),
        confidence=np.ones(joints.shape[:2], np.float32),
        frame_names=list(truth.names),
        timestamps=np.arange(len(joints), dtype=np.float64),
        rig_hash="",
        model_id="tiny",
        joint_names=skeleton.names,
    )


def test_known_errors_give_known_potential_and_effect():
    truth = Truth(8)
    errors = np.full((8, 16), 10.0)
    errors[:, EGO4VIEW.index("LeftHand")] = 50  # its parent is off by 10
    better = errors.copy()
    better[:6, EGO4VIEW.index("LeftHand")] = 20
    better[6:, EGO4VIEW.index("LeftHand")] = 60
    report = summarise(sample(off_by(truth, errors), off_by(truth, better), truth))
    hand, all_ = report.joints["LeftHand"], report.overall
    assert hand.potential_mm.value == pytest.approx(40, abs=1e-3)
    assert hand.effect_mm.value == pytest.approx((6 * 30 - 2 * 10) / 8, abs=1e-3)
    assert (hand.effect_positive, hand.potential_positive, hand.both_positive) == (75, 100, 75)
    assert (hand.mean_positive_mm, hand.mean_negative_mm) == (pytest.approx(30, abs=1e-3), pytest.approx(-10, abs=1e-3))
    assert (report.frames, report.recordings, all_.samples, hand.samples) == (8, 2, 8 * 15, 8)
    assert all_.potential_mm.value == pytest.approx(40 / 15, abs=1e-3)
    # All other samples are (0, 0): the line goes through them and the hand's mean.
    assert all_.line.slope.value == pytest.approx(20 / 40, abs=1e-3)
    assert all_.null is all_.crossed is report.corrected is report.given_child is None


def test_joints_go_with_their_own_parents():
    truth = Truth(4)
    errors = np.tile(np.arange(16.0) ** 2, (4, 1))
    samples = sample(off_by(truth, errors), off_by(truth, 0.0), truth)
    assert list(samples.joints) == list(EGO4VIEW.names[1:])
    assert samples.joints["Neck"] == "Head"
    assert list(samples.joints.values()).count("Head") == 1
    assert samples.joints["LeftUpLeg"] == "LeftArm"
    np.testing.assert_allclose(samples.effect[0], np.arange(1, 16) ** 2, atol=1e-3)
    expected = [c * c - EGO4VIEW.parents[c] ** 2 for c in range(1, 16)]
    np.testing.assert_allclose(samples.potential[0], expected, atol=1e-3)


def test_joints_are_found_by_name_and_frames_too():
    truth = Truth(8)
    errors = np.random.default_rng(2).uniform(0, 50, (8, 16))
    one, two = off_by(truth, errors), off_by(truth, errors / 2)
    turned = dataclasses.replace(
        two, joints=two.joints[::-1, ::-1], joint_names=two.joint_names[::-1], frame_names=two.frame_names[::-1]
    )
    assert summarise(sample(one, turned, truth)) == summarise(sample(one, two, truth))


def test_a_root_that_is_not_scored_is_no_parent():
    truth = Truth(4, EGOCAP)
    poses = off_by(truth, 1.0, EGOCAP)
    assert list(sample(poses, poses, truth).joints) == list(EGOCAP.names[2:])


def noisy(signal, noise, seed):
    """Errors of one network: how hard each joint is, and what it got wrong by chance."""
    return signal + np.random.default_rng(seed).normal(0, noise, signal.shape)


def networks(gain=0.0, noise=20.0, shared_gain=0.0, frames=3000) -> Samples:
    """Errors of NP, NP', and a P that takes `gain` of what the parent is truly better, and `shared_gain` of the child's
    own error whatever the parent's. True errors: independent, 100 ± 30."""
    rng = np.random.default_rng(0)
    child, parent = rng.normal(100, 30, (2, frames, 4))
    propagated = child - gain * (child - parent) - shared_gain * child
    return Samples(
        joints={str(m): "root" for m in range(4)},
        recordings=[str(i // 10) for i in range(frames)],
        child=noisy(child, noise, 1),
        parent=noisy(parent, noise, 2),
        propagated=noisy(propagated, noise, 3),
        null_child=noisy(child, noise, 4),
        null_parent=noisy(parent, noise, 5),
    )


def test_noise_alone_makes_the_papers_slope_and_the_corrected_one_shows_nothing():
    report = summarise(networks())
    regression_to_the_mean = 20**2 / (2 * (30**2 + 20**2))
    paper = report.overall.line
    assert paper.slope.value == pytest.approx(regression_to_the_mean, abs=0.01)
    assert paper.slope.low > 0.1  # surely positive, though nothing propagates
    assert paper.p_value < 1e-100
    assert report.overall.null.slope.value == pytest.approx(regression_to_the_mean, abs=0.01)
    crossed = report.overall.crossed.slope
    for each in (crossed, report.corrected, report.given_child.parent, report.given_child.child):
        assert each.value == pytest.approx(0, abs=0.02)
        assert each.low < 0 < each.high


def test_true_propagation_remains():
    report = summarise(networks(gain=0.4))
    # The noise of PP draws the crossed slope towards zero by the share of PP that is no noise.
    share = 30**2 / (30**2 + 20**2)
    assert report.overall.crossed.slope.value == pytest.approx(0.4 * share, abs=0.015)
    assert report.corrected.value == pytest.approx(0.4, abs=0.02)
    assert report.corrected.low < 0.4 < report.corrected.high
    assert report.given_child.parent.value == pytest.approx(-0.4, abs=0.03)
    assert report.given_child.child.value == pytest.approx(0.4, abs=0.03)


def test_the_papers_slope_is_the_sum_of_its_parts():
    for figures in (lambda r: r.overall, lambda r: r.joints["2"]):
        each = figures(summarise(networks(gain=0.2)))
        for name in ("slope.value", "intercept"):
            paper, null, crossed = (
                line.slope.value if name == "slope.value" else line.intercept
                for line in (each.line, each.null, each.crossed)
            )
            assert paper == pytest.approx(null + crossed, abs=1e-9)


def test_an_effect_that_asks_for_no_parent_is_told_apart():
    report = summarise(networks(shared_gain=0.3))
    assert report.corrected.low > 0.1  # PP holds the child's error, so this slope is positive too
    assert report.given_child.parent.low < 0 < report.given_child.parent.high
    assert report.given_child.child.value == pytest.approx(0.3, abs=0.02)


def test_other_frames_are_told_in_one_sentence():
    truth = Truth(8)
    poses = off_by(truth, 10.0)

    def some(names):
        part = [truth.names.index(name) for name in names]
        return dataclasses.replace(
            poses,
            joints=poses.joints[part],
            confidence=poses.confidence[part],
            timestamps=poses.timestamps[part],
            frame_names=list(names),
        )

    less = some(truth.names[:-1])
    with pytest.raises(UserError, match=r"1 frames of the poses without propagation \(first: 'anna/1/3'\) are not in"):
        sample(poses, less, truth)
    with pytest.raises(UserError, match=r"1 frames of the poses with propagation .* those without propagation"):
        sample(less, poses, truth)
    with pytest.raises(UserError, match="not in those of the null"):
        sample(poses, poses, truth, less)
    elsewhere = dataclasses.replace(poses, frame_names=["bob", *truth.names[1:]])
    with pytest.raises(UserError, match=r"1 frames of the poses \(first: 'bob'\) are not in the dataset"):
        sample(elsewhere, elsewhere, truth)
    twice = dataclasses.replace(poses, frame_names=["bob", "bob", *truth.names[2:]])
    with pytest.raises(UserError, match="'bob' occurs more than once in the poses without"):
        sample(twice, poses, truth)
    with pytest.raises(UserError, match="without propagation have no frame"):
        sample(some([]), poses, truth)
    unnamed = dataclasses.replace(poses, joint_names=("Tail", *EGO4VIEW.names[1:]))
    with pytest.raises(UserError, match="no joint 'Head'"):
        sample(poses, unnamed, truth)


@pytest.mark.parametrize("null", [True, False])
def test_the_plot_is_written(tmp_path, null):
    samples = networks(frames=40)
    if not null:
        samples = dataclasses.replace(samples, null_child=None, null_parent=None)
    plot_propagation(samples, summarise(samples), tmp_path / "p.png", "P against NP")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_a_network_against_itself_is_plotted_and_told_without_a_line_to_find(tmp_path):
    truth = Truth(1)
    poses = off_by(truth, 0.0)
    samples = sample(poses, poses, truth, poses)
    samples = dataclasses.replace(samples, child=samples.parent * 0, parent=samples.parent * 0)
    report = summarise(samples)
    assert report.overall.line is None
    assert (report.overall.mean_positive_mm, report.overall.effect_mm.low) == (None, None)
    plot_propagation(samples, report, tmp_path / "p.png")
