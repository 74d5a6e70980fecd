"""``facecert encrypt``."""

import re
import sys
from itertools import chain
from typing import Iterator

import click

from ..crypto.sm2 import encrypt
from ..locale import Text as _
from .help import Command
from .options import verbose_option
from .output import Misuse, is_terminal
from .prompts import ask


@click.command(cls=Command)
@verbose_option
def command() -> None:
    """Encrypt a name or a number with SM2.

    On a terminal it asks for the text, without echo. Otherwise it reads lines from standard input
    (UTF-8) and prints one ciphertext a line. It takes no text from the command line, which other
    users can read.

    Blanks around a text are removed, the final x of an 18-character number becomes X, and
    ciphertext stays unchanged. The key is FACECERT_SM2_PUBLIC_KEY, or the published one.

    Example: facecert encrypt < names.txt > ciphertexts.txt
    """
    for number, text in enumerate(_texts(), 1):
        if not text:
            raise Misuse(_("Line %d is blank or not UTF-8. Later lines were not read.") % number)
        if re.fullmatch("[0-9]{17}x", text):
            text = text.upper()
        click.echo(encrypt(text))


def _texts() -> Iterator[str]:
    if is_terminal(sys.stdin):
        yield ask(_("Text")).strip()
    elif sys.stdin is not None:
        # A file knows no lines that end with CR only.
        for line in chain.from_iterable(map(bytes.splitlines, sys.stdin.buffer)):
            try:
                yield line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:  # it quotes its input
                yield ""
