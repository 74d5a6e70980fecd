"""``facecert completion``."""

import click

from ..errors import DependencyError
from .options import verbose_option

#: The variable by which click's script asks ``facecert`` for completions.
VARIABLE = "_FACECERT_COMPLETE"

_SHELLS = {"bash": "BashComplete", "zsh": "ZshComplete", "fish": "FishComplete"}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@verbose_option
def command(shell: str) -> None:
    """Print the script that completes commands and options.

    It needs click 8.0 or newer.

    \b
    bash (4.4 or newer), in ~/.bashrc:  source <(facecert completion bash)
    zsh, in ~/.zshrc, after compinit:   source <(facecert completion zsh)
    fish, once:  facecert completion fish > ~/.config/fish/completions/facecert.fish

    Example: facecert completion bash
    """
    try:
        from click import shell_completion
    except ImportError as error:  # click 7, as Flask 1.1 needs it
        raise DependencyError(
            "Completion needs click 8.0 or newer. Try: python -m pip install 'click>=8.0'"
        ) from error
    group = click.get_current_context().find_root().command
    script = getattr(shell_completion, _SHELLS[shell])(group, {}, "facecert", VARIABLE)
    # Not script.source(), because bash's checks the version of the bash in PATH first.
    click.echo(shell_completion.ShellComplete.source(script))
