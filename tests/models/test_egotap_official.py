"""Published checkpoints of EgoTAP: our networks reproduce their outputs, what happens inside, and a training step."""

import re
from functools import cache, partial

import pytest
import torch
from tests.models import egotap_rule
from torch import Tensor, nn

from egorear.cli.main import main
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP
from egorear.metrics.errors import joint_errors_mm
from egorear.metrics.procrustes import procrustes_align
from egorear.models import egotap_official, load_pretrained
from egorear.models.egotap import EgoTAP
from egorear.models.egotap_official import (
    CELLS,
    EGOTAP_VARIANTS,
    PARTS,
    OfficialLifter,
    assemble,
    guess_parts,
    lifter_name,
)
from egorear.models.official import VARIANTS, from_official, guess_variants
from egorear.training.losses import bone_cosine

GOLDENS = egotap_rule.goldens()
TOLERANCE = {"rtol": 0, "atol": 2e-5}
# Where ours, cell by cell, stand in the published order, the grid's image row by row.
TOKENS = torch.arange(24**2).view(6, 4, 6, 4).transpose(1, 2).flatten().argsort()


@cache
def base(net: str) -> dict[str, Tensor]:
    """Once for the whole file: a lifter's golden weights are 97 million numbers."""
    return egotap_rule.state_dict(net)


@pytest.fixture(scope="module", autouse=True)
def give_the_memory_back():
    yield
    base.cache_clear()
    inside.cache_clear()


def weights(net: str, cell: str = "PU") -> dict[str, Tensor]:
    """As `egotap_rule.state_dict`, from the tensors there are."""
    made, state = base(net), {}
    for name, entry in egotap_rule.entries(net, cell).items():
        shape = tuple(entry["shape"])
        same = name in made and made[name].shape == shape
        state[name] = made[name] if same else egotap_rule.tensor(net, name, shape)
    return state


def lifter(net: str, name: str, cell: str = "PU") -> OfficialLifter:
    network = from_official(weights(net, cell), f"{'egotap_egocap' if 'egocap' in net else 'egotap'}.{name}")
    assert isinstance(network, OfficialLifter)
    return network


def one_frame(name: str, channels: int) -> Tensor:
    """The first of the two frames of a golden input; in eval mode nothing comes from the other."""
    return egotap_rule.normal_input(name, (2, channels, 64, 64), 0.5)[:1]


def stereo_images() -> Tensor:
    return torch.stack([egotap_rule.normal_input(f"rgb_{side}", (1, 3, 256, 256)) for side in ("left", "right")], dim=1)


def agrees(ours: Tensor, golden: str) -> None:
    expected = GOLDENS[golden]
    torch.testing.assert_close(ours, expected[: len(ours)] if expected.ndim else expected, **TOLERANCE)


@cache
def inside() -> dict[str, Tensor]:
    """What the published lifter computes of the golden maps, under the goldens' names (without subsampling)."""
    official, found = lifter("lifter", "lifter"), {}
    network = official.network

    def watch(module: nn.Module, *names: str) -> None:
        def keep(_module, _inputs, output):
            outputs = output if isinstance(output, tuple) else (output,)
            found.update({name: each.clone() for name, each in zip(names, outputs, strict=True)})

        module.register_forward_hook(keep)

    encoder, unit = network.encoder, network.propagation
    encoder.blocks[0].register_forward_pre_hook(lambda _module, inputs: found.update({"vit.embed": inputs[0]}))
    for i, block in enumerate(encoder.blocks):
        watch(block, f"vit.block{i}")
    watch(encoder.norm, "vit.final_norm")
    watch(encoder.blocks[0].attention.query, "query")
    watch(encoder.blocks[0].attention.key, "key")
    for name, layers in (("pos", encoder.per_map), ("rot", network.limb_encoder.layers)):
        for i in range(3):
            watch(layers[3 * i + 2], f"{name}.fc{i + 1}")
    for i, layer in enumerate(unit.layers, 1):
        watch(layer, f"h{i}", f"c{i}")
    watch(network.joint_head, "pose_mlp")
    watch(network.global_head, "global_mlp")
    with torch.no_grad():
        out = official(egotap_rule.normal_input("heatmaps", (2, 90, 64, 64), 0.5))
    features = {"F_J": out.joint_features, "F_R": out.relation_features, "F_P": out.propagated_features}
    return found | features | {"pose": out.poses}


