"""``facecert completion``."""

from typing import Any

import click

from ..errors import unimportable
from .help import Command
from .options import verbose_option


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@verbose_option
def command(shell: str) -> None:
    """Print the script that completes commands and options.

    \b
    bash (4.4 or newer), in ~/.bashrc:  source <(facecert completion bash)
    zsh, in ~/.zshrc, after compinit:   source <(facecert completion zsh)
    fish, once:  facecert completion fish > ~/.config/fish/completions/facecert.fish

    Example: facecert completion bash
    """
    try:
        from click import shell_completion
    except ImportError as error:  # click 7, as Flask 1.1 needs it
        raise unimportable("Completion needs click 8.0 or later", "'click>=8.0'", error) from error
    kind: Any = shell_completion.get_completion_class(shell)
    group = click.get_current_context().find_root().command
    # Not source() of the shell's own class: bash's runs the bash in PATH to check its version.
    script = kind(group, {}, "facecert", "_FACECERT_COMPLETE")
    click.echo(shell_completion.ShellComplete.source(script))
