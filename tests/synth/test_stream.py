"""Training frames that are rendered where they are needed."""

import pytest
import torch
from torch.utils.data import DataLoader

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.synth.stream import SynthStream


def stream(**options) -> SynthStream:
    return SynthStream(size=32, take_frames=2, interleave=3, **options)


def first(count: int, source) -> list[Sample]:
    return [sample for sample, _ in zip(source, range(count), strict=False)]


def test_samples_are_those_of_a_reader_and_the_same_every_time():
    samples, again = first(8, stream(seed=1)), first(8, stream(seed=1))
    assert [sample.name for sample in samples] == [sample.name for sample in again]
    assert all(torch.equal(a.images, b.images) for a, b in zip(samples, again, strict=True))
    batch = Sample.stack(samples)
    assert batch.images.shape == (8, 4, 3, 32, 32)
    assert batch.visibility is not None
    assert torch.equal(batch.visible, batch.visibility == 0)
    pixels, inside = batch.rig.project(batch.joints)
    torch.testing.assert_close(pixels[inside], batch.joints_2d[inside], atol=1e-3, rtol=1e-4)


def test_takes_follow_each_other_in_turn():
    names = [sample.name for sample in first(8, stream())]
    assert [name.split("/", 1)[1] for name in names] == [
        "take_000000/000000", "take_000001/000000", "take_000002/000000", "take_000000/000001",
        "take_000001/000001", "take_000002/000001", "take_000003/000000", "take_000004/000000",
    ]  # fmt: skip


def test_every_other_take_is_hard_if_half_of_them_are_to_be():
    names = [sample.name for sample in first(3, stream(hard=0.5))]
    assert names == [
        "train_00000/take_000000/000000", "train_hard_00000/hard_000001/000000", "train_00000/take_000002/000000"
    ]  # fmt: skip


@pytest.mark.parametrize("delivered", [1, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_started_anywhere_it_goes_on_as_if_it_had_never_stopped(workers: int, delivered: int):
    def batches(count: int, start: int) -> list[Sample]:
        source = stream(hard=0.5, views=("back_left",))
        source.start_at(start, batch_size=4)
        loader = DataLoader(source, 4, num_workers=workers, collate_fn=Sample.stack)
        return [batch for batch, _ in zip(loader, range(count), strict=False)]

    for whole, resumed in zip(batches(delivered + 3, 0)[delivered:], batches(3, delivered), strict=True):
        assert whole.name == resumed.name
        assert torch.equal(whole.images, resumed.images)
        assert torch.equal(whole.joints, resumed.joints)


def test_takes_that_are_over_are_not_rendered(monkeypatch: pytest.MonkeyPatch):
    from egorear.synth import studio

    rendered = []
    monkeypatch.setattr(studio, "take", lambda _, take, skip: rendered.append((take.number, len(skip))) or iter(()))
    source = stream()
    source.start_at(1001, batch_size=7)  # 7007 frames: 2335 rounds of 3 slots and 2 frames
    with pytest.raises(RuntimeError):  # nothing came of the first take
        next(iter(source))
    assert rendered == [(1167 * 3 + 2, 1)]


def test_ranks_see_different_takes():
    names = []
    for rank in range(2):
        source = stream(views=("back_left",))
        source.set_rank(rank, 2)
        names.append({sample.name for sample in first(6, source)})
    assert not names[0] & names[1]


def test_workers_see_different_takes():
    loader = DataLoader(stream(), 3, num_workers=2, collate_fn=Sample.stack)
    batches = [batch for batch, _ in zip(loader, range(4), strict=False)]
    names = [name for batch in batches for name in batch.name]
    assert len(set(names)) == len(names)


def test_nonsense_is_refused():
    with pytest.raises(UserError, match="'interleave' is 0"):
        SynthStream(interleave=0)
    with pytest.raises(UserError, match="'hard' is 2"):
        stream(hard=2.0)
