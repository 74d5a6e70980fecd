"""The code and the literals of a page."""

import re
import textwrap

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", re.M)


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


def literals(page):
    """Return the literals of a page, code blocks excepted."""
    return re.findall("``.+?``", _BLOCK.sub("", page.read_text(encoding="utf-8")))
