"""`--verify`: compares a finished dataset with its index."""

from egorear.errors import UserError


def verify_dataset(folder: str) -> int:
    """Prints what differs from the index; 1 if anything does.

    Raises:
        UserError: there is no index, or it lists no split.
    """
    from egorear.datasets.index import Index, verify

    index = Index.load(folder)
    if not index.splits:
        raise UserError(f"{folder}: the index lists no split yet; run the job that makes it to its end")
    checked = [fault for _, fault in verify(folder)]
    faults = [fault for fault in checked if fault]
    for fault in faults:
        print(fault)
    frames = sum(index.frames(split) for split in index.splits)
    if not faults:
        print(f"{folder}: {frames} frames in {len(checked)} parts are whole, index hash {index.hash()}")
        return 0
    print(f"{folder}: {len(faults)} of {len(checked)} parts are damaged; delete them and run the job again")
    return 1
