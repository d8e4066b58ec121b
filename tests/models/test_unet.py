"""EgoTAP's heatmap estimator: it is the published network, for any number of views, any of them absent."""

from functools import cache

import pytest
import torch
from tests.models import egotap_rule
from torch import Tensor

from egorear.errors import UserError
from egorear.models import unet_official
from egorear.models.official_state import PublishedState
from egorear.models.pretrained import state_difference
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import FAINT, MultiViewUNet, UNetConfig
from egorear.models.unet_official import unet_name

GOLDENS = egotap_rule.goldens()
CLASSIFIER = 513_000  # parameters of the published networks that nothing calls
TINY = UNetConfig(ResNetConfig((6, 8, 10, 12), (1, 1, 1, 1), "light"), skips=(3, 4, 5, 6), widths=(7, 8, 9))
NETS = {"joint_heatmap": 15, "limb_heatmap": 30, "egocap_joint_heatmap": 17, "egocap_limb_heatmap": 34}
TAPS = {  # golden array: (module, strides of channels and space)
    "layer0": ("backbone.relu", 8, 16),
    "layer1": ("backbone.layer1", 8, 8),
    "layer2": ("backbone.layer2", 8, 4),
    "layer3": ("backbone.layer3", 8, 2),
    "layer4": ("backbone.layer4", 16, 1),
    "layer1_1x1": ("skip.0", 16, 8),
    "layer2_1x1": ("skip.1", 16, 4),
    "layer3_1x1": ("skip.2", 12, 2),
    "layer4_1x1": ("skip.3", 32, 1),
    "conv_up3": ("fuse.2", 32, 2),
    "conv_up2": ("fuse.1", 32, 4),
    "conv_up1": ("fuse.0", 32, 8),
}


def tiny(views: int) -> MultiViewUNet:
    """A small network whose normalisations are no longer at their start, where a zero image has zero features."""
    torch.manual_seed(7)
    network = MultiViewUNet(TINY, views, maps=5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
    return network


@cache
def published(net: str) -> dict[str, Tensor]:
    """What a network with the golden weights answers to the golden images: `out`, and the `TAPS` by their names."""
    with torch.device("meta"):
        network = MultiViewUNet(UNetConfig(), views=2, maps=NETS[net])
    ours = PublishedState(egotap_rule.state_dict(net), unet_name).tensors
    for name in unet_official.CLASSIFIER:
        del ours[name]
    assert state_difference(network.state_dict(), ours) == ""
    network.load_state_dict(ours, assign=True)
    found: dict[str, Tensor] = {}
    for name, (module, channels, space) in TAPS.items():

        def keep(_module, _inputs, x, name=name, strides=(channels, space)):
            # Cloned because the next layer may work in place; the first call is the one meant (`relu` has one).
            found.setdefault(name, x[:, :: strides[0], :: strides[1], :: strides[1]].clone())

        network.get_submodule(module).register_forward_hook(keep)
    images = [egotap_rule.normal_input(f"rgb_{side}", (1, 3, 256, 256)) for side in ("left", "right")]
    with torch.no_grad():
        out = network.eval()(torch.stack(images, dim=1))
    assert out.shape == (1, 2, NETS[net], 64, 64)
    return found | {"out": out.flatten(1, 2)}


def test_the_rule_gives_the_values_its_description_lists():
    weights = {
        ("lifter", "pose_mlp.pose_fcs.0.weight"): (-0.0035041634, 0.017913299, 0.0054546255, 1.288766),
        ("lifter", "pos_heatmap_encoder.vit.embeddings.position_embeddings"): (
            *(-0.076250941, -0.086245418, -0.095654443),
            5.718420,
        ),
        ("lifter", "skel_sequential_layer.lstm_custom.layers.0.h2h.weight"): (
            *(-0.20489155, -0.0055455542, -0.091172703),
            154.501801,
        ),
        ("joint_heatmap", "backbone.backbone.layer0.1.running_var"): (0.84439373, 1.413692, 0.8154909, 61.482899),
        ("joint_heatmap", "after_backbone.conv_heatmap.bias"): (-0.0041623898, 0.0010385448, -0.0026628291, 0.163489),
        ("limb_heatmap", "after_backbone.layer3_1x1.0.weight"): (-0.035222411, 0.041777652, -0.019764327, 24.524025),
    }
    for (net, name), (*first, total) in weights.items():
        values = egotap_rule.tensor(net, name, tuple(egotap_rule.entries(net)[name]["shape"]))
        assert values.flatten()[:3].tolist() == pytest.approx(first, rel=1e-7), name
        assert values.double().sum().item() == pytest.approx(total, abs=1e-6), name
    inputs = {
        ("rgb_left", (1, 3, 256, 256), 1.0): (1.8422376, 0.73419517, -1.4379793, -260.23764),
        ("heatmaps", (2, 90, 64, 64), 0.5): (-0.21916223, -0.061962552, 0.21093613, 73.95994),
    }
    for case, (*first, total) in inputs.items():
        values = egotap_rule.normal_input(*case)
        assert values.flatten()[:3].tolist() == pytest.approx(first, rel=1e-7)
        assert values.double().sum().item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("net", "cell", "parameters"),
    [
        ("joint_heatmap", "PU", 36_143_562),
        ("limb_heatmap", "PU", 36_158_952),
        ("egocap_joint_heatmap", "PU", 36_145_614),
        ("egocap_limb_heatmap", "PU", 36_163_056),
        ("egocap_lifter", "PU", 96_938_243),
        ("lifter", "PU", 96_984_329),
        ("lifter", "LSTM", 96_522_249),
        ("lifter", "LSTMSplit", 93_348_617),
        ("lifter", "LSTMNoRel", 93_348_617),
        ("lifter", "None", 92_319_753),
        ("lifter", "NoneNoRel", 92_295_945),
    ],
)
def test_the_rule_knows_every_published_network(net, cell, parameters):
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    sizes = [
        torch.Size(entry["shape"]).numel()
        for name, entry in egotap_rule.entries(net, cell).items()
        if "alias_of" not in entry and not name.endswith(buffers)
    ]
    assert sum(sizes) == parameters


