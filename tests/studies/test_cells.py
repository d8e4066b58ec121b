"""Cells are named, stored whole, and build the refiner that their method says."""

from pathlib import Path

import numpy as np
import pytest
from tests.studies.results_by_hand import FOUR, FRONT, result

from egorear.errors import UserError
from egorear.models.refiner import RefinerConfig
from egorear.studies.cells import METHODS, Cell, CellResult, refiner_of


def test_methods_differ_from_the_full_one_in_what_the_paper_ablates() -> None:
    base = RefinerConfig(embed=64, points=4)
    assert refiner_of("egorear", base) == base
    assert refiner_of("egoposeformer", base) is None
    assert {refiner_of(m, base).cross for m in ("no_anchor", "no_uncertainty")} == {"dense", "unmasked"}
    assert [refiner_of(m, base).query for m in ("no_embedding", "no_rgb_embedding")] == ["plain", "heatmap"]
    assert (refiner_of("egotap", base), refiner_of("egotap_egorear", base)) == (None, base)
    assert {m for m in METHODS if Cell(FRONT, m, 1).uses_egotap} == {"egotap", "egotap_egorear"}
    assert all(refiner_of(m, base) is None or refiner_of(m, base).embed == 64 for m in METHODS)


def test_every_cell_has_a_folder_of_its_own() -> None:
    every = [Cell(views, method, seed) for views in (FRONT, FOUR) for method in METHODS for seed in (1, 2)]
    assert len({cell.folder for cell in every}) == len(every)
    with pytest.raises(UserError, match="'guessing'"):
        Cell(FRONT, "guessing", 1)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    before = result(FOUR, 100.0)
    assert not CellResult.exists(tmp_path)
    before.save(tmp_path)
    after = CellResult.load(tmp_path)
    assert CellResult.exists(tmp_path)
    assert (after.names, after.views, after.steps, after.parameters) == (before.names, FOUR, 100, 1_000_000)
    for name in ("errors_mm", "aligned_mm", "heatmap_mse", "initial_heatmap_mse"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6)


def test_half_a_result_is_none(tmp_path: Path) -> None:
    result(FRONT, 100.0).save(tmp_path)
    whole = (tmp_path / "errors.npz").read_bytes()
    (tmp_path / "errors.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"errors\.npz is not a whole result"):
        CellResult.load(tmp_path)
    (tmp_path / "cell.json").unlink()
    assert not CellResult.exists(tmp_path)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    good = result(FRONT, 100.0)
    errors, one_view = (good.errors_mm, good.aligned_mm), (good.heatmap_mse[:, :1],) * 2
    with pytest.raises(UserError, match="'heatmap_mse'"):
        CellResult(good.names, *errors, *one_view, FRONT, 1, 1.0, 1)
    with pytest.raises(UserError, match="twice"):
        CellResult([good.names[0]] * len(good.names), *errors, good.heatmap_mse, good.heatmap_mse, FRONT, 1, 1.0, 1)
