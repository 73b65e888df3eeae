"""``python -m resolver`` and the installed command."""

import sys

INTERRUPTED = 130


def main() -> None:
    """The command line; Ctrl-C while it is still being imported ends it without a word."""
    try:
        from resolver.cli import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
