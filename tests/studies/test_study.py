"""A study runs to its end, goes on where it was stopped, and refuses what does not belong to it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.models import load_pretrained
from egorear.models.egotap_lifter import TAPLifterConfig
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
        f"{FRONT}.egoposeformer", f"{FRONT}.egoposeformer_long", f"{FRONT}.egorear", f"{FRONT}.egotap",
        f"{FRONT}.egotap_egorear", f"{FRONT}+back_left+back_right.egoposeformer",
    }  # fmt: skip
    assert report.facts.cells == (6, 6)
    assert (report.results.frames, report.results.recordings) == (6, 2)
    # The front estimator is trained once for all cells; each stage starts from the one before.
    stages = out / "stages" / "seed_1"
    assert {path.name for path in stages.glob("heatmap.*")} == {
        f"heatmap.{FRONT}", "heatmap.back_left+back_right", f"heatmap.{FRONT}.joint_maps", f"heatmap.{FRONT}.limb_maps",
    }  # fmt: skip
    first, second = (
        load_pretrained(stages / f"{name}" / "model") for name in (f"heatmap.{FRONT}", f"refiner.{FRONT}.egorear")
    )
    trained = second.state_dict()
    assert all((trained[name] == tensor).all() for name, tensor in first.state_dict().items())
    steps = {path.parent.name: CellResult.load(path).steps for path in out.glob("cells/*/seed_1")}
    assert steps[f"{FRONT}.egoposeformer"] == steps[f"{FRONT}.egotap"] == 4
    assert {steps[f"{FRONT}.{method}"] for method in ("egorear", "egoposeformer_long", "egotap_egorear")} == {5}
    assert not list(out.glob("stages/*/*/checkpoints"))
    assert (out / "report.md").exists()


def test_egotap_lifts_frozen_maps_of_its_own_or_those_that_egorear_refines(options: Options) -> None:
    launch.launch(replace(options, cells=f"{FRONT}.egotap*"))
    stages = options.out / "stages" / "seed_1"
    assert [path.name for path in stages.glob("refiner.*")] == [f"refiner.{FRONT}.egorear"]
    names = (
        "heatmap.{}.joint_maps",
        "heatmap.{}.limb_maps",
        "refiner.{}.egorear",
        "pose.{}.egotap",
        "pose.{}.egotap_egorear",
    )
    joints, limbs, refiner, own, refined = (
        load_pretrained(stages / name.format(FRONT) / "model").state_dict() for name in names
    )
    assert joints
    for given, lifted, prefix in (
        (joints, own, ""),
        (limbs, own, ""),
        (limbs, refined, ""),
        (refiner, refined, "joint_maps."),
    ):
        assert all((lifted[prefix + name] == tensor).all() for name, tensor in given.items())
    assert set(own) - set(joints) - set(limbs) == {name for name in own if name.startswith("lifter.")}
    cells = {
        name: CellResult.load(options.out / "cells" / f"{FRONT}.{name}" / "seed_1")
        for name in ("egotap", "egotap_egorear")
    }
    np.testing.assert_array_equal(cells["egotap"].heatmap_mse, cells["egotap"].initial_heatmap_mse)
    assert (cells["egotap_egorear"].heatmap_mse != cells["egotap_egorear"].initial_heatmap_mse).all()


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
    front = replace(options, cells=f"{FRONT}.ego[pr]*")
    with pytest.raises(KeyboardInterrupt):
        launch.launch(front)
    assert trained == [f"heatmap.{FRONT}", f"pose.{FRONT}.egoposeformer", f"refiner.{FRONT}.egorear"]
    assert launch.launch(front, report_only=True).facts.cells == (1, 6)
    launch.launch(front)
    assert trained[3:] == [f"refiner.{FRONT}.egorear", f"pose.{FRONT}.egorear", f"pose.{FRONT}.egoposeformer_long"]
    launch.launch(front)
    assert len(trained) == 6


def test_controlled_mode_runs_the_same_matrix(options: Options) -> None:
    report = launch.launch(replace(options, mode="controlled"))
    assert report.facts.cells == (6, 6)
    assert report.results.frames == 4
    page = (options.out / "report.md").read_text()
    assert "Controlled mode" in page
    assert "limb heatmaps are made from the truth too" in page
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
        (
            "[egoposeformer, egorear, egotap, egotap_egorear]",
            "[egoposeformer, egotop]",
            "'rows[0].methods' has 'egotop'",
        ),
        (
            "stages:\n",
            "egotap: egotap-huge\n    stages:\n",
            "'egotap' is 'egotap-huge' but must be one of egotap, egotap-nano",
        ),
        ("skips: [4, 4, 8, 8]", "skips: [4, 4, 8]", "'egotap_overrides' do not fit 'egotap-nano': 'joint_maps.skips'"),
        (
            "limb_maps: *unet",
            "limb_maps: *unet\n      origin: pelvis",
            "'egotap_overrides' must leave the two heatmap networks",
        ),
        ("row: 2 front", "row: 3 front", "'ablations.row' is '3 front'"),
        ("decay: cosine", "decay: square", "'sizes.smoke.schedule.decay' is 'square'"),
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
    assert len(cells) == len(set(cells)) == 12
    assert len(selected(cells, "*/seed_2")) == 6
    assert {cell.method for cell in selected(cells, "*.egorear")} == {"egorear"}
    with pytest.raises(UserError, match="--cells nothing fits none of"):
        selected(cells, "nothing")


def test_the_shipped_study_has_the_papers_matrix() -> None:
    study = load_study(Path(__file__).parents[2] / "configs" / "study" / "rear_views.yaml")
    assert len(study.cells(1)) == 9 + 8 + 5  # Table 3, EgoTAP's rows of it, and what Table 5 has beside
    assert list(study.sizes) == ["smoke", "minutes", "hours", "full"]
    assert not any(scale.base().confidence for scale in study.sizes.values())  # a head that the paper's networks lack
    assert all(scale.loss.cosine == 1e-3 for scale in study.sizes.values())  # EgoTAP's
    assert study.sizes["full"].base_egotap().lifter == TAPLifterConfig()  # the paper's
    assert all(scale.base().sharing == "paper" for scale in study.sizes.values())
    assert set(TITLES) == set(METHODS)
    base = study.sizes["full"].base()
    assert (base.sharing, base.heads, base.image_size) == ("paper", "deep", 256)
