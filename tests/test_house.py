"""The house of docs/architecture.md: imports run down only, files are short, nothing runs what a file contains."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "egorear"
FLOORS = [
    {"errors"},
    {"files"},
    {"geometry"},
    {"heatmaps", "poses"},
    {"models", "metrics", "datasets"},
    {"synth", "evaluation", "training", "tracking"},
    {"viewer", "outputs"},
    {"studies"},
    {"cli"},
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("egorear."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("egorear.")}
    return names


@pytest.mark.parametrize(
    "path", [p for p in FILES if room_of(p) != "__init__"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_run_down(path):
    room = room_of(path)
    assert not [name for name in imported_rooms(path) - {room} if FLOOR[name] >= FLOOR[room]]


def test_files_are_short_and_named():
    long = [str(p) for p in FILES if len(p.read_text().splitlines()) > LONGEST]
    assert not long
    assert not [str(p) for p in FILES if p.stem in SAY_NOTHING]


@pytest.mark.parametrize("word", ["pickle.load", "allow_pickle=True", "yaml.load(", "weights_only=False", "shell=True"])
def test_nothing_executes_what_a_file_contains(word):
    assert not [str(p) for p in FILES if word in p.read_text()]
