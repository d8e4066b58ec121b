"""The stand-in for the image estimator errs as its dataclass says, and in no other way."""

from dataclasses import replace

import pytest
import torch

from egorear.datasets.truth import Visibility
from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS
from egorear.heatmaps import argmax_2d, gaussian_heatmaps
from egorear.studies.noise import LIMB_OF, MIRROR, WRONG_SPREAD, NoiseModel, ViewNoise, detect, draw, true_heatmaps

VIEWS = ("front_left", "front_right", "back_left", "back_right")
FRAMES, JOINTS, SIZE = 3000, len(HEATMAP_JOINTS), 16
NEVER = ViewNoise(hidden_lost=0.0, visible_confused=0.0, hidden_confused=0.0, ghosts=0.0)
HONEST = NoiseModel(front=NEVER, back=NEVER, overconfidence=1.0, limb=0.0, pair=0.0)


@pytest.fixture(scope="module")
def places() -> torch.Tensor:
    """Relative to the image, away from its border, where a heatmap is whole."""
    return 0.3 + 0.4 * torch.rand(FRAMES, 4, JOINTS, 2, generator=torch.Generator().manual_seed(0))


def seen(reason: Visibility) -> torch.Tensor:
    return torch.full((FRAMES, 4, JOINTS), int(reason), dtype=torch.uint8)


def named(name: str) -> int:
    return HEATMAP_JOINTS.index(name)


def test_limbs_and_mirror_images():
    assert LIMB_OF.tolist() == [0] + [1, 2] * 3 + [3, 4] * 4
    assert [HEATMAP_JOINTS[i] for i in MIRROR] == [EGO4VIEW.names[EGO4VIEW.mirror[i + 1]] for i in range(JOINTS)]


def test_true_maps_are_the_targets_of_training(places):
    maps = true_heatmaps(places[:20], seen(Visibility.BODY)[:20], SIZE)
    torch.testing.assert_close(maps, gaussian_heatmaps(places[:20] * SIZE - 0.5, SIZE, SIZE))
    assert not true_heatmaps(places[:20], seen(Visibility.OUTSIDE)[:20], SIZE).any()


@pytest.mark.parametrize("reason", [Visibility.VISIBLE, Visibility.BODY, Visibility.CLOTH, Visibility.OTHER])
def test_spread_and_error_are_as_stated(places, reason):
    noise = replace(HONEST, overconfidence=1.5, scale=2.0)
    found = detect(places, seen(reason), VIEWS, noise, SIZE, seed=1)
    error = (found.places - places) * SIZE
    for views, expected in (((0, 1), noise.front), ((2, 3), noise.back)):
        stated = expected.visible if reason == Visibility.VISIBLE else expected.hidden
        assert found.spreads[:, views].median().item() == pytest.approx(2 * stated, rel=0.03)
        assert found.spreads[:, views].log().std().item() == pytest.approx(noise.spread_sigma, rel=0.03)
        ratio = error[:, views] / found.spreads[:, views][..., None]
        assert ratio.std().item() == pytest.approx(1.5, rel=0.02)
    torch.testing.assert_close(found.peaks, 1 / (1 + found.spreads.square()))


def test_shares_of_lost_confused_and_ghosts(places):
    noise = NoiseModel()
    visible = detect(places, seen(Visibility.VISIBLE), VIEWS, noise, SIZE, seed=2)
    assert (visible.peaks > 0).all()
    assert visible.wrong.mean().item() == pytest.approx(noise.front.visible_confused, abs=0.004)
    hidden = detect(places, seen(Visibility.BODY), VIEWS, noise, SIZE, seed=2)
    for views, expected in (((0, 1), noise.front), ((2, 3), noise.back)):
        lost = (hidden.peaks[:, views] == 0).float().mean().item()
        assert lost == pytest.approx(expected.hidden_lost, abs=0.007)
        assert hidden.wrong[:, views].mean().item() == pytest.approx(expected.hidden_confused, abs=0.007)
    outside = detect(places, seen(Visibility.OUTSIDE), VIEWS, noise, SIZE, seed=2)
    assert (outside.peaks > 0).float().mean().item() == pytest.approx(noise.front.ghosts, abs=0.007)


