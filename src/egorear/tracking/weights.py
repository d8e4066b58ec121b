"""Where trained networks are: shipped with the package, in a folder, or on the Hugging Face Hub. Needs no torch."""

from pathlib import Path

from egorear.errors import UserError

FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT = "egorear-nano"
FILES = ("config.json", "model.safetensors")  # what `models.pretrained` reads


def shipped() -> list[str]:
    """Names of the networks inside the package."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{FILES[0]}"))


def find_weights(name: str | Path) -> Path:
    """The folder of a network: a folder's own path, a shipped name, or a Hub id "organisation/name".

    Raises:
        UserError: there is none, or it is on the Hub and cannot be fetched.
    """
    if Path(name).is_dir():
        return Path(name)
    if Path(name).is_file():
        raise UserError(f"{name} is a file, but weights are given as the folder that holds it")
    text = str(name)
    if text in shipped():
        return FOLDER / text
    organisation, _, repository = text.partition("/")
    if organisation.strip(".~") and repository and "/" not in repository:
        return _download(text)
    known = ", ".join(shipped()) or "none in this installation"
    raise UserError(f"there are no weights '{text}': give a folder that holds {' and '.join(FILES)}, or one of {known}")


def _download(hub_id: str) -> Path:
    try:
        from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise UserError(
            f"'{hub_id}' is no folder; to fetch it from the Hugging Face Hub, first: pip install huggingface_hub"
        ) from error
    try:
        return Path(snapshot_download(hub_id, allow_patterns=[*FILES, "rig.json", "calibration.json", "card.md"]))
    except Exception as error:  # the client raises its own kinds, requests' and OSError
        raise UserError(f"cannot fetch '{hub_id}' from the Hugging Face Hub: {error}".splitlines()[0]) from error
