"""``facecert link``."""

import click

from ..links import alipay_link
from .help import Command
from .options import certify_url_argument, verbose_option


@click.command(cls=Command)
@certify_url_argument
@verbose_option
def command(certify_url: str) -> None:
    """Print the link that opens a certify_url in Alipay.

    It is for a browser on the person's phone. With - the URL is read from standard input.

    Example: facecert init | jq -r .certify_url | facecert link -
    """
    click.echo(alipay_link(certify_url))
