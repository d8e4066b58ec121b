"""Trains several networks side by side: what differs between them at the end is what they are compared by.

Every one sees the same batches in the same order, and what is the same for all (frames, answers of frozen networks) is
made once a batch. One checkpoint holds all of them.
"""

import copy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.files import remove_leftovers
from egorear.models.checkpoint import read_checkpoint, write_checkpoint
from egorear.models.pretrained import state_difference
from egorear.training.batches import EpochBatches
from egorear.training.optimizer import AdamWConfig, average_weights
from egorear.training.schedule import Schedule

CHECKPOINT_STEPS, TOLD_STEPS = 100, 25
SEEDS_APART = 1_000_003  # training steps are fewer, so that no two seeds share a step's random numbers
Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Recipe:
    """How each of the networks is trained.

    steps, batch_size: of the run. seed: of the networks' starts, the order of the batches and what is random in a step.
    clip_norm: the largest norm of a network's gradient. ema_decay: of the average of its weights (`average_weights`).
    """

    steps: int
    batch_size: int
    seed: int
    optimizer: AdamWConfig = field(default_factory=AdamWConfig)
    schedule: Schedule = field(default_factory=Schedule)
    clip_norm: float = 5.0
    ema_decay: float = 0.998

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"'{name}' is {getattr(self, name)} but must be at least 1")


class Learner(Generic[Network]):
    """One of the networks, with its optimizer, the average of its weights and the CPU seconds it has taken."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self.network, self.recipe, self.seconds = network, recipe, 0.0
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.learned = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = recipe.optimizer.over(self.learned)

    def descend(self, loss: Float[Tensor, ""], rate: float, step: int) -> None:
        """One step of the optimizer at a learning rate, and one of the average."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learned, self.recipe.clip_norm)
        self.optimizer.step()
        average_weights(self.average, self.network, self.recipe.ema_decay, step)

    def state_dict(self) -> dict[str, Any]:
        parts = {"network": self.network, "average": self.average, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()} | {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any], where: str) -> None:
        """Goes on from a state, which stands at `where`.

        Raises:
            UserError: it is of another network, or of one with other frozen parts.
        """
        if problem := state_difference(self.network.state_dict(), state["network"]):
            raise UserError(f"{where} is another network: {problem}")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise UserError(f"{where} has other frozen parts: {error}") from error
        self.seconds = state["seconds"]


