"""`egorear fit`, `validate` and `test`: one training stage from a YAML configuration."""


def run_lightning(name: str, argv: list[str]) -> int:
    """Runs "fit", "validate" or "test" with the arguments after the command; returns the exit code.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when Lightning has closed what it had open.
    """
    from egorear.training.cli import run

    try:
        return run(name, argv)
    except SystemExit as stop:
        if stop.code == 1:  # how Lightning ends after Ctrl-C; the parser ends with 0 (--help) or 2
            raise KeyboardInterrupt from stop
        return stop.code if isinstance(stop.code, int) else 1
