"""Image mode: a cell is trained from images in the paper's three stages, then judged on the test frames.

Estimators are trained once for each set of cameras that shares one ("front_left+front_right" serves every row with
both front cameras); a row with a single rear camera gets an estimator that never saw the other. Every method then has
equally many steps of the pose stage, as in the paper, whose refiners had a stage of their own before.
EgoTAP's heatmap networks see all cameras of a row at once, so each row has its own; they are frozen while its lifter
learns, and so is EgoRear where its refined heatmaps are lifted, as EgoTAP's authors do it.
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
from egorear.models.egotap import EgoTAP, EgoTAPConfig
from egorear.models.images import normalize
from egorear.models.pretrained import load_pretrained
from egorear.studies.cells import TAP, Cell, CellResult, refiner_of
from egorear.studies.config import Scale, StageLength
from egorear.studies.data import StudyData, spread
from egorear.studies.published import FULL
from egorear.studies.typed import plain
from egorear.training.cli import run
from egorear.training.losses import heatmap_targets

JUDGED_AT_ONCE = 64  # frames
MAPS = {"joint_maps", "limb_maps"}  # the parts of EgoTAP that are trained before its lifter


@dataclass(frozen=True)
class Training:
    """One run of `egorear fit`. init_from: folders of the trainings whose networks it starts from. frozen: parts that
    learn nothing."""

    folder: Path
    network: EgoRearConfig | EgoTAPConfig
    length: StageLength
    seed: int
    init_from: tuple[Path, ...] = ()
    frozen: tuple[str, ...] = ()

    @property
    def work(self) -> float:
        """About how long it takes, in images that pass through the network; a pose stage has more to do."""
        images = self.length.steps * self.length.batch_size * len(self.network.views)
        second = isinstance(self.network, EgoTAPConfig) or self.network.refiner is not None
        return images * (1 + second + (self.network.lifter is not None)) / 2

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
        loss = scale.loss
        if set(self.frozen) >= MAPS:
            loss = replace(loss, heatmap=0.0, joints_2d=0.0, limbs=0.0)
        return {
            "seed_everything": self.seed,
            "model": {
                "egotap" if isinstance(self.network, EgoTAPConfig) else "network": plain(self.network),
                "loss": asdict(loss),
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
    below, pose = folder / "stages" / f"seed_{cell.seed}", scale.stages["pose"]
    if cell.uses_egotap:
        return _of_egotap(cell, scale, below)
    chain = _of_heatmaps(cell, scale, below)
    if cell.method == "egoposeformer_long":
        pose = replace(pose, steps=pose.steps + scale.stages["refiner"].steps)
    last = [each for each in chain if each.folder.name.startswith("refiner.")] or chain
    start = tuple(each.folder for each in last)
    return [*chain, Training(below / f"pose.{cell.name}", _egorear(cell, scale), pose, cell.seed, start)]


def _egorear(cell: Cell, scale: Scale) -> EgoRearConfig:
    """EgoRear with the cell's cameras and refiner."""
    full = scale.base()
    refiner = None if full.refiner is None else refiner_of(cell.method, full.refiner)
    base = replace(full, views=cell.views, refiner=refiner)
    # Without a refiner no second stage has trained deeper heads.
    return base if refiner is not None else replace(base, heads="linear")


def _of_heatmaps(cell: Cell, scale: Scale, below: Path) -> list[Training]:
    """EgoRear's estimators and, where the cell has one, its refiner."""
    base = _egorear(cell, scale)
    estimators = [
        Training(
            below / f"heatmap.{'+'.join(views)}",
            replace(base, views=views, heads="linear", refiner=None, lifter=None, detach_heatmaps=False),
            scale.stages["heatmap"],
            cell.seed,
        )
        for views in base.pairs.values()
    ]
    if base.refiner is None:
        return estimators
    refiner = Training(
        below / f"refiner.{cell.name}",
        replace(base, lifter=None, detach_heatmaps=False),
        scale.stages["refiner"],
        cell.seed,
        tuple(each.folder for each in estimators),
        ("estimators",),
    )
    return [*estimators, refiner]


def _of_egotap(cell: Cell, scale: Scale, below: Path) -> list[Training]:
    """Joint heatmaps, EgoTAP's own or those that EgoRear's cell refines; limb heatmaps; then the lifter."""
    base, stages, views = replace(scale.base_egotap(), views=cell.views), scale.stages, "+".join(cell.views)
    if cell.method == TAP:
        alone = replace(base, limb_maps=None, lifter=None)
        chain = [Training(below / f"heatmap.{views}.joint_maps", alone, stages["heatmap"], cell.seed)]
    else:
        chain = _of_heatmaps(replace(cell, method=FULL), scale, below)
        refined = chain[-1].network
        assert isinstance(refined, EgoRearConfig)
        base = replace(base, joint_maps=None, egorear=refined)
    alone = replace(base, joint_maps=None, egorear=None, lifter=None)
    limbs = Training(below / f"heatmap.{views}.limb_maps", alone, stages["heatmap"], cell.seed)
    start, frozen = (chain[-1].folder, limbs.folder), tuple(sorted(MAPS))
    return [*chain, limbs, Training(below / f"pose.{cell.name}", base, stages["pose"], cell.seed, start, frozen)]


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
    # Estimators of several pairs, and EgoTAP's two networks, are trained side by side: their steps count once.
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
    by_unet = isinstance(network, EgoTAP) and network.config.egorear is None  # has learnt EgoTAP's published targets
    test = data.open_test(scale.base().image_size, views)
    judged = Subset(test, spread(len(test), scale.test_frames))
    frames = DataLoader(judged, JUDGED_AT_ONCE, num_workers=scale.workers, collate_fn=Sample.stack)
    names, parts = [], []
    for batch in frames:
        batch = batch.to(device)
        output = network(normalize(batch.images), batch.rig)
        final = output.heatmaps_initial if output.heatmaps_refined is None else output.heatmaps_refined
        target = heatmap_targets(batch, final.shape[-1], scale.loss.sigma, by_unet)
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
