"""Networks trained side by side: each ends as it would alone, and as if the run had never been killed."""

import copy
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.runs import PROCESSES, assert_same
from torch import Tensor, nn

import egorear.training.side_by_side as module
from egorear.errors import UserError
from egorear.models.checkpoint import read_checkpoint
from egorear.training.batches import EpochBatches
from egorear.training.optimizer import AdamWConfig
from egorear.training.schedule import Schedule
from egorear.training.side_by_side import Recipe, SideBySide

EXAMPLES = 44  # five batches of 8 an epoch
NAMES = ("narrow", "wide", "dropping", "narrow_dropping")  # two draw in a step, and not as many numbers
RECIPE = Recipe(13, 8, 3, AdamWConfig(0.02, 0.1), Schedule(4, decay="cosine"), clip_norm=0.5, ema_decay=0.3)
CHANCE = torch.Generator().manual_seed(0)
X = torch.randn(EXAMPLES, 6, generator=CHANCE)
Y = X @ torch.randn(6, 3, generator=CHANCE)


def build(name: str) -> nn.Sequential:
    width, share = (8 if "narrow" in name else 16), (0.5 if "dropping" in name else 0.0)
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(share), nn.Linear(width, 3))


def half_frozen(name: str) -> nn.Sequential:
    """Its first two layers keep parameters and statistics."""
    network = build(name)
    network[:2].requires_grad_(False).eval()
    return network


def augmented(chosen: list[int]) -> tuple[Tensor, Tensor]:
    return X[chosen] + 0.1 * torch.randn(len(chosen), 6), Y[chosen]


def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.mse_loss(network(batch[0]), batch[1])


def trained(folder: Path, *names: str, recipe: Recipe = RECIPE, build: Callable[[str], nn.Sequential] = build):
    """The object after its run."""
    training = SideBySide(names, build, recipe, folder / "last.ckpt")
    training.run(EXAMPLES, augmented, loss)
    return training


def kept(folder: Path) -> dict[str, Any]:
    """What the checkpoint holds, but the time it took."""
    content = read_checkpoint(folder / "last.ckpt")
    for part in (content, *content["networks"].values()):
        del part["seconds"]
    return content


def test_each_ends_as_it_would_alone_whatever_their_order(tmp_path: Path) -> None:
    trained(tmp_path / "together", *NAMES)
    trained(tmp_path / "reversed", *reversed(NAMES))
    together = kept(tmp_path / "together")
    assert_same(together, kept(tmp_path / "reversed"))
    for name in NAMES:
        trained(tmp_path / name, name)
        assert_same(together["networks"][name], kept(tmp_path / name)["networks"][name])
    # Dropout was at work.
    wide, dropping = (together["networks"][name]["network"]["0.weight"] for name in ("wide", "dropping"))
    assert not torch.equal(wide, dropping)


def test_each_is_what_a_plain_loop_would_make_of_it(tmp_path: Path) -> None:
    learner = trained(tmp_path, *NAMES).learners["wide"]
    torch.manual_seed(3)
    network = build("wide")
    average = copy.deepcopy(network)
    matrices, vectors = ([p for p in network.parameters() if (p.ndim > 1) == many] for many in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.02)
    factor = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: RECIPE.schedule.factor(step, 5.0, 13.0))
    order = EpochBatches(EXAMPLES, 8, seed=3)
    for step, chosen in enumerate([*order, *order, *order][:13]):
        torch.manual_seed(3 * 1_000_003 + step)
        batch = augmented(chosen)
        optimizer.zero_grad()
        loss(network, batch).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        factor.step()
        decay = min(0.3, (1 + step) / (10 + step))
        for mean, tensor in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            mean.lerp_(tensor, 1 - decay) if mean.is_floating_point() else mean.copy_(tensor)
    assert_same(learner.network.state_dict(), network.state_dict())
    assert_same(learner.average.state_dict(), average.state_dict())


def test_the_loss_falls_and_progress_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = replace(RECIPE, steps=300, ema_decay=0.9, clip_norm=5.0)
    training = trained(tmp_path, "narrow", "wide", recipe=recipe)
    for name, average in training.averages.items():
        assert not average.training
        torch.manual_seed(3)
        assert loss(average, (X, Y)) < 0.1 * loss(build(name).eval(), (X, Y))
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("step 25 ")
    assert told[0].split(": ")[1].split()[::2] == ["narrow", "wide"]
    assert told[-1].split()[::2] == ["CPU", "batches", "narrow", "wide"]
    assert all(learner.seconds > 0 for learner in training.learners.values())


