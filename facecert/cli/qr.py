"""``facecert qr``."""

from pathlib import Path
from typing import Optional

import click

from ..links import qr_svg, qr_terminal
from ..locale import Text as _
from .help import Command
from .options import certify_url_argument, verbose_option
from .output import Misuse


@click.command(cls=Command)
@certify_url_argument
@click.option("--svg", metavar="FILE", help="Write SVG to this file instead.")
@verbose_option
def command(certify_url: str, svg: Optional[str]) -> None:
    """Print a certify_url as a QR code, to be scanned with Alipay.

    With - the URL is read from standard input.

    Example: facecert qr - < certify_url.txt
    """
    if svg is None:
        click.echo(qr_terminal(certify_url), nl=False)
        return
    try:
        Path(svg).write_text(qr_svg(certify_url), encoding="utf-8")
    except OSError as error:
        raise Misuse(_("The file for --svg cannot be written: %s.") % error.strerror)
