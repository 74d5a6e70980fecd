"""``facecert sandbox``."""

import threading

import click

from .options import verbose_option


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8180, show_default=True)
@verbose_option
def command(port: int) -> None:
    """Run the sandbox for other programs until Ctrl-C.

    Prints the variables that the programs need. The sandbox listens on this machine only.

    Example: facecert sandbox --port 8180
    """
    from ..sandbox import Sandbox

    try:
        sandbox = Sandbox(port=port).start()
    except OSError as error:
        raise click.ClickException(
            "Port %d cannot be used: %s. Choose another with --port." % (port, error.strerror)
        )
    click.echo("The sandbox listens; open %s in a browser." % sandbox.endpoint)
    click.echo("Set these variables for the program under test. facecert.init(), facecert.query()\n"
               "and Client.from_environment() read them; Client(...) does not.\n")
    for name, value in sandbox.environment.items():
        click.echo("  export %s=%s" % (name, value))
    named = {name[len("FACECERT_"):]: value for name, value in sandbox.environment.items()
             if name.startswith("FACECERT_")}
    named["CALLBACK_SECRET"] = "sandbox-callback-secret"
    key = (sandbox.access_key_id, sandbox.access_key_secret)
    django = dict(named, ACCESS_KEY=key, PUBLIC_URL="http://127.0.0.1:8000")
    flask = dict(named, CREDENTIALS=key, PUBLIC_URL="http://127.0.0.1:5000")
    click.echo("\nA Django site and a Flask app take their own settings instead:\n")
    click.echo("  FACECERT = %r" % django)
    click.echo("  app.config.update(%s)"
               % ", ".join("FACECERT_%s=%r" % pair for pair in flask.items()))
    click.echo("\nStop it with Ctrl-C.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        sandbox.stop()
