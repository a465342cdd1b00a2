"""The `heterollm` command."""


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit("usage: heterollm COMMAND")
