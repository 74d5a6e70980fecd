"""A person's name and number: from the environment, standard input or a prompt, never from argv.

Other users of the machine can read a command line in ``ps``, and shells store it in a history.
"""

import getpass
import json
import os
import sys
import warnings
from contextlib import suppress
from typing import Any, Dict, Tuple

from ..crypto.sm2 import Ciphertext, looks_sealed
from ..identity import check_text
from ..locale import Text as _, shown
from .output import Misuse, is_terminal

#: Argument of ``init`` -> prompt. The environment variable is ``FACECERT_`` and the argument.
PROMPTS = {"cert_name": _("Name"), "cert_no": _("Document number")}
SHAPE = '{"cert_name": "...", "cert_no": "..."}'


def read() -> Tuple[str, str]:
    """Return name and number; SM2 ciphertext is returned as ``Ciphertext``.

    FACECERT_CERT_NAME and FACECERT_CERT_NO override one JSON object on standard input. On a
    terminal, prompts without echo ask for what is missing.
    """
    person = {}
    for field in PROMPTS:
        variable = "FACECERT_%s" % field.upper()
        if os.environ.get(variable, "").strip():
            person[field] = check_text(variable, os.environ[variable])
    missing = [field for field in PROMPTS if field not in person]
    if missing and is_terminal(sys.stdin):
        person.update({field: ask(PROMPTS[field]) for field in missing})
    elif len(missing) == 1:
        variable = "FACECERT_%s" % missing[0].upper()
        raise Misuse(_("There is no terminal for a prompt. Set %s as well.") % variable)
    elif missing:
        # Two ciphertexts are far shorter than 65536 bytes.
        person = _from_json(sys.stdin.buffer.read(65536) if sys.stdin else b"")
    for field, text in person.items():
        if looks_sealed(text):
            person[field] = Ciphertext(text)
    return person["cert_name"], person["cert_no"]


def ask(prompt: str) -> str:
    """Ask on the terminal, without echo, until there is an input that is not blank."""
    with warnings.catch_warnings():
        # Without this, getpass warns and then reads with echo.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            text = ""
            while not text.strip():
                # Not click.prompt, which prints the prompt before it switches the echo off.
                text = getpass.getpass(shown(_("%s: ") % prompt))
            return text
        except getpass.GetPassWarning:
            problem = _("This terminal cannot hide what you type. Use standard input.")
        except UnicodeDecodeError:  # it quotes its input
            problem = _("The locale's encoding lacks a character you typed. Try LC_ALL=C.UTF-8.")
    raise Misuse(problem)


def _from_json(data: bytes) -> Dict[str, str]:
    person: Any = None
    wrong = _("is UTF-16, not UTF-8") if b"\0" in data else _("is empty")
    with suppress(ValueError, RecursionError):  # not chained, because they may quote their input
        if data.strip() and b"\0" not in data:
            wrong = _("is not UTF-8 (GBK, perhaps)")
            text = data.decode("utf-8-sig")
            wrong = _("is not one JSON object")
            person = json.loads(text)
    if isinstance(person, dict):
        missing = [field for field in PROMPTS if not str(person.get(field, "")).strip()]
        others = [field for field in PROMPTS if not isinstance(person.get(field, ""), str)]
        if not missing and not others and len(person) == len(PROMPTS):
            return person
        both = _("cert_name and cert_no")
        wrong = _("has other keys than %s") % both
        if missing:
            wrong = _("lacks %s") % (missing[0] if len(missing) == 1 else both)
        elif others:
            wrong = _("is wrong: %s must be a text, in quotation marks")
            wrong %= others[0] if len(others) == 1 else both
    raise Misuse(_(
        "Standard input %s. Give %s there in UTF-8, or set FACECERT_CERT_NAME and FACECERT_CERT_NO."
    ) % (wrong, SHAPE))  # fmt: skip