@pytest.mark.parametrize("name", ["pose", "F_J", "F_R", "F_P", "h1", "c1", "h2", "c2", "pose_mlp", "global_mlp"])
def test_lifter_agrees_with_the_published_network(name):
    agrees(inside()[name], f"lifter.{name}")


@pytest.mark.parametrize("name", ["embed", "block0", "block1", "block2", "final_norm"])
def test_tokens_agree_with_the_published_network(name):
    agrees(inside()[f"vit.{name}"][:, TOKENS][:, ::7, ::32], f"lifter.vit.{name}")


def test_attention_agrees_with_the_published_network():
    q, k = (inside()[name][:, TOKENS].unflatten(-1, (8, -1)).transpose(1, 2) for name in ("query", "key"))
    agrees((q @ k.mT / 128**0.5).softmax(dim=-1)[:, :, ::96, ::16], "lifter.attn0")


@pytest.mark.parametrize(
    ("name", "golden", "stride"),
    [
        ("pos.fc1", "pos.fc1", 32),
        ("pos.fc2", "pos.fc2", 8),
        ("pos.fc3", "k_joint", 1),
        ("rot.fc1", "rot.fc1", 32),
        ("rot.fc2", "rot.fc2", 8),
        ("rot.fc3", "k_limb", 1),
    ],
)
def test_encoders_agree_with_the_published_network(name, golden, stride):
    agrees(inside()[name].unflatten(0, (2, 30))[..., ::stride], f"lifter.{golden}")


@torch.no_grad()
def test_along_the_tree_it_agrees_with_the_network_the_paper_describes():
    out = lifter("lifter", "lifter_tree")(one_frame("heatmaps", 90))
    agrees(out.poses, "lifter_tree.pose")
    agrees(out.propagated_features, "lifter_tree.F_P")


@pytest.mark.parametrize("cell", egotap_rule.CELLS)
@torch.no_grad()
def test_ablations_agree_with_the_published_networks(cell):
    out = lifter("lifter", f"lifter_{cell}", cell)(one_frame("heatmaps", 90))
    agrees(out.poses, f"ablation.{cell}.pose")
    assert (out.relation_features is None) == (cell in ("LSTMNoRel", "NoneNoRel"))


@torch.no_grad()
def test_egocap_agrees_with_the_published_network():
    maps = one_frame("heatmaps_egocap", 102)
    for name in ("lifter", "lifter_tree"):
        out = lifter("egocap_lifter", name)(maps)
        agrees(out.poses, f"egocap_{name}.pose")
        agrees(out.propagated_features, f"egocap_{name}.F_P")
        agrees(out.joint_features, "egocap_lifter.F_J")
        agrees(out.relation_features, "egocap_lifter.F_R")


def test_a_training_step_agrees_with_the_published_network():
    official = lifter("lifter", "lifter").train()
    poses = official(egotap_rule.normal_input("heatmaps_train", (4, 90, 64, 64), 0.5)).poses
    truth = egotap_rule.normal_input("gt_pose_train", (4, 16, 3))
    mpjpe, cosine = (poses - truth).norm(dim=-1).mean(), bone_cosine(poses, truth, EGO4VIEW)
    loss = 0.1 * mpjpe - 0.001 * cosine
    agrees(poses, "train.pose")
    for name, ours in (("mpjpe", mpjpe), ("cos", cosine), ("loss", loss)):
        agrees(ours, f"train.{name}")
    loss.backward()
    gradients = {name: p.grad for name, p in official.network.named_parameters()}
    names = {name: lifter_name(name) for name in base("lifter") if _used(name)}
    norms = egotap_rule.gradient_norms()
    assert {names[name] for name in norms} == set(gradients)
    compared = 0
    for name, norm in norms.items():
        if norm > 1e-7:  # a bias in front of a BatchNorm has none
            assert gradients[names[name]].double().norm().item() == pytest.approx(norm, rel=1e-4), name
            compared += 1
    assert compared == 86
    state = official.network.state_dict()
    for kind in ("pos", "rot"):
        for statistic in ("running_mean", "running_var"):
            name = f"{kind}_heatmap_encoder.fc3.bn.{statistic}"
            agrees(state[names[name]], f"train.{name}")


