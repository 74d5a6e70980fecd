"""A person's name and number: from the environment, standard input or a prompt, never from argv.

Other users of the machine read a command line in ``ps``, and shells keep it in their history.
"""

import getpass
import json
import os
import sys
import warnings
from typing import Dict, Tuple


from ..identity import check_text
from ..crypto.sm2 import Ciphertext, is_ciphertext
from .output import Misuse, is_terminal

#: Argument of ``init`` -> (environment variable, what is asked for).
SOURCES = {
    "cert_name": ("FACECERT_CERT_NAME", "Name"),
    "cert_no": ("FACECERT_CERT_NO", "Document number"),
}

SHAPE = '{"cert_name": "...", "cert_no": "..."}'

#: Bytes; a name and a number as ciphertext are far shorter.
_LONGEST_INPUT = 65536


def read() -> Tuple[str, str]:
    """Return name and number. What is SM2 ciphertext comes as ``Ciphertext``.

    FACECERT_CERT_NAME and FACECERT_CERT_NO win; then comes standard input, if it is no terminal,
    as one JSON object; then prompts without echo.

    Raises:
        InvalidParameter: a variable is not valid Unicode text; ``field`` is its name.
        Misuse: neither came; the message quotes nothing.
    """
    person = {
        field: check_text(variable, os.environ[variable])
        for field, (variable, _) in SOURCES.items()
        if os.environ.get(variable, "").strip()
    }
    missing = [field for field in SOURCES if field not in person]
    if missing and not is_terminal(sys.stdin):
        if len(missing) < len(SOURCES):
            variable = SOURCES[missing[0]][0]
            raise Misuse("There is no terminal to ask on. Set %s as well." % variable)
        person = from_json(stdin_bytes(_LONGEST_INPUT))
    elif missing:
        person.update({field: ask(SOURCES[field][1]) for field in missing})
    name, number = (
        Ciphertext(person[field]) if is_ciphertext(person[field]) else person[field]
        for field in SOURCES
    )
    return name, number


def ask(prompt: str) -> str:
    """Ask on the terminal, without echo, until something is typed.

    Not with ``click.prompt``, which shows the prompt before it switches the echo off.
    """
    with warnings.catch_warnings():
        # getpass would only warn and then echo it.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            text = ""
            while not text.strip():
                text = getpass.getpass(prompt + ": ")
            return text
        except getpass.GetPassWarning:
            problem = "This terminal cannot hide what you type. Use standard input."
        except UnicodeDecodeError:  # it quotes its input
            problem = "The locale's encoding lacks what you typed; try it with LC_ALL=C.UTF-8."
    raise Misuse(problem)


def stdin_bytes(limit: int = -1) -> bytes:
    """Return what comes on standard input, at most so many bytes."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read(limit)


def from_json(data: bytes) -> Dict[str, str]:
    """Read ``{"cert_name": "...", "cert_no": "..."}``, in UTF-8.

    Raises:
        Misuse: it is something else.
    """
    try:
        person = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # they quote their input
        person = None
    if (
        not isinstance(person, dict)
        or set(person) != set(SOURCES)
        or not all(isinstance(text, str) and text.strip() for text in person.values())
    ):
        raise Misuse(
            "%s on standard input: give %s there, or set %s and %s."
            % (
                "Something else came" if data else "Nothing came",
                SHAPE,
                *(variable for variable, _ in SOURCES.values()),
            )
        ) from None
    return person