class SideBySide(Generic[Network]):
    """Networks that learn from the same batches in the same order.

    Each ends, bit for bit, as if it were trained alone, whatever the others and their order are: torch's random numbers
    are seeded anew before each network is built and before each of its steps (so that all of them drop out alike where
    they are alike). A run that was stopped at any moment, `kill -9` included, loses the steps since its last checkpoint
    and ends as if it had not been. Both hold where every operation repeats, as on one CPU thread.

    names: of the networks. build: makes one of them, untrained, in the mode it is to learn in: parts that are left in
    eval mode keep their statistics, parameters that require no gradient their values. It and the `loss` of `run` may
    not change what networks share, a batch or a common part.
    checkpoint: where the run is kept, every `CHECKPOINT_STEPS` steps and at the end, in a folder of its own. What goes
    on from there is a new object.
    """

    def __init__(
        self, names: Sequence[str], build: Callable[[str], Network], recipe: Recipe, checkpoint: str | Path
    ) -> None:
        self.recipe, self.checkpoint = recipe, Path(checkpoint)
        self.step, self.seconds = 0, 0.0
        self.learners: dict[str, Learner[Network]] = {}
        for name in names:
            torch.manual_seed(recipe.seed)
            self.learners[name] = Learner(build(name), recipe)

    @property
    def averages(self) -> dict[str, Network]:
        """The averages of the networks' weights, in eval mode: what a run is for."""
        return {name: learner.average for name, learner in self.learners.items()}

    def run(
        self,
        examples: int,
        batch_of: Callable[[list[int]], Batch],
        loss: Callable[[Network, Batch], Float[Tensor, ""]],
    ) -> dict[str, Network]:
        """Trains to the end, from the checkpoint if there is one, and returns the averages. Progress goes to stderr.

        examples: how many there are to learn from. batch_of: makes a batch of some of them, by number. loss: of a
        network on a batch.

        Raises:
            UserError: there is no example, the checkpoint is of another run or cannot be read or written, or a loss is
                not finite.
        """
        if examples < 1:
            raise UserError(f"there is nothing to train {', '.join(self.learners)} on: 0 examples")
        remove_leftovers(self.checkpoint.parent)
        if self.checkpoint.exists():
            self._load(examples)
        batches = EpochBatches(examples, self.recipe.batch_size, self.recipe.seed)
        batches.epoch, batches.batch = divmod(self.step, len(batches))
        began = time.monotonic()
        for chosen in islice(chain.from_iterable(repeat(batches)), self.recipe.steps - self.step):
            losses = self._train_on(chosen, batch_of, loss, len(batches))
            self.step += 1
            if self.step % TOLD_STEPS == 0:
                told = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
                _say(f"step {self.step} {time.monotonic() - began:.0f} s: {told}")
            if self.step % CHECKPOINT_STEPS == 0 or self.step == self.recipe.steps:
                write_checkpoint(self.checkpoint, self._state(examples))
        seconds = " ".join(f"{name} {learner.seconds:.0f}" for name, learner in self.learners.items())
        _say(f"CPU seconds: batches {self.seconds:.0f} {seconds}")
        return self.averages

    def _train_on(
        self,
        chosen: list[int],
        batch_of: Callable[[list[int]], Batch],
        loss: Callable[[Network, Batch], Float[Tensor, ""]],
        steps_per_epoch: int,
    ) -> dict[str, float]:
        """One step of every network; their losses."""
        recipe, seed = self.recipe, self.recipe.seed * SEEDS_APART + self.step
        rate = recipe.optimizer.lr * recipe.schedule.factor(self.step, float(steps_per_epoch), float(recipe.steps))
        clock = time.process_time()
        torch.manual_seed(seed)
        batch = batch_of(chosen)
        self.seconds += time.process_time() - clock
        losses = {}
        for name, learner in self.learners.items():
            clock = time.process_time()
            torch.manual_seed(seed)
            value = loss(learner.network, batch)
            if not value.isfinite():
                raise UserError(f"the loss of '{name}' is {value.item()} at step {self.step}: lower 'optimizer.lr'")
            learner.descend(value, rate, self.step)
            losses[name] = value.item()
            learner.seconds += time.process_time() - clock
        return losses

    def _run(self, examples: int) -> dict[str, Any]:
        """What a checkpoint and the run that goes on from it must have in common."""
        return {"names": sorted(self.learners), "examples": examples, **asdict(self.recipe)}

    def _state(self, examples: int) -> dict[str, Any]:
        networks = {name: learner.state_dict() for name, learner in self.learners.items()}
        return {"run": self._run(examples), "step": self.step, "seconds": self.seconds, "networks": networks}

    def _load(self, examples: int) -> None:
        path, stored = self.checkpoint, read_checkpoint(self.checkpoint)
        if not isinstance(run := stored.get("run"), dict):
            raise UserError(f"{path} is no checkpoint of networks trained side by side: it lacks 'run'")
        for name, value in self._run(examples).items():
            if repr(run.get(name)) != repr(value):
                raise UserError(
                    f"{path} is of another run: '{name}' is {run.get(name)!r} there and {value!r} here; "
                    "repeat that run, or remove the file to begin anew"
                )
        self.step, self.seconds = stored["step"], stored["seconds"]
        for name, learner in self.learners.items():
            learner.load_state_dict(stored["networks"][name], f"{path}: 'networks.{name}'")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
