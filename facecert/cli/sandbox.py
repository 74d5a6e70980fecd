"""``facecert sandbox``."""

import ssl
import threading
from typing import Optional

import click

from ..locale import Text as _
from .help import Command
from .options import verbose_option
from .output import Misuse, say

a_file = click.Path(exists=True, dir_okay=False)


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=8180, show_default=True)
@click.option("--certificate", type=a_file, help="Serve https with this PEM file.")
@click.option("--key", type=a_file, help="The certificate's private key, unless it is in there.")
@click.option("--data-as-text", is_flag=True, help="Data is JSON text, as typed clients expect.")
@click.option("--person", type=click.Choice(["pass", "fail", "give-up"]),
              help="Play the person of every verification.")
@click.option("--after", type=click.FloatRange(0, 1800), default=1.0, show_default=True,
              help="Seconds from init to what the person does.")
@verbose_option
def command(
    port: int, certificate: Optional[str], key: Optional[str], data_as_text: bool,
    person: Optional[str], after: float
) -> None:
    """Run the sandbox for other programs until Ctrl-C.

    Prints the variables that the programs need. The sandbox listens on this machine only.

    Example: facecert sandbox --port 8180 --person pass
    """
    from ..sandbox import Sandbox

    if key and not certificate:
        raise Misuse(_("--key needs --certificate."))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    try:
        if context and certificate:
            context.load_cert_chain(certificate, key)
        sandbox = Sandbox(
            port=port, ssl_context=context, data_as_text=data_as_text, person=person, after=after
        ).start()
    except ssl.SSLError:
        raise Misuse(_("--certificate and --key must be a certificate in PEM format and its key."))
    except OSError as error:
        words = _("Port %d cannot be used: %s. Choose another with --port.")
        raise click.ClickException(words % (port, error.strerror))
    say(_("The sandbox listens; open %s in a browser.") % sandbox.endpoint)
    if certificate:
        say(_("Programs must trust its certificate (facecert: ALIBABA_CLOUD_CA_BUNDLE)."))
    say(_("Set these variables for the program under test. facecert.init(), facecert.query()\n"
          "and Client.from_environment() read them; Client(...) does not.\n"))
    for name, value in sandbox.environment.items():
        click.echo("  export %s=%s" % (name, value))
    named = {name[len("FACECERT_"):]: value for name, value in sandbox.environment.items()
             if name.startswith("FACECERT_")}
    named["CALLBACK_SECRET"] = "sandbox-callback-secret"
    access_key = (sandbox.access_key_id, sandbox.access_key_secret)
    django = dict(named, ACCESS_KEY=access_key, PUBLIC_URL="http://127.0.0.1:8000")
    flask = dict(named, CREDENTIALS=access_key, PUBLIC_URL="http://127.0.0.1:5000")
    say(_("\nA Django site and the Flask extension take their own settings instead:\n"))
    click.echo("  FACECERT = %r" % django)
    click.echo("  app.config.update(%s)"
               % ", ".join("FACECERT_%s=%r" % pair for pair in flask.items()))
    say(_("\nStop it with Ctrl-C."))
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say(_("Stopped."))
    finally:
        sandbox.stop()
