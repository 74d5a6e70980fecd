"""A person's name and number: from the environment, standard input or a prompt, never from argv.

Other users of the machine can read a command line in ``ps``, and shells store it in a history.
"""

import getpass
import json
import os
import sys
import warnings
from typing import Dict, Tuple

from ..crypto.sm2 import Ciphertext, looks_sealed
from ..identity import check_text
from .output import Misuse, is_terminal

#: Argument of ``init`` -> prompt. The environment variable is ``FACECERT_`` and the argument.
PROMPTS = {"cert_name": "Name", "cert_no": "Document number"}
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
        raise Misuse("There is no terminal for a prompt. Set %s as well." % variable)
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
                text = getpass.getpass(prompt + ": ")
            return text
        except getpass.GetPassWarning:
            problem = "This terminal cannot hide what you type. Use standard input."
        except UnicodeDecodeError:  # it quotes its input
            problem = "The locale's encoding lacks a character of your input. Try LC_ALL=C.UTF-8."
    raise Misuse(problem)


def _from_json(data: bytes) -> Dict[str, str]:
    try:
        person = json.loads(data.decode("utf-8-sig"))
        if set(person) == set(PROMPTS) and all(text.strip() for text in person.values()):
            return dict(person)
    except (AttributeError, TypeError, ValueError, RecursionError):
        pass  # not chained, because the error may quote its input
    raise Misuse(
        "Standard input %s. Give %s there, or set FACECERT_CERT_NAME and FACECERT_CERT_NO."
        % ("is not a name and a number" if data else "is empty", SHAPE)
    )
