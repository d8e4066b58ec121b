"""`egorear rig` from the outside."""

import json

import pytest
from tests.geometry.test_calibration import EGOPW

from egorear.cli.main import main
from egorear.geometry.rig import SHIPPED, Rig, ego4view_syn, egopw


def test_show_tells_where_every_camera_is(capsys):
    assert main(["rig", "show", "ego4view_rw", "--json"]) == 0
    cameras = json.loads(capsys.readouterr().out)["cameras"]
    assert [camera["view"] for camera in cameras] == list(ego4view_syn().views)
    assert [camera["position_m"] for camera in cameras] == [
        [-0.06, 0, 0],
        [0.06, 0, 0],
        [-0.06, 0.37, 0],
        [0.06, 0.37, 0],
    ]
    assert cameras[0]["field_of_view_deg"] == pytest.approx(171.5)
    assert main(["rig", "show", "ego4view_syn"]) == 0
    assert "scaramuzza" in capsys.readouterr().out


def test_check_measures_the_round_trip(capsys):
    assert main(["rig", "check", "ego4view_syn", "--json"]) == 0
    for camera in json.loads(capsys.readouterr().out)["cameras"]:
        assert camera["round_trip_px"] < 1e-3
        assert camera["polynomials_disagree_px"] < 0.01


def test_check_refuses_a_wrong_calibration_with_one_sentence(tmp_path, capsys):
    content = ego4view_syn().to_dict()
    content["cameras"][2]["parameters"]["world_to_cam"].reverse()
    path = tmp_path / "reversed.json"
    path.write_text(json.dumps(content))
    assert main(["rig", "check", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert str(path) in output.err
    assert "back_left" in output.err


def test_convert_writes_a_rig_file(tmp_path, capsys):
    assert main(["rig", "convert", "ego4view_syn", str(tmp_path / "mine.json")]) == 0
    assert Rig.load(tmp_path / "mine.json").hash() == ego4view_syn().hash()
    assert ego4view_syn().hash() in capsys.readouterr().out


@pytest.mark.parametrize("folder", [".", "made"])
def test_a_folder_where_a_file_should_be_written_is_told_in_one_sentence(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "made").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["rig", "convert", "ego4view_syn", folder]) == 2
    assert f"cannot write {folder}: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_calibration_of_egopw_is_shown_checked_and_converted(tmp_path, capsys):
    path, out = tmp_path / "fisheye.json", tmp_path / "rig.json"
    path.write_text(json.dumps(EGOPW))
    assert main(["rig", "show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["hash"] == egopw().hash()
    assert shown["cameras"][0]["centre"] == [614.93, 527.53]
    assert main(["rig", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cameras"][0]["polynomials_disagree_px"] < 1e-3
    assert main(["rig", "convert", str(path), str(out)]) == 0
    assert "1 camera," in capsys.readouterr().out
    assert Rig.load(out).hash() == egopw().hash()
    path.write_text(json.dumps(EGOPW | {"polynomialW2C": EGOPW["polynomialC2W"]}))
    assert main(["rig", "check", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_rig_passes_its_own_check(name, capsys):
    assert main(["rig", "check", name]) == 0
    assert "round trip px" in capsys.readouterr().out
