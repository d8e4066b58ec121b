"""`egorear study` as it is typed: its answer on stdout, its errors in one sentence."""

import json
from pathlib import Path

import pytest
from tests.studies.results_by_hand import cells

from egorear.cli.main import main
from egorear.studies.cells import CellResult
from egorear.studies.config import load_study

SHIPPED = Path(__file__).parents[2] / "configs" / "study" / "rear_views.yaml"


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A folder of smoke size in which one cell is done."""
    study = load_study(SHIPPED)
    front = study.row("2 front").views
    for cell, result in cells({(front, "egoposeformer"): 100.0}).items():
        result.save(tmp_path / cell.folder)
    (tmp_path / "mean_pose.json").write_text('{"mpjpe_mm": 300.0}')
    return tmp_path


def test_the_report_alone_trains_nothing(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", str(SHIPPED), "--size", "smoke", "--out", str(done), "--report-only"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cells"] == [1, 22]
    assert told["tables"]["table3"][0]["MPJPE, mm"]["value"] == pytest.approx(100.0)
    assert main(command) == 0
    assert "1 of 22 cells are done" in capsys.readouterr().out
    assert not (done / "stages").exists()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--seeds", "0"], "--seeds is 0"),
        (["--test-data", "elsewhere"], "--test-data needs --data"),
        (["--size", "endless"], "there is no size 'endless' of images mode, only smoke, minutes, hours, full"),
        (["--cells", "nobody"], "--cells nobody fits none of"),
        (["--data", "nowhere"], "another 'data'"),
        (["--size", "minutes"], "study.json"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(
    done: Path, capsys: pytest.CaptureFixture[str], extra: list[str], told: str
) -> None:
    command = ["study", str(SHIPPED), "--out", str(done), "--size", "smoke"]
    assert main([*command, "--report-only"]) == 0  # claims the folder for this size
    capsys.readouterr()
    assert main([*command, *extra]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert told in error[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["images", "controlled"])
def test_the_whole_matrix_in_smoke_size(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", str(SHIPPED), "--mode", mode, "--size", "smoke", "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cells"] == [22, 22]
    assert (told["test_frames"], told["test_recordings"]) == (20, 2)
    assert told["rendered"]
    for path in tmp_path.glob("cells/*/seed_1"):
        assert CellResult.load(path).parameters > 0
