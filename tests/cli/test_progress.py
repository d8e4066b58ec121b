"""Progress of long commands where stderr is no terminal."""

import pytest

from egorear.cli import progress
from egorear.cli.progress import with_progress


@pytest.mark.parametrize(("pause", "lines"), [(30.0, [6]), (0.0, [2, 5, 6])])
def test_a_line_now_and_then_and_one_at_the_end(monkeypatch, capsys, pause, lines):
    monkeypatch.setattr(progress, "LINE_S", pause)
    items = ["ab", "cde", "f"]
    assert list(with_progress(items, 6, "reading", "letters", len)) == items
    assert capsys.readouterr().err.splitlines() == [f"reading: {done}/6 letters" for done in lines]


def test_an_item_is_done_when_the_next_one_is_asked_for(capsys):
    items = with_progress([0, 1], 2, "reading", "frames")
    assert [next(items), next(items)] == [0, 1]
    assert capsys.readouterr().err == ""
    assert list(items) == []
    assert capsys.readouterr().err == "reading: 2/2 frames\n"
