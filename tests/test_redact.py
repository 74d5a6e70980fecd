import base64
import json
import sys
import textwrap
import traceback
from urllib.parse import quote, quote_plus

import pytest
from conftest import NAME, NUMBER

from facecert import redact
from facecert.redact import WITHHELD, Private


@pytest.mark.parametrize(
    "name, shown", [("张三", "张*"), ("欧阳娜", "欧**"), ("李", "*"), ("", "*"), ("Ann Li", "A*****")]
)
def test_mask_name(name, shown):
    assert redact.mask_name(name) == shown


@pytest.mark.parametrize(
    "number, shown", [(NUMBER, "1****************X"), ("1234567", "*******"), ("", "")]
)
def test_mask_number(number, shown):
    assert redact.mask_number(number) == shown


SPELLINGS = [
    lambda text: text,
    quote,
    lambda text: quote(quote(text)),
    lambda text: quote(quote(quote(text))),
    quote_plus,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: quote(json.dumps(text)),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.b64encode(("x" + text).encode()).decode(),
    lambda text: base64.b64encode(("xy" + text + "z").encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
]


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("private", [NAME, NUMBER, "token/with+signs=", "a b&c", "𠮷野"])
def test_a_private_text_is_found_in_every_spelling(spell, private):
    text = "before %s after" % spell(private)
    shown = Private(private).shown(text)
    # Where an echo may begin the rest is cut off; else the whole is withheld.
    assert shown in (redact.WITHHELD, "before [rest withheld]", 'before " [rest withheld]'), shown
    assert not Private("something else", "").repeated_in(text)


@pytest.mark.parametrize("private", ["\ue000\ue001'a", "\U0003ffff'a", "(-a-)-"])
def test_bug_one_letter_beside_what_is_no_letter_withheld_every_other_id(private):
    """Python knows no letters in the private use area, nor those newer than itself."""
    assert Private(private).shown_name("0a" * 16, "[0-9a-f]{32}") == "0a" * 16
    echo = base64.b64encode(("xy" + private).encode()).decode().rstrip("=")
    assert Private(private).shown_name(echo, "[A-Za-z0-9+/]+") is None


@pytest.mark.parametrize("length", range(3, 41))
def test_base64_with_nothing_round_it_is_found(length):
    private = ("%0*d" % (length, 7))[::-1]
    for before in ("", "x", "xy"):
        for spelt in (base64.b64encode, base64.urlsafe_b64encode):
            text = spelt((before + private).encode()).decode().rstrip("=")
            assert Private(private).repeated_in(text)
            assert Private(private, "a longer one" * 9).repeated_in(text)


#: Spellings that a peer may echo a request in, besides those above.
ECHOES = [
    lambda text: "".join("&#%d;" % ord(c) for c in text),
    lambda text: "".join("&#x%x;" % ord(c) for c in text),
    lambda text: repr(text.encode()),
    lambda text: quote(text.encode("gbk")),
    lambda text: text.encode("gbk").hex(),
    lambda text: text.encode().hex(),
    lambda text: ":".join("%02x" % byte for byte in text.encode()),
    lambda text: " ".join("0x%02X" % byte for byte in text.encode()),
    lambda text: " ".join(base64.b64encode(text.encode()).decode()),
    lambda text: "\n".join(textwrap.wrap(base64.b64encode(text.encode() * 3).decode(), 16)),
    lambda text: base64.b64encode(text.encode("gbk")).decode(),
    lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if c < "\x7f" else c for c in text),
    lambda text: " ".join(text),
    lambda text: "-".join(text),
    lambda text: "\u200b".join(text),
    lambda text: text[::-1],
    lambda text: " ".join(text[::-1]),
    lambda text: base64.b64encode(text[::-1].encode()).decode(),
    lambda text: text.encode().decode("latin-1"),
    lambda text: text.encode("gbk").decode("latin-1"),
    lambda text: " ".join("U+%04X" % ord(c) for c in text),
    lambda text: " ".join(str(byte) for byte in text.encode()),
    lambda text: text.encode("unicode_escape").decode(),
    lambda text: text.encode("utf-7").decode(),
    lambda text: json.dumps({"certName": text}),
    lambda text: "<b>%s</b>" % text,
    lambda text: "certName=%s" % text,
    str.lower,
    str.swapcase,
    lambda text: "".join("\\%03o" % byte for byte in text.encode()),
    lambda text: "".join("=%02X" % byte for byte in text.encode()),
    lambda text: "".join("u%04x" % ord(c) for c in text),
    lambda text: "".join("%%u%04X" % ord(c) for c in text),
    lambda text: ",".join(str(ord(c)) for c in text),
    lambda text: text.encode().hex()[::-1],
    lambda text: "\u202e" + text[::-1],
    lambda text: ".\n".join(text),
    lambda text: "".join(chr(0x1D7CE + int(c)) if c.isdigit() else c for c in text),
    lambda text: text.encode().decode("cp1252", "replace"),
    lambda text: quote(text.encode("big5", "replace")),
    lambda text: base64.b64encode(b"certNo=" + text.encode()).decode("ascii")[::-1],
    lambda text: "".join(reversed(base64.urlsafe_b64encode(text.encode("gbk")).decode())),
]


