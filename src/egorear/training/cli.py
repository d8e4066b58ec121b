"""`egorear fit`, `validate`, `test`: a YAML file, overridden on the command line, to a Trainer run."""

import argparse
import logging
import re
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from egorear.errors import UserError
from egorear.files import check_writable
from egorear.models.agegopose import AGEgoPoseConfig
from egorear.models.egorear import EgoRearConfig
from egorear.models.egotap import EgoTAPConfig
from egorear.models.pretrained import save_pretrained
from egorear.training.checkpoints import RunCheckpoints, SafeCheckpointIO
from egorear.training.data import FrameData
from egorear.training.processes import ends_together
from egorear.training.progress import PlainProgress
from egorear.training.stages import Stage


class StageCLI(LightningCLI):
    """Builds data, stage and trainer from arguments; runs nothing.

    folder: where the run writes, `trainer.default_root_dir`. checkpoint: what --ckpt_path stands for, or None.

    Raises:
        UserError: an argument or a field of the YAML file is missing, unknown or of the wrong kind.
    """

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            Stage,
            FrameData,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"logger": False, "num_sanity_val_steps": 0, "gradient_clip_val": 5.0},
            seed_everything_default=42,
            parser_kwargs={"exit_on_error": False, "prog": "egorear fit"},
            args=args,
            run=False,
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--ckpt_path", type=str | None, default=None,
            help="checkpoint to continue from or to judge; 'last': the newest of this run, if there is one",
        )  # fmt: skip
        parser.add_argument("--checkpoint_every_n_steps", type=int, default=500, help="how often last.ckpt is written")
        for field in ("views", "image_size"):
            networks = (f"model.network.{field}", "model.egotap", "model.agegopose")
            parser.link_arguments(networks, f"data.{field}", compute_fn=_of_the_network(field))
        parser.link_arguments("model.agegopose", "data.window", compute_fn=_window)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            with warnings.catch_warnings():
                # Lightning warns of arguments given beside sys.argv; ours are always given.
                warnings.simplefilter("ignore")
                super().parse_arguments(parser, args)
        except ArgumentError as error:
            told = " ".join(f"{_file_of(error, parser, args)}{_sentence(str(error))}".split())
            raise UserError(told) from error
        except UnicodeDecodeError as error:
            raise UserError(f"the configuration is not a text file: {error}") from error

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:  # jsonargparse's, around what a part of the network that may be null has refused
            raise error.__cause__ if isinstance(error.__cause__, UserError) else error from None

    def before_instantiate_classes(self) -> None:
        self.folder = Path(self.config["trainer"]["default_root_dir"] or "runs")
        self.checkpoint: Path | None = None
        path = self.config["ckpt_path"]
        if path == "last":
            newest = self.folder / "checkpoints" / "last.ckpt"
            self.checkpoint = newest if newest.exists() else None
            _tell(f"continuing from {newest}" if self.checkpoint else f"no {newest} yet: starting anew")
        elif path is not None:
            self.checkpoint = Path(path)
            if not self.checkpoint.is_file():
                raise UserError(f"there is no checkpoint {path}, which --ckpt_path names")
        if self.checkpoint is not None:
            # The checkpoint has it all, and earlier stages may be gone.
            self.config["model"]["init_from"] = self.config["model"]["init_parts"] = ()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer with our checkpoints, CSV log, and plain progress where there is no terminal."""
        config = self.config_init["trainer"]
        folder = self.folder
        judged_by = _judged_by(self.model.network.config)
        callbacks = [
            RunCheckpoints(
                folder / "checkpoints",
                self.config_init["checkpoint_every_n_steps"],
                f"val/{judged_by}",
            ),
            *(config.callbacks or []),
        ]
        terminal = sys.stderr.isatty() and config.enable_progress_bar is not False
        if not terminal:
            callbacks.append(PlainProgress())
        plugins: list[Any] = [SafeCheckpointIO()]
        if SLURMEnvironment.detect():
            # Lightning would save in the middle of a step; `RunCheckpoints` saves after it, and SLURM requeues.
            plugins.append(SLURMEnvironment(auto_requeue=False))
        return super().instantiate_trainer(
            default_root_dir=str(folder),
            callbacks=callbacks,
            logger=CSVLogger(folder, name="logs"),  # a folder for each start, so that resuming deletes nothing
            plugins=plugins,
            use_distributed_sampler=False,  # FrameData shares the frames out
            enable_progress_bar=terminal,
            enable_model_summary=False,
            **kwargs,
        )


def run(name: str, argv: list[str]) -> int:
    """Runs "fit", "validate" or "test" and returns the exit code.

    Raises:
        UserError: bad arguments, data or checkpoints.
    """
    for harmless in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*treespec, LeafSpec.*",
        ".*module\\(s\\) in eval mode.*",  # the average of the weights, and what is frozen
        ".*smaller than the logging interval.*",
        ".*Grad strides do not match bucket view strides.*",  # of 1x1 kernels, where the two are the same
        ".*dataloader is not resumable.*",  # ours is, but Lightning knows only its own way
    ):
        warnings.filterwarnings("ignore", harmless)
    for chatty in ("lightning.pytorch", "lightning.fabric"):  # which accelerators were not found, ranks, seeds, tips
        logging.getLogger(chatty).setLevel(logging.WARNING)
    cli = StageCLI(argv)
    trainer, data = cli.trainer, cli.datamodule
    splits = {"fit": ["train", "validation"], "validate": ["validation"], "test": ["test"]}[name]
    if trainer.limit_val_batches == 0 and name == "fit":
        splits.remove("validation")
    data.check(*splits, ranks=trainer.world_size)
    check_writable(cli.folder)
    with ends_together(trainer):
        try:
            getattr(trainer, name)(cli.model, data, ckpt_path=cli.checkpoint)
        except OSError as error:  # of the log, which Lightning writes: a full disk, a folder that is gone
            raise UserError(f"the run in {cli.folder} stopped, its last checkpoint is whole: {error}") from error
    if name == "fit" and trainer.is_global_zero:
        save_pretrained(cli.model.answer, cli.folder / "model")
        if data.rig is not None:
            data.rig.save(cli.folder / "model" / "rig.json")  # other rigs' images are re-rendered to it
        print(f"trained {trainer.global_step} steps; network in {cli.folder / 'model'}")
    return 0


def _of_the_network(field: str) -> Callable[[Any, Any, Any], Any]:
    """The field of EgoTAP's or AG-EgoPose's configuration where one is given, else of EgoRear's."""

    def chosen(of_network: Any, egotap: Any, agegopose: Any) -> Any:
        # Not built yet: jsonargparse holds the fields in a namespace beside the name of the class.
        other = egotap if agegopose is None else agegopose
        return of_network if other is None else getattr(other.init_args, field)

    return chosen


