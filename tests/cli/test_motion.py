"""`egorear motion` as a user sees it."""

import argparse
import json

import numpy as np
import pytest

from egorear.cli import motion
from egorear.errors import UserError
from egorear.synth.actions import ACTIONS


def run(*argv):
    parser = argparse.ArgumentParser()
    motion.add_arguments(parser)
    return motion.run(parser.parse_args(list(argv)))


def amass(path):
    poses = np.zeros((60, 156))
    poses[:, 0] = np.pi / 2  # z up
    poses[:, 6] = 0.3 * np.sin(np.arange(60) / 5)
    np.savez(path, poses=poses, trans=np.linspace(0, 0.4, 60)[:, None] * [1.0, 0, 0], mocap_framerate=30.0)


def test_shipped_clips_are_listed(capsys):
    assert run("--json") == 0
    clips = json.loads(capsys.readouterr().out)["clips"]
    assert len(clips) >= 15
    assert {clip["action"] for clip in clips} <= set(ACTIONS)
    assert {clip["split"] for clip in clips} == {"train", "validation", "test"}
    on_floor = [clip["after"] for clip in clips if clip["grounded"]]
    assert np.median([figures["foot_skate_mm"] for figures in on_floor]) < 0.5
    assert min(figures["lowest_m"] for figures in on_floor) > -0.01


def test_what_the_clean_up_did_is_told(tmp_path, capsys):
    amass(tmp_path / "walk_poses.npz")
    assert run(str(tmp_path), "--json") == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert (clip["name"], clip["action"], clip["frames"]) == ("walk_poses", "walk", 60)
    assert clip["after"]["foot_skate_mm"] < clip["before"]["foot_skate_mm"]
    assert run(str(tmp_path)) == 0
    table = capsys.readouterr().out
    assert "walk_poses" in table
    assert "->" in table
    assert "1 clips, 0.0 minutes" in table


def test_missing_file_is_told():
    with pytest.raises(UserError, match=r"nowhere\.bvh"):
        run("nowhere.bvh")