def test_confusions_take_the_place_of_another_joint_and_their_peaks_straddle_the_threshold(places):
    view = replace(NEVER, hidden_confused=0.5)
    found = detect(places, seen(Visibility.CLOTH), VIEWS, replace(HONEST, front=view, back=view), SIZE, seed=3)
    wrong = found.wrong.bool()
    distance = torch.cdist(found.places, places)
    assert (distance.min(dim=-1).values[wrong] < 1e-6).all()
    assert (found.spreads[wrong] == WRONG_SPREAD).all()
    taken = distance.argmin(dim=-1)
    two_sided = wrong & (torch.arange(JOINTS) != MIRROR)
    mirrored = (taken == MIRROR)[two_sided].float().mean().item()
    assert mirrored == pytest.approx(HONEST.mirrored + (1 - HONEST.mirrored) / (JOINTS - 1), abs=0.02)
    assert not (taken == torch.arange(JOINTS))[wrong].any()
    peaks = found.peaks[wrong]
    assert peaks.min() >= 0.3
    assert peaks.max() <= 0.8
    assert (peaks >= 0.5).float().mean().item() == pytest.approx(0.6, abs=0.03)
    knee, foot = named("LeftLeg"), named("LeftFoot")
    assert (wrong[..., knee] == wrong[..., foot]).all()  # a leg is mistaken as a whole


def test_errors_are_shared_by_limbs_and_by_pairs_of_views(places):
    noise = replace(HONEST, limb=0.4, pair=0.3, spread_sigma=0.0)
    error = detect(places, seen(Visibility.BODY), VIEWS, noise, SIZE, seed=4).places - places

    def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
        return torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1].item()

    hand, elbow, other = named("LeftHand"), named("LeftForeArm"), named("RightHand")
    assert correlation(error[:, :, hand], error[:, :, elbow]) == pytest.approx(0.4, abs=0.03)
    assert correlation(error[:, :, hand], error[:, :, other]) == pytest.approx(0, abs=0.03)
    assert correlation(error[:, 0], error[:, 1]) == pytest.approx(0.3, abs=0.03)
    assert correlation(error[:, 1], error[:, 2]) == pytest.approx(0, abs=0.03)


def test_the_peak_of_a_map_is_where_the_detector_says(places):
    found = detect(places, seen(Visibility.VISIBLE), VIEWS, HONEST, SIZE, seed=5)
    cell, peak = argmax_2d(draw(found, SIZE))
    inside = ((found.places > 0) & (found.places < 1)).all(-1)  # the widest spreads reach beyond the border
    assert (cell + 0.5 - found.places * SIZE)[inside].abs().max() <= 0.501
    assert (peak <= found.peaks).all()
    off = ((cell + 0.5) / SIZE - places).mul(SIZE).norm(dim=-1)
    assert off.median() < 1  # seen joints are found within a cell


def test_honest_maps_cannot_be_improved_by_scaling(places):
    """They are the mean of what is possible: regressed on them, the truth has slope one at every height of the peak."""
    noise = replace(HONEST, scale=2.0)
    found = detect(places, seen(Visibility.BODY), VIEWS, noise, SIZE, seed=6)
    maps, truth = draw(found, SIZE), true_heatmaps(places, seen(Visibility.BODY), SIZE)
    for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0)):
        chosen = (found.peaks > low) & (found.peaks <= high)
        slope = (maps[chosen] * truth[chosen]).sum() / maps[chosen].square().sum()
        assert slope.item() == pytest.approx(1, abs=0.05)


def test_the_same_seed_gives_the_same_errors_and_another_gives_others(places):
    first, again, other = (detect(places, seen(Visibility.BODY), VIEWS, NoiseModel(), SIZE, s) for s in (7, 7, 8))
    assert torch.equal(draw(first, SIZE), draw(again, SIZE))
    assert not torch.equal(first.places, other.places)
