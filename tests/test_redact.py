import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from conftest import NAME, NUMBER

from facecert import redact


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
def test_repeats_finds_every_spelling(spell, private):
    text = "before %s after" % spell(private)
    assert redact.repeats(text, [private])
    assert not redact.repeats(text, ["something else", ""])
    assert redact.presentable(text, [private]) == redact.WITHHELD


@pytest.mark.parametrize("length", range(3, 41))
def test_repeats_finds_base64_with_nothing_round_it(length):
    private = ("%0*d" % (length, 7))[::-1]
    for before in ("", "x", "xy"):
        for spelt in (base64.b64encode, base64.urlsafe_b64encode):
            text = spelt((before + private).encode()).decode().rstrip("=")
            assert redact.repeats(text, [private])
            assert redact.repeats(text, [private, "a longer one" * 9])


def test_repeats_finds_either_case():
    assert redact.repeats("it is %s." % NUMBER.lower(), [NUMBER])


def test_presentable_keeps_harmless_words_on_one_line():
    assert redact.presentable("系统\r\n错误\u2028!\ud800", [NAME]) == "系统  错误 !"
    assert redact.presentable(None, []) is None
    assert redact.presentable(" \n", []) is None


def test_presentable_withholds_a_string_to_sign_and_a_novel():
    message = "server string to sign is:POST&%2F&AccessKeyId%3Dx"
    assert redact.presentable(message, []) == redact.WITHHELD
    assert redact.presentable("x" * 2001, []) == "[withheld: 2001 characters]"


def test_forget_frames_takes_ours_and_leaves_the_callers():
    try:
        raise KeyError("the caller's own trouble")
    except KeyError as error:
        outer = error
        try:
            try:
                raise OSError("below")
            except OSError as below:
                raise ValueError("ours") from below
        except ValueError as ours:
            redact.forget_frames(ours, outer)
            assert ours.__traceback__ is None
            assert ours.__cause__.__traceback__ is None
            assert outer.__traceback__ is not None


def test_forget_frames_ends_on_a_circle():
    one, two = ValueError(), ValueError()
    one.__cause__, two.__cause__ = two, one
    redact.forget_frames(one)
