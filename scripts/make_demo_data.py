"""Makes `src/egorear/demo_data`: twelve frames of the test split, one person each, not chosen by their looks.

    python scripts/make_demo_data.py

renders frame 5 of the first take of the first twelve people that seed 7 gives, with the shipped motion only.
"""

import shutil
import tempfile
from pathlib import Path

from egorear.files import write_text
from egorear.geometry.rig import ego4view_syn
from egorear.synth.generate import FRAMES_PER_TAKE, TAKES_PER_PERSON, Job, Take, render_take

PEOPLE, FRAME = 12, 5
OUT = Path(__file__).parent.parent / "src" / "egorear" / "demo_data"


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(folder, ego4view_syn(), frames=PEOPLE * TAKES_PER_PERSON * FRAMES_PER_TAKE, seed=7, split="test")
        for person in range(PEOPLE):
            take = Take("test", person * TAKES_PER_PERSON, FRAMES_PER_TAKE)
            render_take(job, take)
            for source in Path(folder, take.character).rglob(f"{FRAME:06d}.*"):
                target = OUT / source.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    ego4view_syn().save(OUT / "rig.json")
    for split in ("train", "validation", "test"):
        people = sorted(path.name for path in OUT.iterdir() if path.is_dir()) if split == "test" else []
        write_text(OUT / f"{split}.txt", "".join(f"{name}\n" for name in people))


if __name__ == "__main__":
    main()
