"""The report tells an effect that is there, does not tell one that is not, and knows the paper's figures."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.studies.results_by_hand import FOUR, FRONT, cells, result

from egorear.geometry.skeleton import EGO4VIEW
from egorear.studies.config import load_study
from egorear.studies.findings import findings
from egorear.studies.published import GROUPS, TABLE_3, TABLE_4, TABLE_5, published
from egorear.studies.report import Facts, make_report
from egorear.studies.results import Results

CONFIG = load_study(Path(__file__).parents[2] / "configs" / "study" / "rear_views.yaml")
EFFECT = {
    (FRONT, "egoposeformer"): 100.0,
    (FRONT, "egorear"): 100.0,
    (FOUR, "egoposeformer"): 90.0,
    (FOUR, "egorear"): 80.0,
}
FACTS = Facts(
    "egorear study", {"mode": "images", "size": "smoke"}, "drawn by hand", True, (4, 14), 60.0, {"mpjpe_mm": 300.0}
)


def verdicts(figures: dict, **options) -> dict[str, str]:
    return {found.claim: found.verdict for found in findings(Results(cells(figures, **options), "syn"), CONFIG)}


def test_a_known_effect_is_found_and_none_is_not() -> None:
    told = verdicts(EFFECT)
    assert told["EgoPoseFormer: 4 views better than 2 front"] == "reproduced"
    assert told["4 views: refinement helps"] == "reproduced"
    assert told["refinement helps more with 4 views than with 2 front"] == "reproduced"
    assert told["2 front: refinement helps"] == "not seen"
    worse = verdicts({**EFFECT, (FOUR, "egorear"): 95.0})
    assert worse["4 views: refinement helps"] == "contradicted"


def test_egotap_is_asked_the_same_and_held_against_egoposeformer() -> None:
    tap = {
        (FRONT, "egotap"): 95.0,
        (FRONT, "egotap_egorear"): 95.0,
        (FOUR, "egotap"): 92.0,
        (FOUR, "egotap_egorear"): 70.0,
    }
    told = verdicts({**EFFECT, **tap})
    assert told["EgoTAP: 4 views better than 2 front"] == "reproduced"
    assert told["4 views: refinement helps EgoTAP"] == "reproduced"
    assert told["2 front: refinement helps EgoTAP"] == "not seen"
    assert told["refinement helps EgoTAP more with 4 views than with 2 front"] == "reproduced"
    assert told["4 views: EgoPoseFormer better than EgoTAP"] == "reproduced"
    assert told["2 front: EgoPoseFormer better than EgoTAP"] == "contradicted"
    assert told["4 views: with refinement, EgoPoseFormer better than EgoTAP"] == "contradicted"
    assert told["4 views: refinement helps"] == "reproduced"  # EgoPoseFormer's own


def test_the_papers_egotap_rows_are_whole() -> None:
    """Every row of Table 3 with EgoTAP, and refinement lowers each of its errors there."""
    for table in TABLE_3.values():
        rows = {views: figures for (views, method), figures in table.items() if method == "egotap"}
        assert len(rows) == 4
        for views, figures in rows.items():
            refined = table[views, "egotap_egorear"]
            assert all(0 < ours < theirs for ours, theirs in zip(refined, figures, strict=True))
            assert refined[0] > table[views, "egorear"][0]
        assert sorted(rows, key=lambda views: rows[views][0])[0] == FOUR
    assert published("syn", "mpjpe_mm", FOUR, "egotap") == 23.88
    assert published("rw", "pa_mpjpe_mm", FRONT, "egotap_egorear") == 77.28


def test_who_has_learnt_nothing_is_not_judged() -> None:
    told = findings(Results(cells(EFFECT), "syn", guess_mm=105.0), CONFIG)
    judged = {found.claim: found.verdict for found in told}
    assert judged["EgoPoseFormer: 4 views better than 2 front"] == "not judged"
    assert judged["4 views: refinement helps"] == "reproduced"


def test_differences_are_paired() -> None:
    """Recordings differ by 30 mm, alike in both cells: unpaired, a gain of 2 mm would drown in that."""
    results = Results(cells({(FOUR, "egoposeformer"): 100.0, (FOUR, "egorear"): 98.0}), "syn")
    gain, percent = results.difference("mpjpe_mm", (FOUR, "egoposeformer"), (FOUR, "egorear"))
    alone = results.figure("mpjpe_mm", (FOUR, "egorear"))
    assert gain.value == pytest.approx(2.0)
    assert percent.value == pytest.approx(2.0)
    assert 1.0 < gain.low < 2.0 < gain.high < 3.0
    assert alone.high - alone.low > 10
    assert gain.published == pytest.approx(0.95)


def test_seeds_that_disagree_widen_the_interval() -> None:
    """A gain that only one of two trainings shows is no finding, however many frames there are."""
    agree = cells({(FOUR, "egoposeformer"): 100.0, (FOUR, "egorear"): 95.0}, seeds=2)
    apart = {
        cell: result(FOUR, {"egoposeformer": 100.0, "egorear": 89.0 if cell.seed == 1 else 101.0}[cell.method])
        for cell in agree
    }
    setups = ((FOUR, "egoposeformer"), (FOUR, "egorear"))
    one, _ = Results(agree, "syn").difference("mpjpe_mm", *setups)
    other, _ = Results(apart, "syn").difference("mpjpe_mm", *setups)
    assert one.value == pytest.approx(other.value) == pytest.approx(5.0)
    assert one.low > 0 > other.low
    assert Results(apart, "syn").figure("mpjpe_mm", setups[1]).spread == pytest.approx(np.std([89, 101], ddof=1))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Recordings drawn from a known distribution: 95 % intervals hold its mean about 19 times in 20."""
    rng, inside = np.random.default_rng(1), 0
    base = result(FRONT, 0.0, recordings=12, frames=2)
    for _ in range(200):
        of_recording = rng.normal(100, 20, (12, 1, 1)).repeat(2, 1).reshape(-1, 1)
        drawn = replace(base, errors_mm=of_recording.repeat(16, 1))
        figure = Results({next(iter(cells({(FRONT, "egorear"): 0.0}))): drawn}, "syn").figure(
            "mpjpe_mm", (FRONT, "egorear")
        )
        inside += figure.low < 100 < figure.high
    assert 0.85 <= inside / 200 <= 0.98


