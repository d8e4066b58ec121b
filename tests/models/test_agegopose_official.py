"""Published checkpoints of AG-EgoPose: our networks reproduce their outputs and what happens inside; ActionFormer's."""

import re
from functools import cache

import pytest
import torch
from tests.models import agegopose_rule as rule
from torch import Tensor

from egorear.cli.main import main
from egorear.errors import UserError
from egorear.geometry.rig import Rig, egopw
from egorear.models import load_pretrained
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig
from egorear.models.agegopose_official import (
    ACTIONFORMER,
    OfficialAGEgoPose,
    OfficialFrameHeatmaps,
    actionformer,
    guess_agegopose,
    load_actionformer,
    our_names,
    published_config,
)
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig
from egorear.models.official import VARIANTS, from_official

GOLDENS = rule.goldens()
TOLERANCE = 2e-5
PREFIXES = {"encoder": "encoder.", "embedding": "heatmap_embedding.", "decoder": "pose_decoder."}
CASES = {"B32": (2, 32), "C64": (1, 64), "D128": (1, 128)}


@pytest.fixture(scope="module", autouse=True)
def give_the_memory_back():
    yield
    heatmap_network.cache_clear()
    whole.cache_clear()
    rule.tensor.cache_clear()


@cache
def heatmap_network() -> OfficialFrameHeatmaps:
    network = from_official(rule.state_dict("heatmap"), "agegopose.heatmap")
    assert isinstance(network, OfficialFrameHeatmaps)
    return network


@cache
def whole(window: int) -> OfficialAGEgoPose:
    states = {"heatmap": rule.state_dict("heatmap"), "pose": rule.state_dict("pose", window)}
    network = from_official(states, "agegopose")
    assert isinstance(network, OfficialAGEgoPose)
    return network


def agrees(ours: Tensor, golden: str) -> None:
    expected = GOLDENS[golden]
    within = min(TOLERANCE, 1e-3 * expected.std().item())
    torch.testing.assert_close(ours, expected, rtol=0, atol=within, msg=lambda text: f"{golden}: {text}")


def shapes_only(net: str, window: int = 32, part: str = "") -> dict[str, Tensor]:
    """A published state dict without memory behind its tensors."""
    return {name: tensor.to("meta") for name, tensor in rule.state_dict(net, window, part).items()}


def ego4d() -> dict[str, Tensor]:
    """The state dict of the ActionFormer checkpoint that the release starts from."""
    return {f"module.{name}": tensor for name, tensor in rule.state_dict("pose", 128, part=ACTIONFORMER).items()}


@torch.no_grad()
def test_heatmaps_agree_with_the_published_network_layer_by_layer():
    official, seen = heatmap_network(), {}
    net = official.network.heatmap_net
    for name, module in {
        "layer0": net.backbone.relu,
        **{f"layer{i}": getattr(net.backbone, f"layer{i}") for i in range(1, 5)},
        **{f"up{i + 1}": net.fuse[i] for i in range(3)},
    }.items():
        module.register_forward_hook(lambda _module, _inputs, out, name=name: seen.setdefault(name, out.clone()))
    out = official(rule.frames("input.hm_frames", 1, 2))
    agrees(out.heatmaps[0], "A_logits")
    for i in range(5):
        agrees(seen[f"layer{i}"].mean(dim=(-2, -1)), f"A_gap_layer{i}")
    agrees(seen["layer4"][0], "A_layer4_f0")
    agrees(seen["up3"][0], "A_up3_f0")
    agrees(seen["up2"][0, :16], "A_up2_f0_c16")
    agrees(seen["up1"][0, :4], "A_up1_f0_c4")


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_lifting_agrees_with_the_published_network(case):
    batch, window = CASES[case]
    official, pooled = whole(window), []
    assert official.network.config == published_config(window)
    hook = official.network.embedding.project.register_forward_pre_hook(lambda _module, inputs: pooled.append(*inputs))
    static = rule.normal_input(f"input.static.B{batch}T{window}", (batch, window, 384))
    out = official.lift(static, rule.blobs(f"input.heatmaps.B{batch}T{window}", batch, window))
    hook.remove()
    agrees(out.motion_features, f"{case}_Fm")
    agrees(out.poses, f"{case}_pose")
    if case != "D128":
        agrees(out.joint_features[:, : GOLDENS[f"{case}_He"].shape[1]], f"{case}_He")
        agrees(pooled[0][:15].view(15, 64, 4, 4), f"{case}_pool_f0")


