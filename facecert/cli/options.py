"""Options and arguments that several commands share, and the client that they make."""

import logging
import re
import sys
from functools import partial
from typing import Any, Optional

import click

from ..client import Client
from ..errors import InvalidParameter
from ..locale import Text as _
from ..params import check_scene_id
from .output import Misuse, Output


def connect(scene_id: Optional[str] = None) -> Client:
    """Return a client from the environment; ``scene_id`` overrides FACECERT_SCENE_ID."""
    try:
        client = Client.from_environment()
    except InvalidParameter as error:
        if error.field.isupper():
            raise
        variable = "FACECERT_%s" % error.field.upper()
        raise InvalidParameter("%s: %s" % (variable, error), field=variable)
    if scene_id is not None:
        client.scene_id = check_scene_id(scene_id)
    if client.scene_id is None:
        raise Misuse(_("Set FACECERT_SCENE_ID to the scene's number, or give --scene-id."))
    return client


def no_document_number(ctx: click.Context, argument: click.Parameter, value: Any) -> Any:
    """Refuse a CERTIFY_ID that looks like a document number."""
    if value and re.fullmatch("[0-9]{17}[0-9Xx]", value):
        raise Misuse(_(
            "This looks like a document number. CERTIFY_ID is what init printed. Other users can"
            " read the command line, and the shell stores it: consider the number disclosed."
        ))
    return value


def _or_from_stdin(ctx: click.Context, argument: click.Parameter, value: str) -> str:
    if value == "-":
        value = sys.stdin.readline().strip() if sys.stdin else ""
    return value


def _log_to_stderr(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        logger, handler = logging.getLogger("facecert"), logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        ctx.call_on_close(partial(logger.setLevel, logger.level))
        ctx.call_on_close(partial(logger.removeHandler, handler))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)


#: CERTIFY_URL, or ``-`` for standard input.
certify_url_argument = click.argument("certify_url", callback=_or_from_stdin)

scene_option = click.option("--scene-id", metavar="DIGITS",
                            help="The scene; overrides FACECERT_SCENE_ID.")

column_option = click.option("--column", metavar="NAME", default="certifyId", show_default=True,
                             help="The column (CSV) or key (JSONL) that holds the ids.")

#: The command gets an ``Output`` as ``output``.
json_option = click.option(
    "--json", "output", is_flag=True, callback=lambda ctx, option, asked: Output(bool(asked)),
    help="Print JSON, errors too. Without a terminal, results are always JSON.")

verbose_option = click.option(
    "--verbose", is_flag=True, is_eager=True, expose_value=False, callback=_log_to_stderr,
    help="Print facecert's log on standard error; it holds no personal data.")
