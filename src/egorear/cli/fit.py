"""`egorear fit`, `validate` and `test`: one training stage from a YAML configuration."""


def run_lightning(name: str, argv: list[str]) -> int:
    """Runs "fit", "validate" or "test" with the arguments after the command; returns the exit code."""
    from egorear.training.cli import run

    try:
        return run(name, argv)
    except SystemExit as stop:  # --help, or Lightning after Ctrl-C
        return stop.code if isinstance(stop.code, int) else 1