@pytest.mark.parametrize(("case", "window"), [("E32", 32), ("F64", 64)])
@torch.no_grad()
def test_single_frames_agree_with_the_published_network(case, window):
    """What belongs to a frame; all frames together are tested where time is no matter (`slow`)."""
    network, seen, few = whole(window).network, {}, 2
    backbone = network.static.backbone
    stages = (backbone.reduce, backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    hooks = [
        stage.register_forward_hook(lambda _module, _inputs, out, i=i: seen.setdefault(i, out.clone()))
        for i, stage in enumerate(stages, 3)
    ]
    found = network.features(rule.frames(f"input.frames.B1T{window}", 1, window)[0, :few])
    for hook in hooks:
        hook.remove()
    agrees(found.heatmap_logits[0], f"{case}_logits_f0")
    for i, features in seen.items():
        agrees(features[0].mean(dim=(-2, -1)), f"{case}_r50gap{i}_f0")
    absolute = found.heatmap_logits.abs().mean(dim=(-2, -1))
    for name, ours in {
        "logits_absmean": absolute,
        "pooled": seen[7].mean(dim=(-2, -1)),
        "static": found.static_features[None],
        "He": found.joint_features[None],
    }.items():
        expected = GOLDENS[f"{case}_{name}"]
        expected = expected[:, :few] if ours.shape[0] == 1 else expected[:few]
        torch.testing.assert_close(ours, expected, rtol=0, atol=TOLERANCE)
    motion = network.motion(GOLDENS[f"{case}_static"])
    agrees(motion, f"{case}_Fm")
    poses = network.decode(found.joint_features[None], motion[:, :few])
    torch.testing.assert_close(poses, GOLDENS[f"{case}_pose"][:, :few], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "window"), [("E32", 32), ("F64", 64)])
@torch.no_grad()
def test_videos_agree_with_the_published_network(case, window):
    out = whole(window)(rule.frames(f"input.frames.B1T{window}", 1, window))
    agrees(out.motion_features, f"{case}_Fm")
    agrees(out.joint_features[:, :4], f"{case}_He")
    agrees(out.poses, f"{case}_pose")


def test_files_of_single_modules_are_the_same_network():
    states = {kind: rule.state_dict("pose", 64, part=prefix) for kind, prefix in PREFIXES.items()}
    parts = from_official({"heatmap": rule.state_dict("heatmap"), **states}, "agegopose").network
    assert parts.config == published_config(64)
    one = whole(64).network.state_dict()
    assert all(torch.equal(tensor, one[name]) for name, tensor in parts.state_dict().items())