@pytest.mark.parametrize("net", NETS)
def test_answers_as_the_published_network(net):
    stride = 4 if net.startswith("egocap") else 1
    torch.testing.assert_close(published(net)["out"][..., ::stride, ::stride], GOLDENS[f"{net}.out"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", TAPS)
@pytest.mark.parametrize("net", ["joint_heatmap", "limb_heatmap"])
def test_agrees_with_the_published_network_inside(net, name):
    if name[-1].isdigit() and "_" not in name:  # of the encoder: one array per view
        golden = torch.cat([GOLDENS[f"{net}.{name}.{side}"] for side in ("left", "right")])
    else:
        golden = GOLDENS[f"{net}.{name}"]
    torch.testing.assert_close(published(net)[name], golden, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("maps", "parameters"), [(15, 36_143_562 - CLASSIFIER), (30, 36_158_952 - CLASSIFIER)])
def test_is_as_large_as_the_published_network(maps, parameters):
    with torch.device("meta"):
        network = MultiViewUNet(UNetConfig(), views=2, maps=maps)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("views", [1, 2, 3, 4])
def test_any_number_of_views_trains_every_parameter(views):
    network = tiny(views)
    maps = network(torch.randn(2, views, 3, 64, 96))
    assert maps.shape == (2, views, 5, 16, 24)
    assert (maps < 0).any()
    maps.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@torch.no_grad()
def test_every_view_is_drawn_with_what_the_others_see():
    network, images = tiny(3).eval(), torch.randn(1, 3, 3, 64, 64)
    maps = network(images)
    for view in range(3):
        changed = images.clone()
        changed[:, view] += torch.randn(3, 64, 64)
        moved = (network(changed) - maps).flatten(2).abs().amax(dim=-1)
        assert (moved > 1e-3).all()


@torch.no_grad()
def test_an_absent_view_has_no_influence_and_no_maps():
    network, images = tiny(3).eval(), torch.randn(4, 3, 3, 64, 64)
    present = torch.tensor([[True, False, True], [False, True, True], [True, True, True], [False, False, True]])
    maps = network(images, present)
    others = images.clone()
    others[~present] = torch.nan
    assert torch.equal(network(others, present), maps)
    assert not maps[~present].any()
    assert maps[present].flatten(1).any(dim=1).all()
    torch.testing.assert_close(maps[2], network(images)[2])
    assert not torch.equal(maps[0], network(images)[0])


@torch.no_grad()
def test_what_the_decoder_gets_of_an_absent_view_is_zero():
    network = tiny(2).eval()
    seen: list[Tensor] = []
    for skip in network.skip:
        skip.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    network(torch.randn(1, 2, 3, 64, 64), torch.tensor([[True, False]]))
    for features, width in zip(seen, TINY.backbone.widths, strict=True):
        assert features[:, :width].any()
        assert features.shape[1] == 2 * width
        assert not features[:, width:].any()


def test_an_absent_view_disturbs_no_training():
    images, present = torch.randn(2, 2, 3, 64, 64), torch.tensor([[True, False], [True, True]])
    results = []
    for value in (0.0, torch.nan):
        network = tiny(2)
        filled = images.clone()
        filled[~present] = value
        network(filled, present).square().sum().backward()
        results.append([*(p.grad for p in network.parameters()), *network.buffers()])
    for a, b in zip(*results, strict=True):
        assert a is not None
        assert torch.equal(a, b)


def test_starts_at_the_published_scale_and_its_maps_near_zero():
    torch.manual_seed(0)
    network = MultiViewUNet(UNetConfig(widths=(64, 64, 64)), views=2, maps=15)
    convolutions = [
        m for part in (network.skip, network.fuse) for m in part.modules() if isinstance(m, torch.nn.Conv2d)
    ]
    for conv, scale in (*((conv, 1.0) for conv in convolutions), (network.head, FAINT)):
        expected = scale * (2 / conv.weight[0].numel()) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert conv.bias is not None
        assert not conv.bias.any()


def test_published_names_become_ours_and_foreign_ones_stay():
    state = egotap_rule.state_dict("joint_heatmap")
    parallel = {f"module.{name}": tensor for name, tensor in state.items()} | {"optimizer.step": torch.ones(1)}
    ours = PublishedState(parallel, unet_name).tensors
    with torch.device("meta"):
        expected = MultiViewUNet(UNetConfig(), views=2, maps=15).state_dict()
    assert set(ours) == {*expected, *unet_official.CLASSIFIER, "optimizer.step"}
    assert ours["backbone.conv1.weight"] is state["backbone.backbone.layer0.0.weight"]
    assert "'optimizer.step'" in state_difference(expected, ours)


@pytest.mark.parametrize(
    "alias", ["backbone.backbone.backbone.layer3.0.conv1.weight", "backbone.backbone.backbone.bn1.num_batches_tracked"]
)
def test_copies_that_differ_are_refused(alias):
    names = [alias, egotap_rule.entries("joint_heatmap")[alias]["alias_of"]]
    state = {name: torch.zeros(3) for name in names}
    assert len(PublishedState(state, unet_name).tensors) == 1
    for other in (torch.ones(3), torch.zeros(2), torch.zeros(3).double()):
        with pytest.raises(UserError, match=f"'{names[1]}' differs"):
            PublishedState(state | {names[1]: other}, unet_name)


def test_impossible_networks_and_images_are_refused():
    with pytest.raises(UserError, match=r"'skips' is \(1, 0, 1, 1\)"):
        UNetConfig(skips=(1, 0, 1, 1))
    with pytest.raises(UserError, match=r"'widths' is \(1, 1, -1\)"):
        UNetConfig(widths=(1, 1, -1))
    with pytest.raises(UserError, match=r"'backbone\.widths'"):
        UNetConfig(ResNetConfig(widths=(0, 1, 1, 1)))
    with pytest.raises(UserError, match="0 views"):
        MultiViewUNet(TINY, views=0, maps=5)
    with pytest.raises(UserError, match="0 maps"):
        MultiViewUNet(TINY, views=2, maps=0)
    for shape in ((1, 3, 3, 64, 64), (1, 2, 3, 64, 48), (1, 2, 3, 48, 64)):
        with pytest.raises(UserError, match="multiples of 32"):
            tiny(2)(torch.randn(shape))
