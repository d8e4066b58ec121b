"""How large the networks are, and that their costs are counted right."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from egorear.evaluation.cost import LiveBytes, by_part, measure, multiplications
from egorear.geometry.rig import ego4view_syn
from egorear.models import MODELS
from egorear.models.agegopose_official import published_config
from egorear.models.motion_encoder import MotionEncoder


def count(name: str) -> tuple[int, float, dict[str, float]]:
    """Parameters, GMAC and GMAC by part."""
    config, model = MODELS[name]
    network = model(config).eval()
    images = torch.zeros(1, len(config.views), 3, config.image_size, config.image_size)
    rig = ego4view_syn().select(config.views)
    return sum(p.numel() for p in network.parameters()), *multiplications(network, images, rig)


def test_base_has_the_published_parameters_and_multiplications():
    parameters, gmac, parts = count("egorear-base")
    assert parameters == 126_047_857
    assert gmac == pytest.approx(32.2, abs=0.05)
    assert sum(parts.values()) == pytest.approx(gmac, rel=1e-3)


def test_egotap_has_the_published_multiplications():
    parameters, gmac, parts = count("egotap")
    assert parameters == 169_286_843 - 2 * 513_000 - 1_050_624  # without what is never used
    assert gmac == pytest.approx(79.287, abs=0.03)  # the release projects empty cells too
    assert parts == pytest.approx({"estimator": 26.822, "limb estimator": 26.885, "lifter": 25.580}, abs=0.03)


def test_agegopose_has_the_published_multiplications():
    """Measured on the released code, in 10^6 per frame. Work on images is as much for each frame of a window."""
    config, model = MODELS["agegopose"]
    network = model(config).eval().requires_grad_(False)
    gmac, parts = multiplications(network, torch.zeros(1, 1, 3, 256, 256))
    assert sum(parts.values()) == pytest.approx(gmac, rel=1e-6)
    assert 1000 * parts["estimator"] == pytest.approx(3798.73, abs=0.01)
    assert 1000 * parts["static"] == pytest.approx(5338.30 + 0.786, abs=0.01)
    assert 1000 * parts["embedding"] == pytest.approx(152.37, abs=0.01)
    assert 1000 * parts["decoder"] == pytest.approx(13.30, abs=0.01)
    assert torch.backends.mha.get_fastpath_enabled()
    images = gmac - parts["motion"]
    for window, published in ((32, 2.462), (64, 2.638), (128, 2.801)):
        pyramid = MotionEncoder(published_config(window).motion).eval().requires_grad_(False)
        motion = multiplications(pyramid, torch.zeros(1, window, 384))[0] / window
        assert 1000 * motion == pytest.approx(published, rel=0.01)  # masked keys count
        if window == 64:
            assert 1000 * (images + motion) == pytest.approx(9306.1, rel=1e-5)


def test_the_cost_of_a_window_is_shared_out_among_its_frames():
    config, model = MODELS["agegopose-nano"]
    costs = measure({f"{frames}": model(replace(config, window=frames)) for frames in (2, 4)}, batch=3, rounds=1)
    for cost, frames in zip(costs, (2, 4), strict=True):
        assert (cost.window, cost.batch, cost.gflop) == (frames, 3, 2 * cost.gmac)
        assert cost.frames_per_second == pytest.approx(1000 * 3 * frames / cost.median_ms)
        assert set(cost.gmac_of) == {"estimator", "static", "embedding", "motion", "decoder"}
        assert sum(cost.gmac_of.values()) == pytest.approx(cost.gmac)
    short, long = (cost.gmac_of for cost in costs)
    assert all(short[part] == pytest.approx(long[part]) for part in set(short) - {"motion"})
    assert short["motion"] < long["motion"] < 1.01 * short["motion"]  # attention is among more frames
    assert costs[1].peak_mb > costs[0].peak_mb


def test_small_is_small_and_between_the_others():
    sizes = {name: count(f"egorear-{name}")[:2] for name in ("nano", "small", "base")}
    assert sizes["small"][0] <= 20_000_000
    assert sizes["small"][1] <= 12
    assert sizes["nano"][0] < sizes["small"][0] < sizes["base"][0]
    assert 10 * sizes["nano"][1] < sizes["small"][1] < sizes["base"][1] / 3
    assert MODELS["egorear-small"][0].image_size == 256


class Toy(nn.Module):
    """Two parts whose costs are known by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 5, 3, padding=1, bias=False)
        self.lifter = nn.Linear(5, 7)
        self.rest = nn.Linear(7, 11)

    def forward(self, images: torch.Tensor, rig: object) -> torch.Tensor:
        return self.rest(self.lifter(self.encoder(images.flatten(0, 1)).mean(dim=(-2, -1))))


def test_multiplications_of_each_part():
    gmac, parts = multiplications(Toy(), torch.zeros(1, 2, 3, 8, 8), ego4view_syn())
    assert parts == pytest.approx({"estimator": 2e-9 * 64 * 27 * 5, "lifter": 2e-9 * 35})
    assert gmac == pytest.approx(2e-9 * (64 * 27 * 5 + 35 + 77))


def test_a_part_that_runs_twice_counts_twice_and_leaves_no_hook():
    toy, ticks = Toy(), iter(range(100))
    with by_part(toy, lambda: float(next(ticks))) as parts:
        toy(torch.zeros(1, 1, 3, 8, 8), None)
        toy(torch.zeros(1, 1, 3, 8, 8), None)
    assert parts == {"estimator": 2.0, "lifter": 2.0}
    toy(torch.zeros(1, 1, 3, 8, 8), None)
    assert next(ticks) == 8


def test_live_bytes_see_the_highest_moment():
    held = torch.zeros(100)  # 400 bytes
    with LiveBytes([held]) as live:
        first = held + 1  # 800
        second = torch.cat((first, first))  # 1600
        view = second[:3]
        del second, first
        view.add_(1)
        held.clone()  # less than before: 400 + 800 + 400
    assert live.peak == 1600
    with LiveBytes([held]) as live:
        held + 1
        held + 1
    assert live.peak == 800


def test_measured_rounds_and_parts():
    before = torch.get_num_threads()
    costs = measure({name: MODELS[name][1](MODELS[name][0]) for name in ("egorear-nano",)}, rounds=3)
    assert torch.get_num_threads() == before
    (cost,) = costs
    low, high = cost.quartiles_ms()
    assert len(cost.milliseconds) == 3
    assert 0 < low <= cost.median_ms <= high
    assert cost.frames_per_second == pytest.approx(1000 / cost.median_ms)
    assert set(cost.gmac_of) == set(cost.milliseconds_of) == {"estimator", "refiner", "lifter"}
    assert cost.peak_mb > 4 * cost.parameters / 1e6