@pytest.mark.parametrize("window", [32, 64, 128])
def test_nothing_is_left_over_and_nothing_is_missing(window):
    """Of the published names each is used, or is one that no answer depends on (NaN in the golden weights)."""
    ours = our_names(rule.state_dict("pose", window), "pose")
    assert not any(tensor.isnan().any() for tensor in ours.values())
    of_pose = [e for e in rule.ENTRIES["pose"].values() if not e.get("unused") and window in e.get("used", [window])]
    assert len(ours) == len(of_pose)
    sizes = {32: 48_861_778, 64: 50_790_226, 128: 52_718_674}
    with torch.device("meta"):
        network = AGEgoPose(published_config(window))
    assert sum(p.numel() for p in network.parameters()) == sizes[window]
    # What nobody calls may also be missing: the last commit of the release does not save all of it.
    used = {n: t for n, t in rule.state_dict("pose", window).items() if not rule.ENTRIES["pose"][n].get("unused")}
    assert our_names(used, "pose").keys() == ours.keys()


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("heatmap", {"after_backbone.conv_up1.0.bias": None}, r": 'after_backbone\.conv_up1\.0\.bias' is missing"),
        ("heatmap", {"surprise": torch.zeros(1)}, ": 'surprise' is unexpected"),
        ("heatmap", {"after_backbone.conv_heatmap.weight": torch.zeros(16, 64, 1, 1)}, r"\(16, 64, 1, 1\) but must"),
        ("heatmap", {"backbone.backbone.layer0.0.weight": torch.zeros(64, 3, 7, 7)}, "differs from the checkpoint's"),
        ("embedding", {"proj.weight": torch.zeros(128, 576)}, r"shape \(128, 576\) but must have \(128, 1024\)"),
        ("embedding", {"layer_norm.bias": None}, r": 'layer_norm\.bias' is missing"),
        ("decoder", {"joint_queries": torch.zeros(16, 128)}, r"shape \(16, 128\) but must have \(15, 128\)"),
        ("decoder", {"extra.weight": torch.zeros(3)}, r": 'extra\.weight' is unexpected"),
        ("encoder", {"resnet.4.0.conv3.weight": None}, r"'static\.backbone\.layer1\.0\.conv3\.weight' \(our name\) is"),
        ("encoder", {"actionformer_model.channel_projector.weight": None}, "has no 'actionformer_model.channel_proj"),
        (
            "encoder",
            {"actionformer_model.channel_projector.weight": torch.zeros(384, 1152, 1)},
            r"\(384, 1152, 1\) but must have \(384, 1920, 1\) \(32 frames\) or \(384, 2304, 1\) \(64 frames\) or",
        ),
        (
            "encoder",
            {"actionformer_model.model.backbone.branch.1.attn.key.weight": torch.zeros(384, 384, 3)},
            r"'actionformer_model\.model\.backbone\.branch\.1\.attn\.key\.weight' has shape \(384, 384, 3\)",
        ),
        ("encoder", {"actionformer_model.model.backbone.branch.7.ln1.weight": torch.zeros(1, 384, 1)}, "unexpected"),
    ],
)
def test_other_tensors_are_refused_in_one_sentence(kind, changes, message):
    state = rule.state_dict("heatmap") if kind == "heatmap" else rule.state_dict("pose", 32, part=PREFIXES[kind])
    state |= changes
    with pytest.raises(UserError, match=message):
        our_names({name: tensor for name, tensor in state.items() if tensor is not None}, kind)


def test_other_dictionaries_are_refused_in_one_sentence():
    heatmap, pose = shapes_only("heatmap"), shapes_only("pose")
    with pytest.raises(UserError, match=r"several checkpoints: give a dictionary .* \{'heatmap', 'pose'\}"):
        from_official(pose, "agegopose")
    with pytest.raises(UserError, match="several checkpoints"):
        from_official({"heatmap": heatmap}, "agegopose")
    with pytest.raises(UserError, match=r"'agegopose\.heatmap' is one checkpoint"):
        from_official({"heatmap": heatmap, "pose": pose}, "agegopose.heatmap")
    with pytest.raises(UserError, match=r"not the published 'pose' of AG-EgoPose: it has no 'encoder\.action"):
        from_official({"heatmap": heatmap, "pose": rule.state_dict("heatmap")}, "agegopose")


def test_frames_and_features_that_do_not_suit_are_refused_in_one_sentence():
    official = whole(32)
    with pytest.raises(UserError, match="has 48 frames but this motion encoder of 5 levels takes 32, 96, 160"):
        official.lift(torch.zeros(1, 48, 384), torch.zeros(1, 48, 15, 8, 8))
    with pytest.raises(UserError, match=r"must be \(B, T, 384\) and \(B, T, 15, h, w\)"):
        official.lift(torch.zeros(1, 32, 384), torch.zeros(1, 32, 16, 8, 8))
    with pytest.raises(UserError, match=r"\(3, 128, 128\) but this network takes \(3, 256, 256\)"):
        heatmap_network()(torch.zeros(1, 1, 3, 128, 128))


