"""Draw what growth.py has measured: time for each item against their number, as an SVG.

    python tests/bench/growth.py --json tests/bench/growth.json
    python tests/bench/picture.py tests/bench/growth.json tests/bench/growth.svg

It brings its own background, so that it can be read on any page; where the reader prefers dark
ones, it is dark. It is narrow, so that its letters are large enough on a phone.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 480, 540
LEFT, RIGHT, TOP, BOTTOM = 66, 340, 84, 444

#: measurement -> its words, colour on light, colour on dark
SHOWN = {
    "keep init": ("keep an init", "#b3261e", "#ff8a80"),
    "find": ("find by id", "#6a3fb5", "#c3a6ff"),
    "query": ("a query", "#0b5cad", "#7db8ff"),
    "batch": ("id of a batch", "#00695c", "#5fd6c4"),
    "bill add": ("line of a bill", "#8a5300", "#f0b45a"),
    "entries": ("read a row", "#3d4650", "#c4ccd6"),
}

STYLE = """
text { font: 15px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1c2126 }
.card { fill: #ffffff; stroke: #d3d9df }
.grid { stroke: #e3e7eb }
.small { font-size: 13px; fill: #4d5761 }
.head { font-size: 18px; font-weight: 600 }
.label { font-size: 14px; font-weight: 600 }
polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.leader { stroke-width: 1 }
%s
@media (prefers-color-scheme: dark) {
text { fill: #e8ecf0 }
.card { fill: #14181d; stroke: #39424c }
.grid { stroke: #2a313a }
.small { fill: #a9b4bf }
%s
}
"""

#: What the two rows of words about a line need.
APART = 38


class Line(NamedTuple):
    name: str
    time: str
    points: List[Tuple[float, float]]


def spelled(us: float) -> str:
    """Spell microseconds with two digits that count: ``0.47 ms``, ``36 µs``."""
    unit, value = ("ms", us / 1000) if us >= 100 else ("µs", us)
    digits = max(0, 1 - math.floor(math.log10(value)))
    return "%.*f %s" % (digits, value, unit)


class Scale:
    """A logarithmic axis of whole decades."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(self.low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def decades(self) -> List[float]:
        return [10.0 ** power for power in range(self.low, self.high + 1)]


def draw(result: Dict[str, Any]) -> str:
    """Return the SVG of a result of growth.py."""
    sizes: List[int] = result["sizes"]
    shown = {name: result["times"][name] for name in SHOWN}
    across = Scale(sizes, LEFT, RIGHT)
    up = Scale([us for figures in shown.values() for us in figures["us"]], BOTTOM, TOP)
    lines = [
        Line(
            name,
            spelled(figures["us"][-1]),
            [(across.at(size), up.at(us)) for size, us in zip(sizes, figures["us"])],
        )
        for name, figures in shown.items()
    ]
    parts = [text(20, 34, "Time for each item", "head")]
    parts.append(text(20, 56, "level: it costs the same however many there are", "small"))
    for value in across.decades():
        x = across.at(value)
        parts.append(rule(x, TOP, x, BOTTOM))
        parts.append(text(x, BOTTOM + 20, "{:,.0f}".format(value), "small", "middle"))
    for value in up.decades():
        parts.append(rule(LEFT, up.at(value), RIGHT, up.at(value)))
        label = "%g %s" % ((value / 1000, "ms") if value >= 1000 else (value, "µs"))
        parts.append(text(LEFT - 8, up.at(value) + 5, label, "small", "end"))
    middle = (LEFT + RIGHT) / 2
    parts.append(text(middle, BOTTOM + 42, "items done, or there already", "small", "middle"))
    of = "Python %s, SQLite %s; without the service's own time"
    parts.append(text(20, HEIGHT - 20, of % (result["python"], result["sqlite"]), "small"))
    for line in lines:
        parts.append(polyline(line.points, css(line.name)))
    parts += labels(lines)
    words = ["%s: %s" % (shown[line.name]["item"], line.time) for line in lines]
    return svg("\n".join(parts), words)


def labels(lines: Sequence[Line]) -> List[str]:
    """Write the words about each line beside its end, moved where they would meet."""
    parts = []
    order = sorted(lines, key=lambda line: line.points[-1][1])
    at: List[float] = []
    for line in order:
        at.append(max([line.points[-1][1]] + [y + APART for y in at[-1:]]))
    lowest = BOTTOM + APART / 2
    for place in reversed(range(len(at))):
        at[place] = min(at[place], lowest)
        lowest = at[place] - APART
    for line, y in zip(order, at):
        end = line.points[-1]
        parts.append(polyline([end, (RIGHT + 16, y)], "leader " + css(line.name)))
        style = "label " + css(line.name)
        parts.append(text(RIGHT + 20, y - 1, SHOWN[line.name][0], style))
        parts.append(text(RIGHT + 20, y + 15, line.time, "small"))
    return parts


def polyline(points: Sequence[Tuple[float, float]], style: str) -> str:
    places = " ".join("%.1f,%.1f" % point for point in points)
    return '<polyline class="%s" points="%s"/>' % (style, places)


def css(name: str) -> str:
    return "of-" + name.replace(" ", "-")


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    return '<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (
        x, y, style, anchor, escape(words)
    )  # fmt: skip


def rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return '<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>' % (x, y, to_x, to_y)


def svg(content: str, words: Sequence[str]) -> str:
    themes = [
        "\n".join(
            "polyline.%s { stroke: %s } text.%s { fill: %s }" % (css(name), tone, css(name), tone)
            for name, tone in ((name, shown[theme]) for name, shown in SHOWN.items())
        )
        for theme in (1, 2)
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d"'
        ' viewBox="0 0 %d %d">\n<title>Time for each item against their number</title>\n'
        "<desc>%s</desc>\n<style>%s</style>\n"
        '<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>\n%s\n</svg>\n'
    ) % (
        WIDTH, HEIGHT, WIDTH, HEIGHT, escape("; ".join(words)), STYLE % tuple(themes),
        WIDTH - 1, HEIGHT - 1, content,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", help="what growth.py --json has written")
    parser.add_argument("picture", help="the SVG file to write")
    options = parser.parse_args()
    result = json.loads(Path(options.figures).read_text("utf-8"))
    Path(options.picture).write_text(draw(result), "utf-8")


if __name__ == "__main__":
    main()
