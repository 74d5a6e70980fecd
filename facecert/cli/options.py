"""What several commands take: options, arguments, and the client that they make of them."""

import logging
import re
import sys
from typing import Any, Callable, Optional, TypeVar

import click

from ..client import Client
from ..errors import InvalidParameter
from ..params import check_scene_id
from .output import Misuse, Output

Command = TypeVar("Command", bound=Callable[..., Any])


def connect(scene_id: Optional[str] = None) -> Client:
    """Make a client from the environment, for this scene or that of FACECERT_SCENE_ID.

    Raises:
        InvalidParameter: ``scene_id`` or a setting is wrong; then ``field`` is the variable's name.
        Misuse: there is no scene.
    """
    try:
        client = Client.from_environment()
    except InvalidParameter as error:
        if not error.field.startswith("FACECERT_"):
            error.add_evidence(field="FACECERT_%s" % error.field.upper())
        raise
    if scene_id is not None:
        client.scene_id = check_scene_id(scene_id)
    if client.scene_id is None:
        raise Misuse(
            "Set FACECERT_SCENE_ID to your scene's number from the console. (init, query and wait"
            " take it as --scene-id, too.)"
        )
    return client


def scene_option(command: Command) -> Command:
    """Add ``--scene-id``."""
    return click.option(
        "--scene-id", metavar="DIGITS", help="The scene, instead of FACECERT_SCENE_ID."
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``; the command gets an ``Output`` as ``output``."""
    return click.option(
        "--json",
        "output",
        is_flag=True,
        callback=lambda ctx, option, asked: Output(bool(asked)),
        help="Print JSON, errors too. Where there is no terminal, results are JSON anyway.",
    )(command)


def verbose_option(command: Command) -> Command:
    """Add ``--verbose``, which shows facecert's own log records on standard error."""
    return click.option(
        "--verbose",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_log_to_stderr,
        help="Show facecert's log on standard error; it holds no personal data.",
    )(command)


def certify_id_argument(command: Command) -> Command:
    """Add the argument CERTIFY_ID."""
    return click.argument("certify_id", callback=no_document_number)(command)


def certify_url_argument(command: Command) -> Command:
    """Add the argument CERTIFY_URL, or ``-`` for standard input."""
    return click.argument("certify_url", callback=_or_from_stdin)(command)


def _log_to_stderr(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    logger, handler, level = logging.getLogger("facecert"), logging.StreamHandler(), logging.DEBUG
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    ctx.call_on_close(lambda: logger.setLevel(before))
    ctx.call_on_close(lambda: logger.removeHandler(handler))


def no_document_number(
    ctx: click.Context, argument: click.Parameter, value: Optional[str]
) -> Optional[str]:
    """Refuse what looks like a document number where a CERTIFY_ID belongs."""
    if value and re.fullmatch("[0-9]{17}[0-9Xx]", value):
        raise Misuse(
            "This looks like a document number. CERTIFY_ID is what init printed. The command line"
            " shows in ps and in the shell's history: consider the number seen."
        )
    return value


def _or_from_stdin(ctx: click.Context, argument: click.Parameter, value: str) -> str:
    if value != "-":
        return value
    return (sys.stdin.readline() if sys.stdin else "").strip()