def _used(name: str) -> bool:
    return "pooler" not in name and "cls_token" not in name


@pytest.mark.parametrize("part", ["joint_heatmap", "limb_heatmap"])
@torch.no_grad()
def test_heatmap_networks_of_egocap_have_the_published_channels(part):
    """UnrealEgo's: below."""
    maps = from_official(base(f"egocap_{part}"), f"egotap_egocap.{part}")(stereo_images()).heatmaps
    agrees(maps[..., ::4, ::4], f"egocap_{part}.out")


@torch.no_grad()
def test_the_three_parts_together_go_from_images_to_the_published_pose():
    parts = {part: from_official(base(part), f"egotap.{part}").network for part in PARTS}
    out = assemble("egotap", parts)(stereo_images())
    agrees(100 * out.poses[:, 0], "e2e.pose")
    agrees(out.heatmaps_initial.flatten(1, 2), "joint_heatmap.out")
    agrees(out.limb_maps.flatten(1, 3), "limb_heatmap.out")


@pytest.mark.slow
def test_three_files_become_one_folder(tmp_path):
    files = [tmp_path / f"best_net_{name}.pth" for name in ("HeatMap", "RotHeatMap", "AutoEncoder")]
    for path, net in zip(files, PARTS, strict=True):
        torch.save(base(net), path)
    assert main(["weights", "import", *map(str, files), "--out", str(tmp_path / "out")]) == 0
    network = load_pretrained(tmp_path / "out")
    assert network.config == EGOTAP_VARIANTS["egotap"]
    assert network.config.lifter.propagation.order == "chain"
    assert Rig.load(tmp_path / "out" / "rig.json").views == network.config.views
    with torch.no_grad():
        agrees(100 * network(stereo_images()).poses[:, 0], "e2e.pose")


