"""The Rerun recording, read back with Rerun's own reader: poses in space, and in each view where the lens shows them."""

import numpy as np
import pytest
from tests.people import write_dataset
from tests.viewer.test_html import poses_of

from egorear.datasets.opening import open_dataset
from egorear.viewer.scene import Scene, scene_of_dataset

pytest.importorskip("rerun", reason="rerun-sdk (the extra 'view', 170 MB) is not installed")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    from egorear.viewer.rerun_log import write_rerun

    folder = tmp_path_factory.mktemp("rerun")
    dataset = open_dataset(write_dataset(folder / "data"), "test")
    scene = scene_of_dataset(poses_of([*dataset.names, "anna/s2/g0"]), dataset)
    assert write_rerun(folder / "a.rrd", scene, "title", 10**7) == [0, 1, 2]
    assert [path.name for path in folder.iterdir() if path.suffix] == ["a.rrd"]
    return scene, folder / "a.rrd"
