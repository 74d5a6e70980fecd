"""``facecert init``."""

from typing import Any, List, Optional

import click

from ..params import BIZ_CODES
from . import prompts
from .options import connect, json_option, scene_option, verbose_option
from .output import Misuse, Output

_REFUSED = (
    "init takes no such thing on its command line. A name or a number would be seen there by"
    " everyone who lists processes, and kept in the shell's history. Nothing was sent; what was"
    " typed is not repeated here. If it was somebody's name or number, consider it seen, and remove"
    " it from the history. See facecert init --help for the ways to give them."
)


class _Init(click.Command):
    """Refuses whatever it does not know, without quoting it."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        try:
            return super().parse_args(ctx, args)
        except (click.BadParameter, click.BadOptionUsage):
            raise  # about an option that it has
        except click.UsageError:
            pass
        raise Misuse(_REFUSED, ctx)


@click.command(cls=_Init)
@scene_option
@click.option(
    "--outer-order-no", metavar="NO", help="Your order's number, never used before; else made."
)
@click.option("--return-url", metavar="URL", default="", help="Where the person goes afterwards.")
@click.option("--callback-url", metavar="URL", help="https://... that the platform calls.")
@click.option(
    "--biz-code", type=click.Choice(BIZ_CODES), default="FACE", show_default=True,
    help="FACE: mini-program, H5. FACE_SDK: iOS, Android.",
)  # fmt: skip
@click.option(
    "--encrypt/--no-encrypt", default=None, help="SM2 or not, instead of FACECERT_ENCRYPT."
)
@json_option
@verbose_option
def command(
    output: Output, scene_id: Optional[str], encrypt: Optional[bool], **arguments: Any
) -> None:
    """Open a verification; it may cost money.

    Name and number are asked for without echo. For programs: one JSON object on standard input,
    {"cert_name": "...", "cert_no": "..."}, or FACECERT_CERT_NAME and FACECERT_CERT_NO. Never on
    the command line, which others can read. They may be ciphertext from facecert encrypt.

    Prints certify_id (keep it: the bill is by it), outer_order_no, certify_url, expires_at and
    request_id. Exit code 4: it may have been opened; look for outer_order_no in the console.

    Example: facecert init --callback-url https://shop.example/verified
    """
    with connect(scene_id) as client:
        name, number = prompts.read()
        opened = client.init(cert_name=name, cert_no=number, encrypt=encrypt, **arguments)
    result = {
        "certify_id": opened.certify_id,
        "outer_order_no": opened.outer_order_no,
        "certify_url": opened.certify_url,
        "expires_at": opened.expires_at.isoformat(timespec="seconds"),
        "request_id": opened.request_id,
    }
    try:
        output.show(result)
    except OSError:
        # It is open and will be billed, so its id must not get lost with a pipe or a full disk.
        click.echo("It was opened: certify_id %s" % opened.certify_id, err=True)
        raise