def test_files_are_told_by_their_tensors():
    """Through `guess_variants`: where the heatmap network becomes a folder, below."""
    assert {"agegopose", "agegopose.heatmap"} < set(VARIANTS)
    parallel = {f"module.{name}": tensor for name, tensor in shapes_only("pose", 128).items()}
    assert guess_agegopose(parallel) == ["agegopose"]
    assert guess_agegopose(shapes_only("pose", 32, part="pose_decoder.")) == ["agegopose"]
    assert guess_agegopose(ego4d()) == []


@torch.no_grad()
def test_actionformers_blocks_start_both_forms():
    """The paper's form takes stem and branch, in this order: with the weights of group H there, its answer."""
    blocks = {}
    for i in range(8):
        theirs = f"module.backbone.stem.{i}." if i < 2 else f"module.backbone.branch.{i - 2}."
        blocks |= {
            name.replace(f"paper_branch.{i}.", theirs): t for name, t in rule.block(f"paper_branch.{i}.").items()
        }
    paper = actionformer(ego4d() | blocks).motion.eval()
    static = rule.normal_input("input.static.B2T16", (2, 16, 384))
    agrees(paper(static), "H16_Fm")
    poses = whole(32).network.decode(
        whole(32).network.embedding(rule.blobs("input.heatmaps.B2T16", 2, 16)), paper(static)
    )
    agrees(poses, "H16_pose")
    agrees(paper(rule.normal_input("input.static.B1T64", (1, 64, 384))), "H64_Fm")
    pyramid = MotionEncoder(published_config(64).motion)
    before = pyramid.projector.weight.clone()
    load_actionformer(pyramid, ego4d())
    assert torch.equal(pyramid.projector.weight, before)
    published = whole(64).network.motion.state_dict()
    own = pyramid.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in published.items() if name.startswith("blocks."))


@pytest.mark.parametrize(
    ("changes", "config", "message"),
    [
        ({}, {"width": 192}, r"'backbone\.stem\.0\.ln1\.weight' \(in our layout\) has shape \(384,\) but must"),
        ({}, {"whole": 6}, r"'blocks\.9\.attention\.key\.conv\.weight' \(our name\), .* are missing"),
        ({"backbone.branch.0.ln1.weight": None}, {}, r"'backbone\.branch\.0\.ln1\.weight' is missing"),
        ({"backbone.branch.0.gate": torch.zeros(1)}, {}, r"'backbone\.branch\.0\.gate' is unexpected"),
        ({"video_encoder.weight": torch.zeros(1)}, {}, r"'video_encoder\.weight' is unexpected"),
        ({"backbone.branch.3.mlp.0.weight": torch.zeros(768, 384, 1)}, {}, r"has shape \(768, 384\)"),
    ],
)
def test_other_action_networks_are_refused_in_one_sentence(changes, config, message):
    state = {name.removeprefix("module."): tensor for name, tensor in ego4d().items()} | changes
    with torch.device("meta"):
        encoder = MotionEncoder(MotionEncoderConfig(**config))
    with pytest.raises(UserError, match=message):
        load_actionformer(encoder, {name: tensor for name, tensor in state.items() if tensor is not None})


def small_file(path, state: dict[str, Tensor]) -> None:
    """A checkpoint of the right names and shapes in which each tensor is one number."""
    torch.save({n: torch.tensor(0 if n.endswith("tracked") else 0.5).expand(t.shape) for n, t in state.items()}, path)


