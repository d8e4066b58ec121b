"""Image mode: a cell is trained from images in the paper's three stages, then judged on the test frames.

Estimators are trained once for each set of cameras that shares one ("front_left+front_right" serves every row with
both front cameras); a row with a single rear camera gets an estimator that never saw the other. Every method then has
equally many steps of the pose stage, as in the paper, whose refiners had a stage of their own before.
"""

import shutil
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import yaml
from torch.utils.data import DataLoader, Subset

from egorear.datasets.sample import Sample
from egorear.files import read_json, write_json, write_text
from egorear.metrics.errors import joint_errors_mm
from egorear.models.egorear import EgoRearConfig
from egorear.models.images import normalize
from egorear.models.pretrained import load_pretrained
from egorear.studies.cells import Cell, CellResult, refiner_of
from egorear.studies.config import Scale, StageLength
from egorear.studies.data import StudyData, spread
from egorear.studies.typed import plain
from egorear.training.cli import run
from egorear.training.losses import heatmap_targets

JUDGED_AT_ONCE = 64  # frames


@dataclass(frozen=True)
class Training:
    """One run of `egorear fit`. init_from: folders of the trainings whose networks it starts from."""

    folder: Path
    network: EgoRearConfig
    length: StageLength
    seed: int
    init_from: tuple[Path, ...] = ()
    frozen: tuple[str, ...] = ()

    @property
    def work(self) -> float:
        """About how long it takes, in images that pass through the network; a pose stage has more to do."""
        images = self.length.steps * self.length.batch_size * len(self.network.views)
        return images * (1 + (self.network.refiner is not None) + (self.network.lifter is not None)) / 2

    @property
    def seconds(self) -> float:
        """How long it has been trained so far, in all its sessions that were not killed."""
        return float(read_json(self._times)["seconds"]) if self._times.exists() else 0.0

    @property
    def is_done(self) -> bool:
        """Whether the trained network is there."""
        return self._times.exists() and bool(read_json(self._times)["done"])

    @property
    def _times(self) -> Path:
        return self.folder / "time.json"

    def fit(self, scale: Scale, data: StudyData, cache: Path) -> None:
        """Trains, or goes on from the last checkpoint of a run that was stopped.

        Raises:
            UserError: the data are damaged, or the disk is full.
        """
        write_text(self.folder / "fit.yaml", yaml.safe_dump(self._arguments(scale, data, cache), sort_keys=False))
        before = self.seconds
        started = time.monotonic()
        done = False
        try:
            with redirect_stdout(sys.stderr):  # the study's own answer goes to stdout
                run("fit", [f"--config={self.folder / 'fit.yaml'}", "--ckpt_path=last"])
            done = True
        except SystemExit as stop:  # how Lightning ends after Ctrl-C
            raise KeyboardInterrupt from stop
        finally:
            write_json(self._times, {"seconds": before + time.monotonic() - started, "done": done})
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _arguments(self, scale: Scale, data: StudyData, cache: Path) -> dict:
        steps = self.length.steps
        return {
            "seed_everything": self.seed,
            "model": {
                "network": plain(self.network),
                "loss": asdict(scale.loss),
                "optimizer": {"lr": self.length.lr, "weight_decay": self.length.weight_decay},
                "schedule": plain(scale.schedule),
                "frozen": list(self.frozen),
                "init_from": [str(folder / "model") for folder in self.init_from],
                "ema_decay": scale.ema_decay,
                "compile": scale.compile,
                "channels_last": scale.channels_last,
                "seed": self.seed,
            },
            "data": {
                "root": str(data.train),
                "batch_size": self.length.batch_size,
                "workers": scale.workers,
                "in_memory": scale.in_memory,
                "cache": str(cache),
                "seed": self.seed,
            },
            "checkpoint_every_n_steps": max(1, min(500, steps // 4)),
            "trainer": {
                "default_root_dir": str(self.folder),
                "max_steps": steps,
                "precision": scale.precision,
                "limit_val_batches": 0,  # nothing is chosen by validation: the last weights count
                "check_val_every_n_epoch": None,
                "log_every_n_steps": max(1, min(500, steps // 4)),
            },
        }


def trainings(cell: Cell, scale: Scale, folder: Path) -> list[Training]:
    """What a cell consists of, in order; the last is the whole network. folder: of the study."""
    full = scale.base()
    refiner = None if full.refiner is None else refiner_of(cell.method, full.refiner)
    base = replace(full, views=cell.views, refiner=refiner)
    stages, below = scale.stages, folder / "stages" / f"seed_{cell.seed}"
    if base.refiner is None:
        base = replace(base, heads="linear")  # no second stage has trained deeper ones
    estimators = [
        Training(
            below / f"heatmap.{'+'.join(views)}",
            replace(base, views=views, heads="linear", refiner=None, lifter=None, detach_heatmaps=False),
            stages["heatmap"],
            cell.seed,
        )
        for views in base.pairs.values()
    ]
    chain, start, pose = estimators, tuple(each.folder for each in estimators), stages["pose"]
    if base.refiner is not None:
        second = Training(
            below / f"refiner.{cell.name}",
            replace(base, lifter=None, detach_heatmaps=False),
            stages["refiner"],
            cell.seed,
            start,
            ("estimators",),
        )
        chain, start = [*chain, second], (second.folder,)
    elif cell.method == "egoposeformer_long":
        pose = replace(pose, steps=pose.steps + stages["refiner"].steps)
    return [*chain, Training(below / f"pose.{cell.name}", base, pose, cell.seed, start)]


def run_cell(cell: Cell, scale: Scale, data: StudyData, folder: Path) -> CellResult:
    """Trains what is missing of a cell and judges it.

    Raises:
        UserError: data are missing or damaged, or the disk is full.
    """
    chain = trainings(cell, scale, folder)
    for training in chain:
        if not training.is_done:
            print(f"  {training.folder.name}: {training.length.steps} steps", file=sys.stderr, flush=True)
            training.fit(scale, data, folder / "cache")
    # Estimators of several pairs are trained side by side: their steps count once.
    steps = {training.folder.name.split(".")[0]: training.length.steps for training in chain}
    return judge(
        chain[-1].folder / "model", scale, data, sum(steps.values()), sum(training.seconds for training in chain)
    )


@torch.inference_mode()
def judge(model: Path, scale: Scale, data: StudyData, steps: int, seconds: float) -> CellResult:
    """Errors of a trained network on the test frames. steps, seconds: what its training took.

    Raises:
        UserError: the network or a frame cannot be read.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = load_pretrained(model).to(device)
    views = network.config.views
    test = data.open_test(scale.base().image_size, views)
    judged = Subset(test, spread(len(test), scale.test_frames))
    frames = DataLoader(judged, JUDGED_AT_ONCE, num_workers=scale.workers, collate_fn=Sample.stack)
    names, parts = [], []
    for batch in frames:
        batch = batch.to(device)
        output = network(normalize(batch.images), batch.rig)
        final = output.heatmaps_initial if output.heatmaps_refined is None else output.heatmaps_refined
        target = heatmap_targets(batch, final.shape[-1], scale.loss.sigma)
        pose = output.poses[:, -1]
        parts.append(
            [
                joint_errors_mm(pose, batch.joints),
                joint_errors_mm(pose, batch.joints, align=True),
                *((maps - target).square().mean(dim=(2, 3, 4)).double() for maps in (final, output.heatmaps_initial)),
            ]
        )
        names += batch.name
    errors, aligned, final_mse, initial_mse = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return CellResult(names, errors, aligned, final_mse, initial_mse, views, steps, seconds, parameters)
