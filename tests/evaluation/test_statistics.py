"""A dataset's card tells what is in the files: the demo frames that ship are the dataset."""

import json
from importlib import resources

import numpy as np
import pytest
from tests.datasets import chunk_files

from egorear.cli.main import main
from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.mo2cap2_chunks import Mo2Cap2Chunks
from egorear.evaluation.statistics import MAP_SIZE, gather
from egorear.geometry.skeleton import EGOPW
from egorear.viewer.card import write_card

DEMO = str(resources.files("egorear") / "demo_data")


@pytest.fixture(scope="module")
def gathered():
    dataset = open_ego4view(DEMO, "test")
    return dataset, gather(dataset, range(len(dataset)))


def test_counts_are_those_of_the_files(gathered):
    dataset, statistics = gathered
    assert statistics.frames == len(dataset) == sum(statistics.actions.values())
    assert statistics.characters <= {name.split("/")[0] for name in dataset.names}
    truths = [dataset.truth(index) for index in range(len(dataset))]
    assert np.allclose(statistics.joints, [truth.joints for truth in truths])
    assert np.allclose(statistics.visible, np.mean([truth.visible for truth in truths], axis=0))


def test_joint_maps_count_each_joint_inside_the_image_once(gathered):
    dataset, statistics = gathered
    camera = dataset.rig.cameras[dataset.rig.views[0]]
    expected = np.zeros((MAP_SIZE, MAP_SIZE), int)
    for index in range(len(dataset)):
        for x, y in dataset.truth(index).joints_2d[0]:
            if -0.5 <= x < camera.width - 0.5 and -0.5 <= y < camera.height - 0.5:
                expected[int((y + 0.5) / camera.height * MAP_SIZE), int((x + 0.5) / camera.width * MAP_SIZE)] += 1
    assert (statistics.maps[0] == expected).all()


def test_light_is_a_share_of_full_scale(gathered):
    _, statistics = gathered
    assert len(statistics.brightness) == statistics.frames * len(statistics.views)
    assert all(0.02 < value < 0.98 for value in statistics.brightness)
    assert all(0 <= share <= 1 for share in (*statistics.dark, *statistics.burnt))


def test_one_pose_has_no_diversity(gathered):
    dataset, _ = gathered
    diversity = gather(dataset, [0]).summary()["pose_diversity_mm"]
    assert diversity["from_mean_pose"] == diversity["between_pairs"] == diversity["between_pairs_aligned"] == 0


def test_the_command_writes_a_page_with_pictures(tmp_path, capsys):
    assert main(["card", DEMO, "--out", str(tmp_path), "--title", "A few frames", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "statistics.json").read_text())
    page = (tmp_path / "card.md").read_text()
    assert page.startswith("# A few frames")
    assert "| LeftHand |" in page
    for picture in ("frames.jpg", "joint_maps.png", "actions.png"):
        assert picture in page
        assert (tmp_path / picture).stat().st_size > 1000


def test_a_folder_without_the_split_is_one_sentence(tmp_path, capsys):
    assert main(["card", str(tmp_path), "--out", str(tmp_path / "card")]) == 2
    assert "test.txt" in capsys.readouterr().err


def test_a_card_of_another_joint_set_and_one_camera(tmp_path):
    dataset = Mo2Cap2Chunks(chunk_files.write_train(tmp_path / "data"), "train")
    statistics = gather(dataset, range(len(dataset)))
    assert list(statistics.summary()["visible"]["front"]) == list(EGOPW.names)
    write_card(tmp_path / "card", "Chunks", dataset, statistics)
    page = (tmp_path / "card" / "card.md").read_text()
    assert "| RightToeBase |" in page
    assert "| Head |" not in page
