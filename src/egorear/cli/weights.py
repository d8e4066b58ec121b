"""`egorear weights import CKPT --out DIR` (several files of EgoTAP and AG-EgoPose) and `egorear weights list`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from egorear.geometry.rig import Rig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear weights`."""
    actions = parser.add_subparsers(dest="action", required=True)
    importer = actions.add_parser("import", help="turn a published checkpoint into model.safetensors + config.json")
    importer.add_argument(
        "checkpoint",
        type=Path,
        nargs="+",
        help="a Lightning checkpoint of EgoRear or EgoPoseFormer; EgoTAP's three: joint heatmaps, limb heatmaps, "
        "lifter; AG-EgoPose's four: heatmaps, encoder, heatmap embedding, pose decoder, or two, the last three in "
        "one file, prefixed; ActionFormer's for Ego4D, from which the motion encoder can start",
    )
    importer.add_argument("--out", type=Path, required=True, help="folder to write")
    importer.add_argument("--variant", help="which published network it is; see `egorear weights list`")
    actions.add_parser("list", help="the networks that can be built, and the published variants")


def run(args: argparse.Namespace) -> int:
    """Imports a checkpoint or lists the networks."""
    return _list() if args.action == "list" else _import(args.checkpoint, args.out, args.variant)


def named_tensors(path: Path) -> "dict[str, Tensor]":
    """The state dict of a Lightning checkpoint, or of a bare one. Nothing in the file is executed.

    Raises:
        UserError: the file is missing, damaged, no checkpoint, or would have to run code to be read.
    """
    from torch import Tensor

    from egorear.models.checkpoint import read_checkpoint

    content = read_checkpoint(path)
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path} holds no 'state_dict' of named tensors")
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()):
        raise UserError(f"{path}: 'state_dict' must hold named tensors only")
    return state


def _import(checkpoints: list[Path], out: Path, variant: str | None) -> int:
    from egorear.models.pretrained import save_pretrained

    if variant is not None and variant not in _variants():
        raise UserError(f"--variant is '{variant}' but must be one of {', '.join(_variants())}")
    files = [(path, named_tensors(path)) for path in checkpoints]
    if variant is None:
        variant = _guess(files)
    network, rig = _built(variant, files)
    save_pretrained(network, out)
    if rig is not None:  # images of other rigs are re-rendered to the one it was trained on
        rig.save(out / "rig.json")
    print(f"{variant}: {sum(p.numel() for p in network.parameters()):,} parameters written to {out}")
    return 0


def _variants() -> list[str]:
    """What can be imported: whole networks, and parts that are of use by themselves."""
    from egorear.models.official import VARIANTS

    whole = [name for name in VARIANTS if "." not in name]
    return [*whole, "agegopose.heatmap", "actionformer"]


def _guess(files: "list[tuple[Path, dict[str, Tensor]]]") -> str:
    """The network that a checkpoint, or the first of several, belongs to."""
    from egorear.models.agegopose_official import is_actionformer
    from egorear.models.official import guess_variants

    checkpoint, state = files[0]
    if is_actionformer(state):
        return "actionformer"
    try:
        names = guess_variants(state)
        fitting = list(dict.fromkeys(name.partition(".")[0] for name in names))
    except UserError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    if not fitting:
        raise UserError(f"{checkpoint}: its tensors are those of no published network; name the nearest with --variant")
    if len(fitting) > 1:
        raise UserError(f"{checkpoint}: its tensors fit {' and '.join(fitting)} alike; choose one with --variant")
    return names[0] if len(files) == 1 and names[0] in _variants() else fitting[0]


def _built(variant: str, files: "list[tuple[Path, dict[str, Tensor]]]") -> "tuple[nn.Module, Rig | None]":
    """The network and the rig it was trained on, if that is a certain one."""
    from egorear.geometry.rig import egopw, unrealego
    from egorear.models.agegopose_official import actionformer, agegopose_from_official, our_names
    from egorear.models.egotap_official import PARTS, assemble
    from egorear.models.official import OfficialNetwork, from_official

    kinds = _kinds(variant, len(files))
    read = {  # each file by itself, so that what is wrong can be told with its name
        "actionformer": lambda state, _: actionformer(state),
        "agegopose": our_names,
    }.get(variant, from_official)
    parts = {}
    for (path, state), kind in zip(files, kinds, strict=True):
        try:
            parts[kind] = read(state, kind)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    first = next(iter(parts.values()))
    if variant == "actionformer":
        return first, None
    if variant == "agegopose":
        states = (state for _, state in files)
        return agegopose_from_official(dict(zip(kinds, states, strict=True))).network, egopw()
    if variant == "agegopose.heatmap":
        return first.network, egopw()
    if isinstance(first, OfficialNetwork):
        return first.network, first.rig
    networks = {name: part.network for name, part in zip(PARTS, parts.values(), strict=True)}
    return assemble(variant, networks), unrealego() if variant == "egotap" else None


def _kinds(variant: str, count: int) -> list[str]:
    """What each of so many files of a network is, in their order on the command line."""
    from egorear.models.agegopose_official import WHOLE
    from egorear.models.egotap_official import EGOTAP_VARIANTS, PARTS

    ways, needed = [[variant]], "one checkpoint"
    if variant in EGOTAP_VARIANTS:
        ways = [[f"{variant}.{part}" for part in PARTS]]
        needed = "three checkpoints, joint heatmaps, limb heatmaps and lifter"
    elif variant == "agegopose":
        ways = [list(kinds) for kinds in WHOLE]
        needed = " or ".join(f"{len(kinds)} checkpoints ({', '.join(kinds)})" for kinds in WHOLE)
    for kinds in ways:
        if len(kinds) == count:
            return kinds
    raise UserError(f"'{variant}' is {needed}, but {count} were given")


def _list() -> int:
    from egorear.models import MODELS
    from egorear.models.official import VARIANTS

    published = {name: VARIANTS[name] for name in _variants() if name in VARIANTS}
    for title, configs in (
        ("networks", {name: config for name, (config, _) in MODELS.items()}),
        ("published variants, for `egorear weights import --variant`", published),
    ):
        print(f"{title}:")
        for name, config in configs.items():
            print(f"  {name:<24} {config.image_size:>3} px   {', '.join(config.views)}")
    print(f"  {'actionformer':<24} the motion encoder of agegopose alone, for trainings to start from")
    return 0
