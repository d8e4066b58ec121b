"""Makes `src/egorear/demo_data`: twelve frames of the test split, one person each, not chosen by their looks.

    python scripts/make_demo_data.py

renders frame 5 of the first take of the first twelve people that seed 7 gives, with the shipped motion only.
"""

import shutil
from pathlib import Path

from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn
from egorear.synth import studio
from egorear.synth.job import TAKES_PER_PERSON, Recipe, Take

PEOPLE, FRAME = 12, 5
OUT = Path(__file__).parent.parent / "src" / "egorear" / "demo_data"


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    recipe = Recipe(ego4view_syn(), seed=7)
    writer = SynWriter(OUT, recipe.rig)
    takes = [Take("test", person * TAKES_PER_PERSON, recipe.take_frames) for person in range(PEOPLE)]
    for take in takes:
        for index, images, truth in studio.take(recipe, take, set(range(recipe.take_frames)) - {FRAME}):
            writer.write(take.character, take.sequence, f"{index:06d}", images, truth)
    writer.write_splits({"test": [take.character for take in takes]})


if __name__ == "__main__":
    main()