@pytest.mark.parametrize("spell", ECHOES)
@pytest.mark.parametrize("private", [NAME, NUMBER])
def test_bug_an_echo_in_another_spelling_was_taken_for_an_id(spell, private):
    assert Private(NAME, NUMBER).shown_name(spell(private), "[A-Za-z0-9._-]{1,64}") is None


@pytest.mark.parametrize("spell", ECHOES)
@pytest.mark.parametrize("private", [NAME, NUMBER])
def test_an_echo_is_not_shown(spell, private):
    echo = spell(private)
    shown = Private(NAME, NUMBER).shown("Not valid: %s." % echo) or ""
    assert echo not in shown and shown.strip(".: ") in (
        redact.WITHHELD, "Not valid: [rest withheld]", "Not valid: b'[rest withheld]",
        "Not valid: certName [rest withheld]", "Not valid: b' [rest withheld]",
        "Not valid: + [rest withheld]",
    ), shown  # fmt: skip


def test_either_case_is_found():
    assert Private(NUMBER).repeated_in("it is %s." % NUMBER.lower())


@pytest.mark.parametrize(
    "text",
    ["ServiceParameters参数不合法: outerOrderNo", "超出100%配额", "saf:ExecuteRequest", "B_50001",
     "系统错误", "Request was denied due to user flow control."],
)  # fmt: skip
def test_useful_messages_are_shown(text):
    assert Private(NAME, NUMBER, "secretword").shown(text) == text


def test_harmless_words_are_shown_on_one_line():
    assert Private(NAME).shown("系统\r\n错误\u2028!\ud800") == "系统  错误 !"
    assert Private().shown(None) is None
    assert Private().shown(" \n") is None


@pytest.mark.parametrize(
    "text", ["call 110101 1990-03", "x" * 41, "好" * 1001, "１２３４５６７８９", "一二三四五六七八九"]
)
def test_what_may_be_a_number_or_a_key_is_withheld(text):
    assert Private().shown(text) == redact.WITHHELD


def test_a_string_to_sign_is_withheld():
    message = "server string to sign is:POST&%2F&AccessKeyId%3Dx"
    assert Private().shown(message) == "server string to sign is:POST [rest withheld]"
    assert Private(NUMBER).shown(message + NUMBER) == redact.WITHHELD


@pytest.mark.parametrize("text, shown", [("R-1", "R-1"), ("r 1", None), (NUMBER, None), (5, None)])
def test_names_and_ids_are_shown_if_they_have_the_form(text, shown):
    assert Private(NUMBER, "R").shown_name(text, "[A-Za-z0-9-]{1,64}") == shown


def test_hidden_values_are_not_shown_and_can_be_taken_once():
    hidden = redact.Hidden("secretword")
    assert "secretword" not in repr(hidden) and "secretword" not in repr(Private("secretword"))
    assert hidden.take() == "secretword" and hidden.take() is None


@redact.guarded
def strike(private, *, named):
    """Raise out of a frame that holds what it was given."""
    copied = private + named
    raise ValueError("struck %d" % len(copied))


def test_a_guarded_function_shows_neither_arguments_nor_variables():
    with pytest.raises(ValueError) as caught:
        strike(NAME, named=NUMBER)
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert [frame.name for frame in found][-2:] == ["entrance", "strike"]
    assert "raise ValueError" in found[-1].line
    shown = repr([frame.locals for frame in found if frame.filename != __file__])
    shown += repr(found[-1].locals)
    assert NAME not in shown and NUMBER not in shown
    assert strike.__name__ == "strike" and strike.__doc__.startswith("Raise out")


def test_a_guarded_functions_live_frames_show_no_arguments():
    @redact.guarded
    def look(private):
        frame = sys._getframe(1)
        assert frame.f_code.co_name == "entrance"
        return repr(frame.f_locals)

    assert NAME not in look(NAME) and NAME not in look(private=NAME)


def test_frames_of_ours_are_emptied_and_the_callers_are_not():
    def below(private):
        raise OSError("below")

    def callers(own):
        raise KeyError("the caller's own trouble")

    try:
        callers("kept")
    except KeyError as error:
        outer = error
        try:
            try:
                below(NAME)
            except OSError as cause:
                raise ValueError("ours") from cause
        except ValueError as ours:
            redact.empty_frames(ours, outer)
            frame = ours.__cause__.__traceback__.tb_next.tb_frame
            assert frame.f_code.co_name == "below" and frame.f_locals == {}
            assert outer.__traceback__.tb_next.tb_frame.f_locals == {"own": "kept"}


def test_emptying_frames_ends_on_a_circle():
    one, two = ValueError(), ValueError()
    one.__cause__, two.__cause__ = two, one
    redact.empty_frames(one)


def test_bug_a_name_in_utf_8_that_was_read_as_gbk_was_shown():
    text = ("认证失败:%s校验不通过" % NAME).encode("utf-8").decode("gb18030")
    assert Private(NAME).shown(text) == WITHHELD
    assert Private(NUMBER).shown("认证失败:请重试") == "认证失败:请重试"