def test_one_recording_is_not_judged() -> None:
    assert set(verdicts(EFFECT, recordings=1).values()) == {"not judged"}


def test_only_common_seeds_are_compared() -> None:
    every = cells(EFFECT, seeds=2)
    part = {cell: each for cell, each in every.items() if (cell.method, cell.seed) != ("egorear", 2)}
    gain, _ = Results(part, "syn").difference("mpjpe_mm", (FOUR, "egoposeformer"), (FOUR, "egorear"))
    assert gain.seeds == 1


def test_heatmaps_are_told_for_front_and_rear_in_the_papers_unit() -> None:
    one = result(FOUR, 80.0)
    maps = np.tile([1e-4, 3e-4, 5e-4, 9e-4], (len(one.names), 1))
    results = Results({next(iter(cells({(FOUR, "egorear"): 1.0}))): replace(one, heatmap_mse=maps)}, "syn")
    assert results.figure("front_mse", (FOUR, "egorear")).value == pytest.approx(2.0)
    assert results.figure("back_mse", (FOUR, "egorear")).value == pytest.approx(7.0)
    assert Results(cells({(FRONT, "egorear"): 1.0}), "syn").figure("back_mse", (FRONT, "egorear")) is None


def test_the_papers_figures_agree_with_each_other() -> None:
    """Its tables share rows and halves are means of their joints: what was copied wrongly would disagree. (The paper's
    own "all" of the baseline on Ego4View-RW is 0.2 mm off the mean of its halves.)"""
    assert tuple(EGO4VIEW.groups) == GROUPS
    for dataset, methods in TABLE_4.items():
        for method, row in methods.items():
            by = dict(zip(GROUPS, row, strict=True))
            upper = ("head", "neck", *("arms", "forearms", "hands") * 2)
            assert np.mean([by[part] for part in upper]) == pytest.approx(by["upper"], abs=0.015)
            lower = ("upper_legs", "legs", "feet", "toes")
            assert np.mean([by[part] for part in lower]) == pytest.approx(by["lower"], abs=0.015)
            assert (by["upper"] + by["lower"]) / 2 == pytest.approx(by["all"], abs=0.21)
            assert by["all"] == TABLE_3[dataset][FOUR, method][0]
    for method in ("egoposeformer", "egorear"):
        assert (TABLE_5[method].mpjpe_mm, TABLE_5[method].pa_mpjpe_mm) == TABLE_3["syn"][FOUR, method]
    assert published("syn", "back_mse", FOUR, "no_anchor") == 2.76
    assert published("rw", "back_mse", FOUR, "no_anchor") is None


def test_the_page_and_its_tables_tell_the_same(tmp_path: Path) -> None:
    report = make_report(cells(EFFECT, seeds=2), CONFIG, FACTS)
    report.write(tmp_path)
    page, content = (tmp_path / "report.md").read_text(), json.loads((tmp_path / "report.json").read_text())
    assert "reproduced (" in page
    assert "rendered people, not of Ego4View" in page
    assert "One seed" not in page
    rows = {(row["cameras"], row["method"]): row for row in content["tables"]["table3"]}
    assert rows["4 views", "EgoPoseFormer"]["MPJPE, mm"]["value"] == pytest.approx(90.0)
    assert rows["4 views", "EgoPoseFormer"]["MPJPE, mm"]["published"] == 20.20
    with (tmp_path / "table3.csv").open() as file:
        stored = next(row for row in csv.DictReader(file) if row["cameras"] == "4 views")
    assert float(stored["MPJPE, mm"]) == pytest.approx(90.0)
    assert float(stored["MPJPE, mm paper"]) == 20.20
    hands = next(row for row in content["tables"]["table4"] if row["joints"] == "hands")
    assert hands["gain, mm"]["published"] == pytest.approx(22.05 - 20.11)
    for name in ("cameras.png", "ablations.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"]({name})" in page


def test_what_makes_figures_doubtful_is_said() -> None:
    def told(figures: dict, facts: Facts = FACTS) -> str:
        from egorear.studies.report import caveats

        report = make_report(cells(figures), CONFIG, facts)
        return " ".join(caveats(facts, report.results, report.findings))

    assert "One seed" in told(EFFECT)
    assert "hardly better" not in told(EFFECT)
    assert "hardly better" in told({**EFFECT, (FOUR, "egorear"): 290.0})
    assert "4 of 14 cells" in told(EFFECT)
    assert "rendered" not in told(EFFECT, replace(FACTS, rendered=False))
