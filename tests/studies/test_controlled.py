"""The controlled study: the cells' training and judging, on truth that is made here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import egorear
from egorear.datasets.truth import Visibility
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.lifter import LifterConfig
from egorear.models.propagation import PropagationConfig
from egorear.models.refiner import RefinerConfig
from egorear.studies.cells import METHODS, Cell, CellResult
from egorear.studies.controlled import ControlledConfig, _batch, judge, run_cell, train_cell
from egorear.studies.truth_data import HEATMAP_INDEX, Truth, select
from egorear.studies.truth_network import TruthNetwork, TruthNetworkConfig

DEMO = Path(egorear.__file__).parent / "demo_data"
FRONT = ("front_left", "front_right")
SMALL = TruthNetworkConfig(
    dim=8,
    refiner=RefinerConfig(embed=16, heads=2, points=2, ffn_dim=16, own_widths=(8, 8)),
    lifter=LifterConfig(proposal="compact", embed=16, heads=2, points=2, ffn_dim=16, layers=1, unit_cm=20.0),
    egotap=TAPLifterConfig(
        encoder=MapEncoderConfig(patches=2, width=16, heads=2, layers=1, mlp=16, hidden=(16, 16), features=8),
        limb_hidden=(16, 16),
        propagation=PropagationConfig(hidden=16),
        unit_cm=20.0,
    ),
)
BRIEF = ControlledConfig(network=SMALL, refiner_steps=2, pose_steps=2, batch_size=4, warmup_steps=1, bf16=False)


def make(frames: int, seed: int) -> Truth:
    """Poses of a body that stoops and waves, seen by the published rig; half of the legs are hidden."""
    chance = torch.Generator().manual_seed(seed)
    bend = torch.rand(frames, 1, 3, generator=chance) * torch.tensor([1.0, 0.6, 0.8])
    height = torch.linspace(0.2, 1.4, 16)[None, :, None]
    side = torch.tensor([0.0, 0.0] + [-0.2, 0.2] * 7)[None, :, None]
    joints = torch.cat(
        (side.expand(frames, -1, -1), height.expand(frames, -1, -1), 0.2 + 0 * bend[..., :1] + 0 * height), -1
    )
    joints = joints + height * (bend - 0.4) + 0.02 * torch.randn(frames, 16, 3, generator=chance)
    rig = ego4view_syn()
    pixels, in_view = rig.project(joints)
    places = (pixels[:, :, HEATMAP_INDEX] + 0.5) / 872
    visibility = torch.where(in_view[:, :, HEATMAP_INDEX], int(Visibility.VISIBLE), int(Visibility.OUTSIDE))
    hidden = (torch.rand(visibility.shape, generator=chance) < 0.5) & (torch.arange(15) > 6)
    visibility = torch.where(hidden & (visibility == 0), int(Visibility.BODY), visibility).to(torch.uint8)
    rig = replace(rig, T_camera_device=rig.T_camera_device.expand(frames, -1, -1, -1))
    return Truth([f"take_{i // 5}/{i}" for i in range(frames)], joints, places, visibility, rig)


@pytest.fixture(scope="module")
def train() -> Truth:
    return make(200, seed=0)


@pytest.fixture(scope="module")
def test() -> Truth:
    return make(30, seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_whole_result_that_survives_its_file(train, test, method, tmp_path):
    views = FRONT if method == "egorear" else train.rig.views
    told = []
    result = run_cell(Cell(views, method, 0), train, test, BRIEF, lambda *each: told.append(each))
    assert result.steps == len(told) == (2 if method in ("egoposeformer", "egotap") else 4)
    assert result.errors_mm.shape == (30, 16)
    assert result.heatmap_mse.shape == (30, len(views))
    if METHODS[method] is None:
        np.testing.assert_array_equal(result.heatmap_mse, result.initial_heatmap_mse)
    else:
        assert (result.heatmap_mse != result.initial_heatmap_mse).all()
    result.save(tmp_path)
    loaded = CellResult.load(tmp_path)
    np.testing.assert_allclose(loaded.errors_mm, result.errors_mm, rtol=1e-6)
    assert (loaded.names, loaded.views, loaded.parameters) == (test.names, views, result.parameters)


@pytest.mark.parametrize("method", ["egorear", "egotap_egorear"])
def test_a_cell_gives_the_same_result_again(train, test, method):
    first, again = (run_cell(Cell(FRONT, method, 3), train, test, BRIEF) for _ in range(2))
    np.testing.assert_array_equal(first.errors_mm, again.errors_mm)
    np.testing.assert_array_equal(first.heatmap_mse, again.heatmap_mse)


def test_cells_see_the_same_frames_and_noise_whatever_their_cameras_and_method(train, test):
    rows = ((FRONT, "egoposeformer"), (train.rig.views, "egorear"), (FRONT, "egotap"), (train.rig.views, "egotap"))
    two, four, tap_two, tap_four = (_batch(train, Cell(*row, 1), BRIEF, 5) for row in rows)
    assert two.truth.names == four.truth.names == tap_two.truth.names
    assert torch.equal(two.maps, four.maps[:, :2])
    assert torch.equal(two.maps, tap_two.maps)
    assert torch.equal(tap_two.beside, tap_four.beside[:, :2])
    assert two.maps.shape == two.target.shape == (4, 2, 15, 16, 16)
    results = [run_cell(Cell(*row, 1), train, test, BRIEF) for row in rows[:3]]
    for other in (results[1].initial_heatmap_mse[:, :2], results[2].initial_heatmap_mse):
        np.testing.assert_array_equal(results[0].initial_heatmap_mse, other)


def test_egotap_is_given_the_refiner_that_egorear_learns_in_its_stage(train):
    losses = []
    for method in ("egorear", "egotap_egorear"):
        told = []
        config = replace(BRIEF, refiner_steps=4, lr=1e-2)
        train_cell(Cell(FRONT, method, 2), train, config, lambda _step, _steps, loss, told=told: told.append(loss))
        losses.append(told)
    assert losses[0][:4] == losses[1][:4]
    assert losses[0][4:] != losses[1][4:]


def test_cameras_that_a_cell_lacks_have_no_influence(train, test):
    places, visibility = train.places.clone(), train.visibility.clone()
    places[:, 2:], visibility[:, 2:] = float("nan"), int(Visibility.OTHER)
    blind = replace(train, places=places, visibility=visibility)
    for method in ("egorear", "egotap_egorear"):
        seen, unseen = (run_cell(Cell(FRONT, method, 0), each, test, BRIEF) for each in (train, blind))
        np.testing.assert_array_equal(seen.errors_mm, unseen.errors_mm)


@pytest.mark.parametrize("method", ["egoposeformer", "egotap"])
def test_training_learns_poses(train, test, method):
    config = replace(BRIEF, pose_steps=50, batch_size=16, lr=1e-2, warmup_steps=5)
    network, _ = train_cell(Cell(FRONT, method, 0), train, config)
    errors = judge(network, test, FRONT, config)[0]
    mean_pose = 1000 * (test.joints - train.joints.mean(0)).norm(dim=-1).mean().item()
    assert errors.mean() < 0.7 * mean_pose


def test_the_first_stage_learns_maps_and_leaves_the_lifter_alone(train, test):
    config = replace(BRIEF, refiner_steps=40, pose_steps=1, lr=1e-2, warmup_steps=5)
    cell = Cell(FRONT, "egorear", 0)
    network, steps = train_cell(cell, train, config)
    assert steps == 41
    torch.manual_seed(0)
    untrained = TruthNetwork(SMALL, 2).eval()
    error, before = (judge(each, test, FRONT, config)[2].mean() for each in (network, untrained))
    assert error < 0.8 * before
    for name, parameter in untrained.lifter.memory.named_parameters():
        assert (network.lifter.memory.get_parameter(name) - parameter).abs().max() < 0.011  # one step of Adam


def test_truth_of_a_dataset_and_its_cache(tmp_path):
    truth = Truth.load(DEMO, "test", tmp_path)
    assert truth.joints.shape[1:] == (16, 3)
    assert truth.places.shape[1:] == (4, 15, 2)
    inside = ((truth.places > 0) & (truth.places < 1)).all(-1)
    assert inside[truth.visibility != Visibility.OUTSIDE].all()
    pixels, _ = truth.rig.project(truth.joints)
    torch.testing.assert_close((pixels[:, :, 1:] + 0.5) / 872, truth.places, atol=1e-3, rtol=0)
    (cached,) = tmp_path.iterdir()
    assert torch.equal(Truth.load(DEMO, "test", tmp_path).places, truth.places)
    cached.write_bytes(b"no archive")
    assert torch.equal(Truth.load(DEMO, "test", tmp_path).places, truth.places)
    two = select(truth, ("back_left", "front_right"))
    assert torch.equal(two.places, truth.places[:, [2, 1]])
    assert two.rig.views == ("back_left", "front_right")
    assert len(truth.every(5)) == 5
    assert truth.every(10**6) is truth


def test_data_that_do_not_say_why_joints_are_hidden_are_refused(tmp_path):
    shutil.copytree(DEMO, tmp_path / "data")
    for path in (tmp_path / "data").rglob("json_smplx_gendered/*.json"):
        frame = json.loads(path.read_text())
        for joint in frame["joints"].values():
            for field in [name for name in joint if name.endswith(("_visibility", "_visible"))]:
                del joint[field]
        path.write_text(json.dumps(frame))
    with pytest.raises(UserError, match="visibility"):
        Truth.load(tmp_path / "data", "test")


@pytest.mark.parametrize(("field", "value"), [("pose_steps", 0), ("refiner_steps", -1), ("batch_size", 0)])
def test_absurd_configurations_are_refused(field, value):
    with pytest.raises(UserError, match=field):
        replace(BRIEF, **{field: value})
    with pytest.raises(UserError, match="map_size"):
        replace(BRIEF, network=replace(SMALL, map_size=12))
