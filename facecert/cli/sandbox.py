"""``facecert sandbox``."""

import time

import click

from .options import verbose_option


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8180, show_default=True)
@verbose_option
def command(port: int) -> None:
    """Run the sandbox for other programs until Ctrl-C.

    Prints what they have to set. It listens on this machine only.

    Example: facecert sandbox --port 8180
    """
    from ..sandbox import Sandbox

    try:
        running = Sandbox(port=port).start()
    except OSError as error:
        raise click.ClickException(
            "Port %d cannot be had: %s. Choose another with --port." % (port, error.strerror)
        )
    click.echo("The sandbox listens; open %s in a browser. It verifies nobody." % running.endpoint)
    click.echo("Set this for the program that you want to try. It counts for facecert.init(),")
    click.echo("facecert.query() and Client.from_environment(); Client(...) reads none of it.\n")
    for name, value in running.environment.items():
        click.echo("  export %s=%s" % (name, value))
    click.echo("\nStop it with Ctrl-C.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        running.stop()
