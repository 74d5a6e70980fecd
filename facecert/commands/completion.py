"""``facecert completion``."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from .options import verbose_option

#: Where click's script makes ``facecert`` answer in.
VARIABLE = "_FACECERT_COMPLETE"

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@verbose_option
def command(shell: str) -> None:
    """Print the script that completes commands and options.

    \b
    bash (4.4 or newer), in ~/.bashrc:  source <(facecert completion bash)
    zsh, in ~/.zshrc, after compinit:   source <(facecert completion zsh)
    fish, once:  facecert completion fish > ~/.config/fish/completions/facecert.fish

    Example: facecert completion bash
    """
    group = click.get_current_context().find_root().command
    script = _SHELLS[shell](group, {}, "facecert", VARIABLE)
    # Not script.source(): bash's asks for the version of the bash in PATH, perhaps another one.
    click.echo(ShellComplete.source(script))