def _window(agegopose: Any) -> int | None:
    """Frames of a window for a network that looks along time, nothing for others and for those of heatmaps alone."""
    if agegopose is None or agegopose.init_args.decoder is None:
        return None
    return agegopose.init_args.window


def _judged_by(config: EgoRearConfig | EgoTAPConfig | AGEgoPoseConfig) -> str:
    """The figure of the validation by which the best weights are kept."""
    if isinstance(config, AGEgoPoseConfig):
        return "peak_px" if config.decoder is None else "mpjpe_mm"
    if config.lifter is not None:
        return "mpjpe_mm"
    if isinstance(config, EgoTAPConfig):
        if config.egorear is None:
            return "limb_mse" if config.joint_maps is None else "heatmap_mse_initial"
        config = config.egorear
    return "heatmap_mse_initial" if config.refiner is None else "heatmap_mse_refined"


@rank_zero_only
def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


TRIED = ("Does not validate against", "Subtypes:", "Errors:", "Problem with given", "Given value", "Expected a path")


def _sentence(error: str) -> str:
    """What jsonargparse says of a part that may also be left out (null), without the tree of types that it tried: the
    field by its whole path, and what is wrong with it."""
    if "Union subtypes" not in error:
        return error
    keys, reasons = [], []
    for line in error.splitlines():
        text = line.strip().removeprefix("- ")
        if found := re.fullmatch(r'Parser key "(.+)":', text):
            keys.append(found[1])
        elif text and not text.startswith(TRIED) and "NoneType" not in text:
            reasons.append(text)
    return f"'{'.'.join(keys)}': {'; '.join(reasons)}"


def _file_of(error: ArgumentError, parser: LightningArgumentParser, args: list[str]) -> str:
    """ "FILE: " if one of the configuration files leads to the same error by itself, else nothing."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--config", action="append", default=[])
    for path in reader.parse_known_args(args)[0].config:
        try:
            parser.parse_args([f"--config={path}"])
        except ArgumentError as alone:
            if str(alone) == str(error) and "required" not in str(error):
                return f"{path}: "
    return ""
