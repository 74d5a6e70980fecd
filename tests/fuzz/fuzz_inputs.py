"""Inputs that the targets share: private texts in every spelling, and near-valid inputs."""

import base64
import json
import pathlib
from urllib.parse import quote

from hypothesis import strategies as st

import facecert

NAME = "欧阳测试甲"
NUMBER = "11010119800101998X"
DIGITS = "330103199001011230"
SECRET = "fuzz-AccessKey-secret-7c1f"
TOKEN = "fuzz.security/token+9e4b"

#: Names, numbers and secrets of the caller, which foreign inputs repeat.
PRIVATE = (NAME, NUMBER, DIGITS, SECRET, TOKEN)


def spellings(text):
    """Return the forms in which a response or callback may repeat a text."""
    escaped = json.dumps(text)[1:-1]
    encoded = base64.b64encode(text.encode("utf-8")).decode("ascii")
    framed = base64.b64encode(("certName=%s&" % text).encode("utf-8")).decode("ascii")
    return [
        text,
        text.lower(),
        quote(text, safe=""),
        quote(quote(text, safe=""), safe=""),
        escaped,
        quote(escaped, safe=""),
        escaped.replace("\\", "\\\\"),
        encoded,
        encoded.rstrip("=").replace("+", "-").replace("/", "_"),
        framed,
    ]


SPELLINGS = sorted({spelling for text in PRIVATE for spelling in spellings(text)})


def _texts_in(code):
    """Yield every text in a compiled module."""
    pending = [code]
    while pending:
        constant = pending.pop()
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, (tuple, frozenset)):
            pending += constant
        else:
            pending += getattr(constant, "co_consts", ())


#: The texts in facecert's source. They may appear in an error even if an input repeats them.
OWN_WORDS = "\n".join(
    text
    for path in sorted(pathlib.Path(facecert.__file__).parent.glob("**/*.py"))
    for text in _texts_in(compile(path.read_text(encoding="utf-8"), str(path), "exec"))
)


def shown_of(error):
    """Return all text of an error, its causes and its contexts."""
    shown, pending, seen = [], [error], set()
    while pending:
        link = pending.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            pending += [link.__cause__, link.__context__]
            shown += [str(link), repr(link), repr(link.args), repr(vars(link))]
            # JSONDecodeError and UnicodeError keep their input.
            shown += [repr(getattr(link, name, "")) for name in ("doc", "object")]
    return "\n".join(shown)


def assert_nothing_private(error, private=()):
    """Fail when an error shows one of PRIVATE in some spelling, or one of these texts as it is."""
    shown = shown_of(error)
    told = [text for text in private if len(text) >= 8 and text not in OWN_WORDS]
    for text in SPELLINGS + told:
        assert text not in shown and repr(text)[1:-1] not in shown, "%r is shown" % text


def quiet(strategy):
    """Return the strategy with a short repr, because Hypothesis warns of long ones."""

    @st.composite
    def drawn(draw):
        return draw(strategy)

    return drawn()


canaries = quiet(st.sampled_from(SPELLINGS))

#: Any text, including lone surrogates.
texts = st.text(st.characters(), max_size=40)


@st.composite
def mutated(draw, whole):
    """Draw a text or bytes from ``whole`` and damage it a little, or not at all."""
    value = draw(whole)
    alphabet = st.binary(max_size=3) if isinstance(value, bytes) else texts_of_edits
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(value)))
        kind = draw(st.sampled_from(("cut", "insert", "replace", "repeat", "end", "case")))
        if kind == "cut":
            value = value[:start] + value[start + draw(st.integers(1, 8)):]
        elif kind == "insert":
            value = value[:start] + draw(alphabet) + value[start:]
        elif kind == "replace":
            value = value[:start] + draw(alphabet) + value[start + 1:]
        elif kind == "repeat":
            value = value[:start] + value[max(0, start - draw(st.integers(1, 40))):]
        elif kind == "end":
            value = value[:start]
        else:
            value = value[:start] + value[start:].swapcase()
    return value


#: Inserted by edits: characters with a meaning for one of the readers.
texts_of_edits = st.text(
    st.one_of(
        st.sampled_from("\x00\t\n\r \"%&+,-./:;=?@[\\]_{}０T\x85\u2028\ufeff\ud800\udcff\U0001f600"),
        st.characters(),
    ),
    max_size=3,
)


def any_case(words):
    """Return a strategy for one of the words in some case."""
    return st.one_of(
        st.sampled_from(words),
        st.builds(
            lambda word, flip: word.swapcase() if flip else word.lower(),
            st.sampled_from(words),
            st.booleans(),
        ),
    )


# --- JSON as text, with content that json.dumps never writes.

_numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["NaN", "-Infinity", "1e999", "-0", "1E400", "9" * 4300, "9" * 4301, "1" + "0" * 9000]
        + [DIGITS, DIGITS + ".5", "1" + DIGITS]
    ),
)
_strings = st.one_of(
    st.one_of(texts, canaries).map(json.dumps),
    # Not escaped: characters that JSON forbids, and lone surrogates.
    st.one_of(texts, canaries).map(lambda text: '"%s"' % text),
    st.sampled_from(['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"T"', '"\\u0054"', '""']),
)
json_scalars = quiet(
    st.one_of(st.sampled_from(["null", "true", "false", "{}", "[]"]), _numbers, _strings)
)


def json_object(pairs):
    """Return the text of an object with these (key, text of the value); keys may repeat."""
    return "{%s}" % ",".join("%s:%s" % (json.dumps(key), value) for key, value in pairs)


json_values = quiet(
    st.recursive(
        json_scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: "[%s]" % ",".join(items)),
            st.lists(st.tuples(texts, inner), max_size=3).map(json_object),
        ),
        max_leaves=6,
    )
)


def nested(depth):
    """Return a strategy for nested arrays or objects up to this depth, closed or not."""
    return st.builds(
        lambda deep, kind, closed: kind[0] * deep + "1" + (kind[1] * deep if closed else ""),
        st.integers(1, depth),
        st.sampled_from((("[", "]"), ('{"a":', "}"), ('{"Data":', "}"))),
        st.booleans(),
    )
