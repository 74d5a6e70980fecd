"""``python -m facecert`` and the command ``facecert``."""

import sys


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from facecert.cli.main import cli
    except ImportError as error:
        if getattr(error, "name", None) != "click":
            raise
        sys.exit("The command line needs click. Install it with: python -m pip install click")
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        cli(prog_name="facecert")
    except RuntimeError as error:
        # click on Python 3.6 without a locale; its words say what to set.
        if "ASCII" not in str(error):
            raise
        sys.exit(str(error))


if __name__ == "__main__":
    main()
