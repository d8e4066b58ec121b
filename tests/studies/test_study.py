"""A study runs to its end, goes on where it was stopped, and refuses what does not belong to it."""

from dataclasses import replace
from pathlib import Path

import pytest

from egorear.errors import UserError
from egorear.models import load_pretrained
from egorear.studies import images, launch
from egorear.studies.cells import METHODS, CellResult
from egorear.studies.config import load_study
from egorear.studies.findings import TITLES
from egorear.studies.launch import Options
from egorear.studies.study import selected

FRONT = "front_left+front_right"


@pytest.fixture
def options(tiny: Path, frames: Path, tmp_path: Path) -> Options:
    return Options(tiny, tmp_path / "study", "smoke", data=frames)


def test_a_study_is_trained_judged_and_told(options: Options) -> None:
    report = launch.launch(options)
    out = options.out
    assert {path.parent.name for path in out.glob("cells/*/seed_1")} == {
        f"{FRONT}.egoposeformer", f"{FRONT}.egoposeformer_long", f"{FRONT}.egorear",
        f"{FRONT}+back_left+back_right.egoposeformer",
    }  # fmt: skip
    assert report.facts.cells == (4, 4)
    assert (report.results.frames, report.results.recordings) == (6, 2)
    # The front estimator is trained once for all cells; each stage starts from the one before.
    stages = out / "stages" / "seed_1"
    assert {path.name for path in stages.glob("heatmap.*")} == {f"heatmap.{FRONT}", "heatmap.back_left+back_right"}
    first, second = (
        load_pretrained(stages / f"{name}" / "model") for name in (f"heatmap.{FRONT}", f"refiner.{FRONT}.egorear")
    )
    trained = second.state_dict()
    assert all((trained[name] == tensor).all() for name, tensor in first.state_dict().items())
    steps = {path.parent.name: CellResult.load(path).steps for path in out.glob("cells/*/seed_1")}
    assert steps[f"{FRONT}.egoposeformer"] == 4
    assert steps[f"{FRONT}.egorear"] == steps[f"{FRONT}.egoposeformer_long"] == 5
    assert not list(out.glob("stages/*/*/checkpoints"))
    assert (out / "report.md").exists()


def test_stopped_anywhere_it_goes_on(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the second cell's pose stage: what was done is not trained again."""
    trained = []
    run = images.run

    def count(name: str, arguments: list[str]) -> int:
        trained.append(Path(arguments[0]).parent.name)
        if len(trained) == 3:
            raise SystemExit(1)  # as Lightning ends after Ctrl-C
        return run(name, arguments)

    monkeypatch.setattr(images, "run", count)
    front = replace(options, cells=f"{FRONT}.*")
    with pytest.raises(KeyboardInterrupt):
        launch.launch(front)
    assert trained == [f"heatmap.{FRONT}", f"pose.{FRONT}.egoposeformer", f"refiner.{FRONT}.egorear"]
    assert launch.launch(front, report_only=True).facts.cells == (1, 4)
    launch.launch(front)
    assert trained[3:] == [f"refiner.{FRONT}.egorear", f"pose.{FRONT}.egorear", f"pose.{FRONT}.egoposeformer_long"]
    launch.launch(front)
    assert len(trained) == 6


def test_controlled_mode_runs_the_same_matrix(options: Options) -> None:
    report = launch.launch(replace(options, mode="controlled"))
    assert report.facts.cells == (4, 4)
    assert report.results.frames == 4
    assert "Controlled mode" in (options.out / "report.md").read_text()
    with pytest.raises(UserError, match="another 'mode'"):
        launch.launch(options)


def test_another_configuration_is_refused(options: Options, frames: Path) -> None:
    with pytest.raises(UserError, match="no cell that is done"):
        launch.launch(options, report_only=True)
    text = options.config.read_text()
    options.config.write_text(text.replace("pose: {steps: 2", "pose: {steps: 3"))
    with pytest.raises(UserError, match=r"study\.json .*another 'scale\.stages\.pose\.steps'"):
        launch.launch(options)
    options.config.write_text(text)
    with pytest.raises(UserError, match="another 'data'"):
        launch.launch(replace(options, test_split="train"))


def test_missing_splits_and_cameras_are_told_before_anything_is_trained(options: Options, frames: Path) -> None:
    with pytest.raises(UserError, match=r"'validation'.*--test-split"):
        launch.launch(replace(options, test_split="validation"))
    with pytest.raises(UserError, match=r"train\.txt"):
        launch.launch(replace(options, out=options.out / "other", data=options.out))
    text = options.config.read_text()
    options.config.write_text(text.replace("back_right]", "back_centre]"))
    with pytest.raises(UserError, match="back_centre"):
        launch.launch(replace(options, out=options.out / "third"))
    assert not list(options.out.rglob("stages"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("steps: 1,", "steps: many,", "'sizes.smoke.stages.refiner.steps' is 'many' but must be a whole number"),
        ("steps: 1,", "steps: 0,", "'stages.refiner.steps' is 0"),
        ("      refiner: {steps: 1, batch_size: 4}\n", "", "'stages' has heatmap, pose"),
        ("train_frames: 8", "frames: 8", "'sizes.smoke.frames' is unknown"),
        ("    test_frames: 6\n", "", "'sizes.smoke.test_frames' is missing"),
        ("egorear-nano", "egorear-huge", "'network' is 'egorear-huge'"),
        ("dim: 8", "dims: 8", "'encoder.dims' is unknown"),
        ("image_size: 32", "image_size: 33", "'image_size' is 33"),
        ("[egoposeformer, egorear]", "[egoposeformer, egotap]", "'rows[0].methods' has 'egotap'"),
        ("row: 2 front", "row: 3 front", "'ablations.row' is '3 front'"),
        ("decay: cosine", "decay: linear", "'sizes.smoke.schedule.decay' is 'linear'"),
        ("views: [front_left, front_right],", "views: front,", "'rows[0].views' is 'front' but must be a list"),
        ("controlled:\n", "controlled: {\n", "not valid YAML"),
        ("pose_steps: 2", "poses: 2", "'controlled.smoke.study.poses' is unknown"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tiny: Path, before: str, after: str, told: str) -> None:
    text = tiny.read_text()
    assert before in text
    tiny.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError) as caught:
        load_study(tiny)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(tiny))
    assert "\n" not in str(caught.value)


def test_cells_are_selected_by_name_or_seed(tiny: Path) -> None:
    cells = load_study(tiny).cells(2)
    assert len(cells) == len(set(cells)) == 8
    assert len(selected(cells, "*/seed_2")) == 4
    assert {cell.method for cell in selected(cells, "*.egorear")} == {"egorear"}
    with pytest.raises(UserError, match="--cells nothing fits none of"):
        selected(cells, "nothing")


def test_the_shipped_study_has_the_papers_matrix() -> None:
    study = load_study(Path(__file__).parents[2] / "configs" / "study" / "rear_views.yaml")
    assert len(study.cells(1)) == 9 + 5  # Table 3, and what Table 5 has beside
    assert list(study.sizes) == ["smoke", "minutes", "hours", "full"]
    assert not any(scale.base().confidence for scale in study.sizes.values())  # a head that the paper's networks lack
    assert all(scale.base().sharing == "paper" for scale in study.sizes.values())
    assert set(TITLES) == set(METHODS)
    base = study.sizes["full"].base()
    assert (base.sharing, base.heads, base.image_size) == ("paper", "deep", 256)
