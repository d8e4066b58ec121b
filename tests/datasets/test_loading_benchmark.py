"""The benchmark of loading on a frame or two: both pipelines load the same frame, and its figures are there."""

import importlib.util
from pathlib import Path

import numpy as np

from egorear.datasets.opening import open_dataset

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "loading.py"


def test_it_compares_like_with_like(tmp_path):
    spec = importlib.util.spec_from_file_location("loading", SCRIPT)
    loading = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loading)
    loading.make_data(tmp_path, 1)
    theirs, mine = loading.official(tmp_path, 0), open_dataset(tmp_path, "train", 256)[0]
    images, heatmaps = loading.with_the_rest(mine)
    assert heatmaps.shape == theirs["heatmaps"].shape == (4, 16, 64, 64)
    assert (images - theirs["images"]).abs().mean() < 0.1
    np.testing.assert_allclose(mine.joints, theirs["joints"], atol=1e-6)
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.jpg")]
    assert 200_000 < np.mean(sizes) < 400_000
