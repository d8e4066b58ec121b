"""`egorear weights import CKPT --out DIR` (three files of EgoTAP) and `egorear weights list`."""

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
        help="a Lightning checkpoint of EgoRear or EgoPoseFormer, or EgoTAP's three: joint heatmaps, limb heatmaps, "
        "lifter",
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
    from egorear.models.official import VARIANTS
    from egorear.models.pretrained import save_pretrained

    names = [name for name in VARIANTS if "." not in name]
    if variant is not None and variant not in names:
        raise UserError(f"--variant is '{variant}' but must be one of {', '.join(names)}")
    states = [named_tensors(path) for path in checkpoints]
    if variant is None:
        variant = _guess(checkpoints[0], states[0])
    network, rig = _built(variant, list(zip(checkpoints, states, strict=True)))
    save_pretrained(network, out)
    if rig is not None:  # images of other rigs are re-rendered to the one it was trained on
        rig.save(out / "rig.json")
    print(f"{variant}: {sum(p.numel() for p in network.parameters()):,} parameters written to {out}")
    return 0


def _guess(checkpoint: Path, state: "dict[str, Tensor]") -> str:
    """The network that a checkpoint, or the first of several, belongs to."""
    from egorear.models.official import guess_variants

    try:
        fitting = list(dict.fromkeys(name.partition(".")[0] for name in guess_variants(state)))
    except UserError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    if not fitting:
        raise UserError(f"{checkpoint}: its tensors are those of no published network; name the nearest with --variant")
    if len(fitting) > 1:
        raise UserError(f"{checkpoint}: its tensors fit {' and '.join(fitting)} alike; choose one with --variant")
    return fitting[0]


def _built(variant: str, states: "list[tuple[Path, dict[str, Tensor]]]") -> "tuple[nn.Module, Rig | None]":
    """The network and the rig it was trained on, if that is a certain one."""
    from egorear.geometry.rig import unrealego
    from egorear.models.egotap_official import EGOTAP_VARIANTS, PARTS, assemble
    from egorear.models.official import OfficialNetwork, from_official

    whole = variant in EGOTAP_VARIANTS
    parts = [f"{variant}.{part}" for part in PARTS] if whole else [variant]
    if len(states) != len(parts):
        needed = "three checkpoints, joint heatmaps, limb heatmaps and lifter" if whole else "one checkpoint"
        raise UserError(f"'{variant}' is {needed}, but {len(states)} were given")
    networks = []
    for (path, state), part in zip(states, parts, strict=True):
        try:
            networks.append(from_official(state, part))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    if isinstance(networks[0], OfficialNetwork):
        return networks[0].network, networks[0].rig
    rig = unrealego() if variant == "egotap" else None
    return assemble(variant, dict(zip(PARTS, (each.network for each in networks), strict=True))), rig


def _list() -> int:
    from egorear.models import MODELS
    from egorear.models.official import VARIANTS

    published = {name: config for name, config in VARIANTS.items() if "." not in name}
    for title, configs in (
        ("networks", {name: config for name, (config, _) in MODELS.items()}),
        ("published variants, for `egorear weights import --variant`", published),
    ):
        print(f"{title}:")
        for name, config in configs.items():
            print(f"  {name:<24} {config.image_size:>3} px   {', '.join(config.views)}")
    return 0
