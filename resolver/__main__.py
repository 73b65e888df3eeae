"""``python -m resolver`` and the installed command."""

from resolver.cli import main

if __name__ == "__main__":
    main()