def test_what_is_frozen_stays(tmp_path: Path) -> None:
    learner = trained(tmp_path, "wide", build=half_frozen).learners["wide"]
    torch.manual_seed(3)
    start = half_frozen("wide")
    for part in (learner.network, learner.average):
        assert_same(part[:2].state_dict(), start[:2].state_dict())
        assert not torch.equal(part[4].weight, start[4].weight)


def run_until(folder: Path, at: tuple[str, int] | None) -> None:
    """A run that is killed: before it makes a batch, in the loss of a network, or while a checkpoint is written."""
    torch.set_num_threads(1)
    module.CHECKPOINT_STEPS = 4
    counts = {"batch": 0, "loss": 0, "saving": 0}

    def counted(event: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            result = function(*args)
            counts[event] += 1
            if at == (event, counts[event]):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    torch.save = counted("saving", torch.save)  # written, but not yet in its place
    training = SideBySide(NAMES, build, RECIPE, folder / "last.ckpt")
    training.run(EXAMPLES, counted("batch", augmented), counted("loss", loss))


def run_apart(folder: Path, at: tuple[str, int] | None = None) -> None:
    process = PROCESSES.Process(target=run_until, args=(folder, at))
    process.start()
    process.join()
    assert process.exitcode == (0 if at is None else -signal.SIGKILL)


def test_killed_again_and_again_it_ends_as_if_it_never_had_been(tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run_apart(whole)
    # Four losses a step; checkpoints after steps 4, 8, 12 and 13.
    for at, step in ((("batch", 2), 0), (("loss", 17), 4), (("saving", 1), 4), (("saving", 2), 8), (("loss", 18), 12)):
        run_apart(resumed, at)
        assert (kept(resumed)["step"] if step else 0) == step
    run_apart(resumed)
    assert_same(kept(whole), kept(resumed))
    assert [path.name for path in resumed.iterdir()] == ["last.ckpt"]  # nor has a half-written one stayed
    # One that is through only answers.
    again = SideBySide(NAMES, build, RECIPE, whole / "last.ckpt").run(EXAMPLES, pytest.fail, pytest.fail)
    for name, average in again.items():
        assert_same(dict(average.state_dict()), dict(kept(whole)["networks"][name]["average"]))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    trained(folder, "narrow", "wide")
    return folder / "last.ckpt"


@pytest.mark.parametrize(
    ("names", "recipe", "build", "examples", "words"),
    [
        (("narrow", "dropping"), RECIPE, build, EXAMPLES, ("'names'", "'dropping'")),
        (("narrow",), RECIPE, build, EXAMPLES, ("'names'",)),
        (("wide", "narrow"), replace(RECIPE, steps=20), build, EXAMPLES, ("'steps'", "13", "20")),
        (("wide", "narrow"), replace(RECIPE, seed=4), build, EXAMPLES, ("'seed'",)),
        (("wide", "narrow"), replace(RECIPE, optimizer=AdamWConfig(0.03)), build, EXAMPLES, ("'optimizer'", "0.03")),
        (("wide", "narrow"), RECIPE, build, EXAMPLES - 1, ("'examples'", "44", "43")),
        (("wide", "narrow"), RECIPE, lambda name: build("narrow"), EXAMPLES, ("'networks.wide'", "(16, 6)", "(8, 6)")),
        (("wide", "narrow"), RECIPE, half_frozen, EXAMPLES, ("'networks.wide'", "frozen")),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    written: Path, names: tuple[str, ...], recipe: Recipe, build: Any, examples: int, words: tuple[str, ...]
) -> None:
    before = written.read_bytes()
    with pytest.raises(UserError) as raised:
        SideBySide(names, build, recipe, written).run(examples, pytest.fail, pytest.fail)
    told = str(raised.value)
    assert all(word in told for word in (str(written), *words)), told
    assert "\n" not in told
    assert written.read_bytes() == before


def test_a_file_that_is_none_of_its_checkpoints_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for content, words in (({"state_dict": {}}, "lacks 'run'"), (None, "not a whole checkpoint")):
        torch.save(content, path) if content else path.write_bytes(b"PK\3\4")
        with pytest.raises(UserError, match=words) as raised:
            trained(tmp_path, "narrow")
        assert str(path) in str(raised.value)


def test_bad_input_is_told(tmp_path: Path) -> None:
    training = SideBySide(("narrow",), build, RECIPE, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="nothing to train narrow on"):
        training.run(0, augmented, loss)
    with pytest.raises(UserError, match="the loss of 'narrow' is nan at step 0"):
        training.run(EXAMPLES, augmented, lambda network, batch: loss(network, batch) * torch.nan)
    with pytest.raises(UserError, match="'batch_size' is 0"):
        replace(RECIPE, batch_size=0)