@pytest.mark.parametrize(
    ("nets", "variant", "message"),
    [
        (
            PARTS,
            "egotap_egocap",
            "0.pth: the checkpoint is not the published network 'egotap_egocap.joint_heatmap': it",
        ),
        (
            ["joint_heatmap", "lifter", "limb_heatmap"],
            "egotap",
            "1.pth: the checkpoint is not .*: it is 'egotap.lifter' or",
        ),
        (["joint_heatmap", "limb_heatmap"], None, "'egotap' is three checkpoints, .*, but 2 were given"),
        (["lifter"], "egotap.lifter", "--variant is 'egotap.lifter' but must be one of"),
        (PARTS, "syn4", "'syn4' is one checkpoint, but 3 were given"),
    ],
)
def test_files_that_are_not_the_three_get_one_sentence(tmp_path, capsys, nets, variant, message):
    files = [tmp_path / f"{i}.pth" for i in range(len(nets))]
    for path, net in zip(files, nets, strict=True):  # each tensor is one number in the file
        one = {name: torch.tensor(0 if name.endswith("tracked") else 0.0) for name in egotap_rule.entries(net)}
        torch.save({name: one[name].expand(e["shape"]) for name, e in egotap_rule.entries(net).items()}, path)
    named = [] if variant is None else ["--variant", variant]
    assert main(["weights", "import", *map(str, files), "--out", str(tmp_path / "out"), *named]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_part_is_told_by_its_tensors():
    assert guess_variants(base("joint_heatmap")) == ["egotap.joint_heatmap"]
    assert guess_parts(base("egocap_limb_heatmap")) == ["egotap_egocap.limb_heatmap"]
    parallel = {f"module.{name}": tensor for name, tensor in base("lifter").items()}
    assert guess_parts(parallel) == ["egotap.lifter", "egotap.lifter_tree"]
    assert set(EGOTAP_VARIANTS) < set(VARIANTS)


def test_checkpoints_and_maps_of_others_are_refused_in_one_sentence():
    with pytest.raises(
        UserError,
        match=r"'egotap\.limb_heatmap': it is 'egotap\.joint_heatmap', for 'after_backbone\.conv_heatmap\.weight' has",
    ):
        from_official(base("joint_heatmap"), "egotap.limb_heatmap")
    with pytest.raises(UserError, match="'surprise' is unexpected"):
        from_official(base("joint_heatmap") | {"surprise": torch.zeros(1)}, "egotap.joint_heatmap")
    with pytest.raises(UserError, match="three checkpoints"):
        from_official(base("joint_heatmap"), "egotap")
    with torch.device("meta"):
        official = OfficialLifter(EgoTAP(EGOTAP_VARIANTS["egotap"]).lifter)
    with pytest.raises(UserError, match=r"\(1, 102, 64, 64\) but this lifter takes \(B, 90, 64, 64\): 30 joint"):
        official(torch.zeros(1, 102, 64, 64))


@pytest.mark.parametrize(
    ("net", "cell", "variant"),
    [("limb_heatmap", "PU", "limb_heatmap"), ("lifter", "PU", "lifter"), ("lifter", "LSTMNoRel", "lifter_lstmnorel")],
)
def test_every_tensor_must_be_there_in_its_shape_even_those_nobody_reads(net, cell, variant, monkeypatch):
    monkeypatch.setattr(egotap_official, "guess_parts", lambda _state: [])  # a hint, which takes time
    entries = egotap_rule.entries(net, cell)
    one = {name: torch.tensor(0 if name.endswith("tracked") else 0.0) for name in entries}  # in any shape
    state = {name: one[name].expand(entry["shape"]) for name, entry in entries.items()}
    unread = [name for name in state if not _used(name) or ".backbone.fc." in name or "rot_" in name]
    for name in [*unread, *list(state)[::80]]:
        rest = {other: tensor for other, tensor in state.items() if other != name}
        with pytest.raises(UserError, match=r"published network .* (missing|once, not twice)"):
            from_official(rest, f"egotap.{variant}")
        with pytest.raises(UserError, match=r"has shape|differs"):
            from_official(rest | {name: one[name].expand(2, 3)}, f"egotap.{variant}")


def test_metrics_are_the_published_ones():
    truth = egotap_rule.normal_input("metric_gt", (5, 16, 3), 30)
    found = truth + egotap_rule.normal_input("metric_noise", (5, 16, 3), 5)
    close = partial(torch.testing.assert_close, rtol=0, check_dtype=False)
    close(joint_errors_mm(found / 1000, truth / 1000).mean(-1), GOLDENS["metric.mpjpe_per_frame"], atol=2e-5)
    close(joint_errors_mm(found / 1000, truth / 1000).mean(), GOLDENS["metric.mpjpe"], atol=2e-5)
    close(procrustes_align(found, truth), GOLDENS["metric.aligned"], atol=1e-3)
    aligned = joint_errors_mm(found / 1000, truth / 1000, align=True).mean(-1)
    close(aligned, GOLDENS["metric.pa_mpjpe_per_frame"], atol=2e-5)
    mirrored = joint_errors_mm(truth * truth.new_tensor((1, 1, -1)) / 1000, truth / 1000, align=True).mean(-1)
    close(mirrored, GOLDENS["metric.pa_mpjpe_mirrored"], atol=2e-5)
    close(bone_cosine(found, truth, EGO4VIEW), GOLDENS["metric.cos_unrealego"], atol=1e-5)
    with_camera = [
        torch.cat((torch.zeros(5, 1, 3), pose, pose[:, :1] + sign), dim=1) for pose, sign in ((found, 1), (truth, -1))
    ]
    close(bone_cosine(*with_camera, EGOCAP), GOLDENS["metric.cos_egocap"], atol=1e-5)


def test_every_cell_has_a_published_name():
    assert {f"lifter_{name.lower()}" for name in egotap_rule.CELLS} | {"lifter", "lifter_tree"} == set(CELLS)