def test_the_heatmap_network_becomes_a_folder(tmp_path, capsys):
    torch.save(rule.state_dict("heatmap"), tmp_path / "heatmap.ckpt")
    assert main(["weights", "import", str(tmp_path / "heatmap.ckpt"), "--out", str(tmp_path / "out")]) == 0
    assert "agegopose.heatmap: 13,849,487 parameters" in capsys.readouterr().out
    network = load_pretrained(tmp_path / "out")
    assert network.config == VARIANTS["agegopose.heatmap"]
    assert Rig.load(tmp_path / "out" / "rig.json").hash() == egopw().hash()
    one = heatmap_network().network.state_dict()
    assert all(torch.equal(tensor, one[name]) for name, tensor in network.state_dict().items())


def test_actionformers_checkpoint_becomes_a_folder_that_starts_the_motion_of_a_training(tmp_path):
    # Golden weights are NaN where the released network does not look, as at the stem.
    state = {name: tensor.nan_to_num(nan=0.5) for name, tensor in ego4d().items()}
    torch.save({"epoch": 10, "state_dict": state, "state_dict_ema": {}}, tmp_path / "epoch_010.pth.tar")
    assert main(["weights", "import", str(tmp_path / "epoch_010.pth.tar"), "--out", str(tmp_path / "out")]) == 0
    network = load_pretrained(tmp_path / "out")
    assert {name.partition(".")[0] for name in network.state_dict()} == {"motion"}
    with torch.device("meta"):
        learner = AGEgoPose(AGEgoPoseConfig())
    assert network.motion.state_dict().keys() == learner.motion.state_dict().keys()
    for block, name in ((0, "stem.0"), (2, "branch.0")):
        expected = state[f"module.backbone.{name}.attn.query.weight"][..., 0]
        assert torch.equal(network.motion.blocks[block].attention.query.linear.weight, expected)


@pytest.mark.slow
@pytest.mark.parametrize("files", [2, 4])
def test_files_become_one_folder(tmp_path, files):
    kinds = {"pose": ""} if files == 2 else PREFIXES
    states = [rule.state_dict("heatmap"), *(rule.state_dict("pose", 64, part=prefix) for prefix in kinds.values())]
    paths = [tmp_path / f"{i}.ckpt" for i in range(files)]
    for path, state in zip(paths, states, strict=True):
        torch.save({name: tensor.clone() if tensor.numel() else tensor for name, tensor in state.items()}, path)
    argv = ["weights", "import", *map(str, paths), "--variant", "agegopose", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    network = load_pretrained(tmp_path / "out")
    assert network.config == published_config(64)
    assert Rig.load(tmp_path / "out" / "rig.json").views == network.config.views
    one = whole(64).network.state_dict()
    assert all(torch.equal(tensor, one[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("parts", "variant", "message"),
    [
        (["heatmap", "pose_decoder."], "agegopose", "1.ckpt: the checkpoint is not the published 'pose' of AG-EgoPose"),
        (["heatmap", "encoder.", "pose_decoder.", "heatmap_embedding."], "agegopose", "2.ckpt: .* 'embedding' of"),
        (
            ["heatmap", "encoder.", "pose_decoder."],
            "agegopose",
            r"2 checkpoints \(heatmap, pose\) or 4 .* 3 were given",
        ),
        (["encoder."], "agegopose", "'agegopose' is 2 checkpoints"),
        (["heatmap"], "actionformer", r"0.ckpt: the checkpoint is not ActionFormer's for this motion encoder: 'blocks"),
        (["heatmap"], "agegopose_heatmap", "--variant is 'agegopose_heatmap' but must be one of .*, actionformer"),
        (["heatmap"], "egotap", "three checkpoints"),
        (["encoder."], "agegopose.heatmap", "0.ckpt: the checkpoint is not the published 'heatmap' of AG-EgoPose"),
    ],
)
def test_files_that_do_not_belong_get_one_sentence(tmp_path, capsys, parts, variant, message):
    paths = [tmp_path / f"{i}.ckpt" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        small_file(path, shapes_only("heatmap") if part == "heatmap" else shapes_only("pose", 32, part=part))
    argv = ["weights", "import", *map(str, paths), "--out", str(tmp_path / "out"), "--variant", variant]
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
