"""``python -m facecert`` and the command ``facecert``."""

import sys


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from facecert.cli.main import cli
    except ImportError as error:
        if getattr(error, "name", None) != "click":
            raise
        words = "The command line needs click 7.0 or later (%s). Install it with:"
        sys.exit(words % error + ' python -m pip install "click>=7.0"')
    except KeyboardInterrupt:
        sys.exit(130)
    cli(prog_name="facecert")


if __name__ == "__main__":
    main()
