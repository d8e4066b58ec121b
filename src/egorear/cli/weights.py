"""`egorear weights import CKPT --out DIR` and `egorear weights list`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear weights`."""
    actions = parser.add_subparsers(dest="action", required=True)
    importer = actions.add_parser("import", help="turn a published .ckpt into model.safetensors + config.json")
    importer.add_argument("checkpoint", type=Path, help="a Lightning checkpoint of EgoRear or EgoPoseFormer")
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


def _import(checkpoint: Path, out: Path, variant: str | None) -> int:
    from egorear.models.official import VARIANTS, from_official, guess_variants
    from egorear.models.pretrained import save_pretrained

    if variant is not None and variant not in VARIANTS:
        raise UserError(f"--variant is '{variant}' but must be one of {', '.join(VARIANTS)}")
    state = named_tensors(checkpoint)
    try:
        if variant is None:
            fitting = guess_variants(state)
            if not fitting:
                raise UserError("its tensors are those of no published network; name the nearest with --variant")
            if len(fitting) > 1:
                raise UserError(f"its tensors fit {' and '.join(fitting)} alike; choose one with --variant")
            variant = fitting[0]
        official = from_official(state, variant)
    except UserError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    save_pretrained(official.network, out)
    if official.rig is not None:  # images of other rigs are re-rendered to the one it was trained on
        official.rig.save(out / "rig.json")
    print(f"{variant}: {sum(p.numel() for p in official.network.parameters()):,} parameters written to {out}")
    return 0


def _list() -> int:
    from egorear.models import MODELS
    from egorear.models.official import VARIANTS

    for title, configs in (
        ("networks", {name: config for name, (config, _) in MODELS.items()}),
        ("published variants, for `egorear weights import --variant`", VARIANTS),
    ):
        print(f"{title}:")
        for name, config in configs.items():
            print(f"  {name:<24} {config.image_size:>3} px   {', '.join(config.views)}")
    return 0
