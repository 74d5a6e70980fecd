"""``facecert init``."""

from typing import Any, Optional

import click

from ..locale import Text as _
from ..params import BIZ_CODES, check_order_no
from . import prompts
from .help import Command
from .options import connect, json_option, scene_option, verbose_option
from .output import Output, say


@click.command(cls=Command)
@scene_option
@click.option("--outer-order-no", metavar="NO",
              help="Your order number, never used before; default: random.")
@click.option("--return-url", metavar="URL", default="", help="Where the person goes afterwards.")
@click.option("--callback-url", metavar="URL", help="https://... that the platform calls.")
@click.option("--biz-code", type=click.Choice(BIZ_CODES), default="FACE", show_default=True,
              help="FACE: mini-program, H5. FACE_SDK: iOS, Android.")
@click.option("--encrypt/--no-encrypt", default=None, help="SM2; overrides FACECERT_ENCRYPT.")
@json_option
@verbose_option
def command(output: Output, scene_id: Optional[str], **arguments: Any) -> None:
    """Open a verification; it may cost money.

    init asks for name and number without echo. A program gives one JSON object on standard input,
    {"cert_name": "...", "cert_no": "..."}, or sets FACECERT_CERT_NAME and FACECERT_CERT_NO. Both
    may be ciphertext from facecert encrypt. Other users can read the command line, so init does
    not accept them there.

    Prints certify_id (store it: the bill is by this id), outer_order_no, certify_url, expires_at
    and request_id. Exit code 4: it may have been opened; look for outer_order_no in the console.

    Example: facecert init --callback-url https://shop.example/verified
    """
    order = arguments["outer_order_no"] = check_order_no(arguments["outer_order_no"])
    with connect(scene_id) as client:
        name, number = prompts.read()
        try:
            opened = client.init(cert_name=name, cert_no=number, **arguments)
        except KeyboardInterrupt:
            words = _("It may have been opened; look for outer_order_no %s in the console.")
            say(words % order, err=True)
            raise
    fields = ("certify_id", "outer_order_no", "certify_url", "expires_at", "request_id")
    try:
        output.show({name: getattr(opened, name) for name in fields})
    except (OSError, KeyboardInterrupt):
        # The verification will be billed, so a closed pipe or a full disk must not lose its id.
        say(_("The verification is open: certify_id %s") % opened.certify_id, err=True)
        raise
