"""Commands whose help pages are in the user's language, and wrapped by cells of the terminal."""

import copy
import inspect
import re
from typing import Any, Iterable, Iterator, Tuple

import click

from ..locale import Text, Text as _, shown

if not hasattr(click.exceptions, "Exit"):
    raise ImportError("%s is here" % click.__version__, name="click")

#: A character of two cells, with the signs that may not begin or end a line.
_WIDE = "[\uff08\u300a]?[\u3000-\u9fff\uff01-\uff60][\u3001\u3002\u300b\uff09\uff0c\uff1a\uff1b]*"


class _Formatter(click.HelpFormatter):
    """Adds a blank for each wide character while click wraps, because click counts characters."""

    def write_text(self, text: str) -> None:
        super().write_text(_with_blanks(text))

    def write_dl(self, rows: Iterable[Tuple[str, str]], *args: Any, **more: Any) -> None:
        super().write_dl([(term, _with_blanks(text)) for term, text in rows], *args, **more)

    def getvalue(self) -> str:
        found = super().getvalue()
        return re.sub("(%s)( +)" % _WIDE, lambda one: one[1] + one[2][len(one[1]):], found)


class Command(click.Command):
    """A command. Its docstring and the help of its options are translated when they are shown."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help page."""
        page = copy.copy(self)
        page.help = "\n\n".join(map(shown, paragraphs(self.help or "")))
        page.params = [copy.copy(parameter) for parameter in self.params]
        for option in page.params:
            if isinstance(option, click.Option) and option.help:
                option.help = shown(Text(option.help))
        formatter = _Formatter(width=ctx.terminal_width, max_width=ctx.max_content_width)
        page.format_help(ctx, formatter)
        return formatter.getvalue().rstrip("\n")


class Group(Command, click.Group):
    """A group, which lists its commands by the first line of their help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        with formatter.section(shown(_("Commands"))):
            formatter.write_dl([(name, shown(line)) for name, line in self.lines(ctx)])

    def lines(self, ctx: click.Context) -> Iterable[Tuple[str, str]]:
        """Yield the name of each command and the first line of its help."""
        for name, command in self.commands.items():
            yield name, next(paragraphs(command.help or ""))


def paragraphs(text: str) -> Iterator[Text]:
    """Yield the paragraphs of a help text. Each is translated by itself, without line breaks."""
    for one in inspect.cleandoc(text).split("\n\n"):
        if one.startswith("Example: "):
            yield _("Example: ") + one[len("Example: "):]
        else:
            yield Text(one if one.startswith("\b") else one.replace("\n", " "))


def _with_blanks(text: str) -> str:
    return re.sub(_WIDE, lambda one: one[0] + " " * len(one[0]), text)
