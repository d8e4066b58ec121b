"""The network as a user builds it: any views, any rig, every part trained."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from egorear.errors import UserError
from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.models import MODELS, EgoRear, EgoRearConfig, load_pretrained, save_pretrained
from egorear.models.images import normalize
from egorear.models.lifter import LifterConfig

NANO, _ = MODELS["egorear-nano"]
SMALL = replace(NANO, image_size=64)


def random_images(config: EgoRearConfig, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, len(config.views), 3, config.image_size, config.image_size)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def nano() -> EgoRear:
    torch.manual_seed(0)
    return EgoRear(SMALL).eval()


def test_the_papers_network_has_the_papers_size():
    with torch.device("meta"):
        model = EgoRear(EgoRearConfig())
    assert parameters(model) == 126_047_857
    assert parameters(model.lifter) == 68_611_193
    assert parameters(model.refiners["back_left"]) == 8_231_375
    assert parameters(model.estimators["front"]) == 11_843_279


def test_nano_is_small():
    assert parameters(EgoRear(NANO)) <= 6_000_000


def test_shapes_of_the_output(nano):
    out = nano(random_images(SMALL), ego4view_syn())
    assert out.poses.shape == (2, 4, 16, 3)
    assert out.heatmaps_initial.shape == out.heatmaps_refined.shape == (2, 4, 15, 16, 16)
    assert out.features_initial.shape == out.features_refined.shape == (2, 4, 48, 16, 16)


def test_without_refiner_the_lifter_sees_the_initial_features():
    config = replace(MODELS["egorear-nano-norefiner"][0], image_size=64)
    out = EgoRear(config).eval()(random_images(config), ego4view_syn())
    assert out.poses.shape == (2, 4, 16, 3)
    assert out.heatmaps_refined is None
    assert out.features_refined is None


@pytest.mark.parametrize(
    "views",
    [
        ("front_left", "front_right"),
        ("back_left", "back_right"),
        ("front_left", "front_right", "back_left"),
        ("front_left", "front_right", "back_right"),
        ("back_left",),
    ],
)
@pytest.mark.parametrize("sharing", ["paper", "all"])
def test_any_subset_of_views(views, sharing):
    config = replace(SMALL, views=views, sharing=sharing)
    out = EgoRear(config).eval()(random_images(config), ego4view_syn().select(views))
    assert out.poses.shape == (2, 4, 16, 3)
    assert out.poses.isfinite().all()


@pytest.mark.parametrize("query", ["full", "heatmap", "plain"])
@pytest.mark.parametrize("cross", ["masked", "unmasked", "dense"])
@pytest.mark.parametrize("sharing", ["paper", "all"])
def test_gradient_reaches_every_parameter(query, cross, sharing):
    torch.manual_seed(0)
    refiner = replace(SMALL.refiner, query=query, cross=cross, layers=2)
    config = replace(SMALL, views=SMALL.views[:2], refiner=refiner, sharing=sharing)
    model = EgoRear(config)
    for head in [estimator.head for estimator in model.estimators.values()]:
        torch.nn.init.constant_(head.bias, 1.0)  # confident anchors, or masked attention learns nothing
    for layer in model.modules():
        if type(layer).__name__ == "DeformableAttention":
            torch.nn.init.normal_(layer.offsets.weight, std=0.1)
    rig = ego4view_syn().select(config.views)
    torch.nn.init.constant_(model.lifter.proposal.mlp[-1].bias, 1.0)  # 20 cm in front of the cameras: in view
    out = model(random_images(config), rig)
    maps = (out.heatmaps_initial, out.heatmaps_refined, *out.heatmaps_intermediate)
    (out.poses.square().sum() + out.confidence.sum() + sum(m.square().mean() for m in maps)).backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Softmax ignores what all keys have in common, so a key's bias has no gradient but rounding.
    assert [n for n in untouched if not n.endswith("key.bias")] == []


def test_detached_heatmaps_train_their_regressors_only():
    config = replace(SMALL, detach_heatmaps=True)
    model = EgoRear(config)
    out = model(random_images(config), ego4view_syn())
    out.heatmaps_initial.sum().backward()
    assert model.estimators["all"].head.weight.grad is not None
    assert all(p.grad is None for p in model.estimators["all"].encoder.parameters())


def test_samples_of_a_batch_do_not_touch_each_other(nano):
    images, rig = random_images(SMALL, 3), ego4view_syn()
    with torch.no_grad():
        together = nano(images, rig).poses
        alone = torch.cat([nano(images[i : i + 1], rig).poses for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_batched_extrinsics_equal_shared_ones_and_matter(nano):
    images, rig = random_images(SMALL), ego4view_syn()
    with torch.no_grad():
        shared, batched = nano(images, rig).poses, nano(images, rig.expand(2)).poses
        torch.testing.assert_close(shared, batched)
        moved = rig.T_camera_device.clone()
        moved[:, :3, 3] += 0.2
        assert not torch.allclose(nano(images, rig.with_extrinsics(moved)).poses[:, 1:], shared[:, 1:])


def test_poses_do_not_depend_on_the_resolution_the_rig_is_given_at(nano):
    images, rig = random_images(SMALL), ego4view_syn()
    with torch.no_grad():
        full, small = nano(images, rig).poses, nano(images, rig.resized(64, 64)).poses
    torch.testing.assert_close(full, small, atol=1e-5, rtol=1e-4)


def test_a_rig_of_two_other_cameras():
    lens = KannalaBrandt(
        width=640, height=480, fx=190.0, fy=190.0, cx=320.0, cy=240.0, k1=0.01, max_angle=math.radians(95)
    )
    other = replace(lens, width=512, height=512, cx=250.0, cy=256.0)
    T_camera_device = torch.eye(4).repeat(2, 1, 1)
    T_camera_device[:, 0, 3] = torch.tensor((0.04, -0.04))
    rig = Rig("headset", {"left": lens, "right": other}, T_camera_device)
    config = replace(SMALL, views=rig.views)
    assert EgoRear(config).eval()(random_images(config), rig).poses.isfinite().all()


def test_anchors_are_the_projections_and_outside_means_unseen(nano):
    proposal_cm = torch.tensor([[[0.0, 0.0, 50.0], [0.0, 0.0, -50.0]]])
    _, anchors, in_view = nano.lifter._anchors(proposal_cm, ego4view_syn())
    camera = ego4view_syn().cameras["front_left"]
    pixel, _ = camera.project(torch.tensor([[0.06, 0.0, 0.5]]))
    torch.testing.assert_close(anchors[0, 0, 0], (pixel[0] + 0.5) / 872)
    assert in_view[0, :, 0].all()
    assert not in_view[0, :, 1].any()


def test_bfloat16_autocast_keeps_poses_in_float32(nano):
    images, rig = random_images(SMALL), ego4view_syn()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = nano(images, rig).poses
    with torch.no_grad():
        exact = nano(images, rig).poses
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.02 + 0.05 * exact.abs().max()


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded_is_the_same_network(tmp_path, nano, half):
    save_pretrained(nano, tmp_path, half=half)
    loaded = load_pretrained(tmp_path)
    assert loaded.config == nano.config
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    tolerance = 2e-3 if half else 0
    for name, tensor in nano.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_configurations_survive_json(tmp_path, name):
    config, model_class = MODELS[name]
    if "base" in name:
        config = replace(config, encoder=NANO.encoder, image_size=64, lifter=LifterConfig(proposal="pooled"))
        config = replace(config, refiner=config.refiner and NANO.refiner)
    model = model_class(config)
    save_pretrained(model, tmp_path)
    assert load_pretrained(tmp_path).config == config


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"image_size": 64', '"image_size": 63', "image_size"),
        ('"image_size": 64', '"image_size": "64"', "image_size"),
        ('"image_size": 64', '"picture_size": 64', "picture_size"),
        ('"image_size": 64', '"image_size": 1000000000000', "image_size"),
        ('"ffn_dim": 128', '"ffn_dim": 0', "shape|no network that can be built"),
        ('"heads": 4', '"heads": 0', "no network that can be built"),
        ('"class": "EgoRear"', '"class": []', "'class' is"),
        ('"class": "EgoRear"', '"class": "os.system"', "os.system"),
        ('"proposal": "compact"', '"proposal": "great"', "great"),
        ('"ffn_dim": 128', '"ffn_dim": 64', "shape"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, nano, old, new, named):
    save_pretrained(nano, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=named):
        load_pretrained(tmp_path)


def test_damaged_weights_are_named(tmp_path, nano):
    save_pretrained(nano, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, nano, value):
    broken = copy.deepcopy(nano)
    with torch.no_grad():
        broken.lifter.query[0].bias[1] = value
    save_pretrained(broken, tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors: 'lifter\.query\.0\.bias' holds NaN or infinite values$"):
        load_pretrained(tmp_path)


def test_wrong_input_gets_one_sentence(nano):
    images = random_images(SMALL)
    with pytest.raises(UserError, match="no rig"):
        nano(images)
    with pytest.raises(UserError, match="in this order"):
        nano(images, ego4view_syn().select(tuple(reversed(SMALL.views))))
    with pytest.raises(UserError, match="takes"):
        nano(images[:, :2], ego4view_syn())
    with pytest.raises(UserError, match="next to each other"):
        EgoRearConfig(views=("front_left", "back_left", "front_right"))


def test_normalize_is_imagenets():
    grey = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(normalize(grey)[0, :, 0, 0], expected)
