"""The guides below examples/: README.rst and its Chinese mirror README.zh.rst in each folder."""

import re
import textwrap

from conftest import ROOT

GUIDES = sorted(path.parent for path in (ROOT / "examples").glob("*/README.rst"))
LANGUAGES = ("README.rst", "README.zh.rst")

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", re.M)
_LITERAL = re.compile("``.+?``")
_LINK = re.compile(r"<([^<>\s]+)>`_")


def blocks(page, *languages):
    """Return the code blocks of a page, all of them or those in some languages."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [
        textwrap.dedent(code).strip("\n") + "\n"
        for language, code in found if language in (languages or [language])
    ]  # fmt: skip


def files(page):
    """Return the Python that a page holds, name -> text. Each block begins with ``# name.py``."""
    found = {}
    for block in blocks(page, "python"):
        found[re.match("# ([a-z0-9_/]+[.]py)", block).group(1)] = block
    return found


def commands(page):
    """Return the commands of a page's console blocks, each a list of words."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    typed = [line[2:].partition("  #")[0] for line in lines if line.startswith("$ ")]
    return [part.split() for line in typed for part in re.split(r" && | \| ", line)]


def links(page):
    """Return the targets of a page's links."""
    return _LINK.findall(_prose(page))


def literals(page):
    """Return the literals of a page, code blocks excepted."""
    return _LITERAL.findall(_prose(page))


def skeleton(page):
    """Return what a page has in any language.

    That is the literals of each section, the literals of each table's rows, how long each list is,
    and where the links lead. Code blocks are compared by themselves.
    """
    sections = re.split(r"\n(?:==+|--+)\n", _prose(page).replace(".zh.rst", ".rst"))
    return [
        (
            sorted(set(_LITERAL.findall(section))),
            [sorted(_LITERAL.findall(row)) for row in _rows(section)],
            len(re.findall(r"^(?:\*|\d\.) ", section, re.M)),
            sorted(_LINK.findall(section)),
        )
        for section in sections
    ]


def _prose(page):
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def _rows(section):
    """Return the rows of a section's tables; a line with an empty first cell continues a row."""
    tables = re.findall(r"^(=+(?: =+)+)\n(.+?)\n\1\n(.+?)\n\1$", section, re.M | re.S)
    joined = [re.sub(r"\n +", " ", head + "\n" + body) for _, head, body in tables]
    return [row for table in joined for row in table.splitlines()]
