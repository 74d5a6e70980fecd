"""Translations of the command line and the doctor, by gettext; JSON and exceptions are English."""

import gettext
import operator
import os
import sys
from typing import Any

DOMAIN = "facecert"


class Text(str):
    """An English text that knows its parts, so that ``shown`` can translate it when it is printed.

    A text made from it by ``%`` or ``+`` is one too.
    """

    _parts: Any = None

    def __mod__(self, values: Any) -> "Text":
        return self._made(operator.mod, values)

    def __add__(self, more: str) -> "Text":
        return self._made(operator.add, more)

    def _made(self, how: Any, other: Any) -> "Text":
        text = Text(how(str(self), other))
        text._parts = how, self, other
        return text


def shown(value: Any) -> Any:
    """Return a Text in the user's language, also within a tuple or dict; others as they are."""
    if isinstance(value, Text):
        if value._parts is None:
            return gettext.dgettext(DOMAIN, str(value)) if value else ""  # "" is the header
        how, text, other = value._parts
        return how(shown(text), shown(other))
    if isinstance(value, tuple):
        return tuple(map(shown, value))
    return {key: shown(one) for key, one in value.items()} if isinstance(value, dict) else value


def choose() -> None:
    """Translate this process's texts, click's too, unless standard output lacks the characters.

    LANGUAGE, LC_ALL, LC_MESSAGES or LANG chooses the language, in this order.
    """
    folder = os.path.dirname(__file__)
    try:
        "\u5b9e\u4eba\u8ba4\u8bc1".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        folder = os.devnull  # where no catalogue is
    gettext.bindtextdomain(DOMAIN, folder)
    gettext.textdomain(DOMAIN)
