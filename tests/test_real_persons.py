"""Names and numbers as people type and paste them: sent in the service's form, or refused."""

import json

import pytest
from conftest import NAME, NUMBER, ROOT, VECTORS, real_inputs
from hypothesis import given
from hypothesis import strategies as st

import facecert
from facecert import InvalidParameter
from facecert.sandbox.keys import decrypt

GOOD = {"cert_name": NAME, "cert_no": NUMBER}
SENT, REFUSED = "sent", "refused"
ASCII = "330103199001011230"

#: Kinds of reported inputs (the beginning of ``run``) by the module that reads them.
KINDS = {
    "test_real_persons.py": ["init(cert_no=input)", "init(cert_name=input)"],
    "crypto/test_real_keys.py": [
        "PublicKey.parse(input), Client(sm2_public_key=input)", "Ciphertext(input)",
        "init(cert_name=input, encrypt=True): ciphertext",
    ],
    "contrib/test_real_callbacks.py": ["callback view, token genuine"],
    "cli/test_real_standard_input.py": ["facecert init < FILE"],
    "test_real_settings.py": [
        "facecert query ID, with these variables", "init with FACECERT_LEDGER=input",
    ],
    "ledger/test_real_bills.py": ["facecert ledger import-bill"],
    "batch/test_real_ids.py": ["facecert query --batch FILE"],
}  # fmt: skip

#: Number, what becomes of it, why.
NUMBERS = [
    ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X", "an IME's full-width letters"),
    ("𝟛𝟛𝟘𝟙𝟘𝟛𝟙𝟡𝟡𝟘𝟘𝟙𝟘𝟙𝟙𝟚𝟛𝟘", ASCII, "a font of a chat program"),
    ("330103\u00a019900101\u00a01230", ASCII, "copied from a web page"),
    ("330103\u300019900101\u30001230", ASCII, "blanks of an IME"),
    ("\t330103199001011230\r\n", ASCII, "a cell and a line of a file"),
    ("330103199001011230\u2028", ASCII, "a line of a word processor"),
    ("\u202a330103199001011230\u202c", ASCII, "copied from a property window"),
    ("\xad330103199001011230\u2060", ASCII, "other invisible characters"),
    ("AB123456（7）", "AB123456(7)", "full-width parentheses"),
    ("G/123-456", "G/123-456", "marks that numbers have"),
    ("e12345678", "e12345678", "only the final x of 18 characters has a rule"),
    ("H1234567x", "H1234567x", "only the final x of 18 characters has a rule"),
    ("0" * 64, "0" * 64, "the longest"),
    ("330103\u200b199001011230", REFUSED, "an invisible character inside"),
    ("330103\xad199001011230", REFUSED, "a soft hyphen inside"),
    ("330103\u2028199001011230", REFUSED, "two lines"),
    ("330103\t199001011230", REFUSED, "two cells"),
    ("330103\n199001011230", REFUSED, "two lines"),
    ("\x0b330103199001011230", REFUSED, "a control character that no form adds"),
    ("٣٣٠١٠٣١٩٩٠٠١٠١١٢٣٠", REFUSED, "other digits than those of the document"),
    ("1.10105194912310E+17", REFUSED, "a cell that Excel made a number"),
    ("110105194912310000", REFUSED, "the 15 digits that Excel keeps"),
    ("330103199001011203", REFUSED, "two digits in the wrong order"),
    ("11010519491231003X", REFUSED, "a wrong digit before an X"),
    ("身份证330103199001011230", REFUSED, "copied with its label"),
    ("330103199001011230。", REFUSED, "copied with the end of its sentence"),
    ("330103−19900101−1230", REFUSED, "minus signs"),
    ("330103\ud800199001011230", REFUSED, "undecodable"),
    ("\u200b\u3000\ufeff", REFUSED, "looks empty"),
    (330103199001011230, REFUSED, "an int"),
    (330103199001011230.0, REFUSED, "a float"),
    (ASCII.encode("ascii"), REFUSED, "bytes"),
    (None, REFUSED, "NULL"),
]

NAMES = [
    ("\u2060张三\u00a0", "张三", "invisible at the ends"),
    ("\u202a张三\u202c", "张三", "copied from a property window"),
    ("\t张三\r\n", "张三", "a cell and a line of a file"),
    ("阿卜杜拉·麦麦提·艾力", "阿卜杜拉·麦麦提·艾力", "several middle dots"),
    ("阿凡提•买买提", "阿凡提•买买提", "another dot stays as typed"),
    ("ئابدۇللا مەمەت", "ئابدۇللا مەمەت", "Uyghur letters"),
    ("བཀྲ་ཤིས་", "བཀྲ་ཤིས་", "Tibetan letters"),
    ("José Núñez d’Été", "José Núñez d’Été", "accents, an apostrophe"),
    ("Jose\u0301", "Jose\u0301", "a combining accent stays as typed"),
    ("王\ue863", "王\ue863", "private use"),
    ("\U00030edd氏", "\U00030edd氏", "an extension that this Python's Unicode may not know"),
    ("Ｊｏｈｎ", "Ｊｏｈｎ", "a name is not normalised"),
    ("张\u2028三", REFUSED, "two lines"),
    ("张\t三", REFUSED, "two cells"),
    ("张\ufeff三", REFUSED, "invisible inside"),
    ("张三\x7f", REFUSED, "a control character that no form adds"),
    ("张\ud800三", REFUSED, "undecodable"),
    ("\u200b", REFUSED, "looks empty"),
    (5, REFUSED, "an int"),
    (None, REFUSED, "NULL"),
]  # fmt: skip


def handed(run):
    return [(typed, expect.get(SENT, REFUSED), why) for typed, expect, why in real_inputs(run)]


ROWS = [("cert_no",) + row for row in handed("init(cert_no=input)") + NUMBERS]
ROWS += [("cert_name",) + row for row in handed("init(cert_name=input)") + NAMES]


@pytest.mark.parametrize("field, typed, expect, why", ROWS, ids=[ascii(row[1]) for row in ROWS])
def test_what_people_type(sandbox, client, field, typed, expect, why):
    wire = {"cert_no": "certNo", "cert_name": "certName"}[field]
    if expect == REFUSED:
        for encrypt in (False, True):
            with pytest.raises(InvalidParameter) as caught:
                client.init(encrypt=encrypt, **dict(GOOD, **{field: typed}))
            assert caught.value.field == field and caught.value.__context__ is None
            assert str(typed) not in str(caught.value) or typed is None
        assert sandbox.requests == []
        return
    client.init(**dict(GOOD, **{field: typed}))
    assert sandbox.requests[-1].service_parameters[wire] == expect
    client.init(encrypt=True, **dict(GOOD, **{field: typed}))
    sealed = sandbox.requests[-1].service_parameters[wire]
    assert decrypt(sealed, sandbox._service.sm2_keys.private_key) == expect


def test_an_int_is_told_from_an_empty_text(client):
    for number, words in ((330103199001011230, "a str, not an int"), (None, "not NoneType")):
        with pytest.raises(InvalidParameter, match=words):
            client.init(cert_name=NAME, cert_no=number)
    with pytest.raises(InvalidParameter, match="not empty"):
        client.init(cert_name=NAME, cert_no="\u3000")


WRONG = "330103199001011231"


def test_the_check_digit_can_be_switched_off(sandbox):
    for words in ("mistyped", "test data", "11010519491231002X", "check_digit=False"):
        with sandbox.client() as client, pytest.raises(InvalidParameter, match=words) as caught:
            client.init(cert_name=NAME, cert_no=WRONG)
        assert caught.value.field == "cert_no" and caught.value.outcome == "not sent"
    assert sandbox.requests == []
    environ = dict(sandbox.environment, FACECERT_CHECK_DIGIT="0")
    assert facecert.settings.from_environment(environ)["check_digit"] is False
    assert facecert.settings.from_environment({"CHECK_DIGIT": False}, prefix="") == {
        "check_digit": False
    }
    with sandbox.client(check_digit=False) as client:
        client.init(cert_name=NAME, cert_no=WRONG)
        client.init(cert_name=NAME, cert_no="33010319900101123x", encrypt=True)
    assert sandbox.requests[0].service_parameters["certNo"] == WRONG
    assert sandbox.verifications()[0].masked_number == "3****************X"
    with pytest.raises(InvalidParameter, match="check_digit must be True or False"):
        facecert.Client("1", check_digit=0)


def test_the_official_request_has_the_same_rule():
    person = dict(cert_name=NAME, cert_no="３３０１０３１９９００１０１１２３１", scene_id="1")
    with pytest.raises(InvalidParameter, match="check digit"):
        facecert.init_request(**person)
    request = facecert.init_request(check_digit=False, **person)
    assert json.loads(request.get_body_params()["ServiceParameters"])["certNo"] == WRONG


def test_encrypt_ciphertext_and_the_sandbox_check_no_digit(sandbox, client):
    sealed = [facecert.encrypt(text, sandbox.sm2_public_key) for text in (NAME, WRONG)]
    client.init(cert_name=sealed[0], cert_no=facecert.Ciphertext(str(sealed[1])))
    assert sandbox.verifications()[0].masked_number == "3****************1"


# --- properties -----------------------------------------------------------------------------

_LOOKS = ["0123456789", "０１２３４５６７８９", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "𝟶𝟷𝟸𝟹𝟺𝟻𝟼𝟽𝟾𝟿", "⁰¹²³⁴⁵⁶⁷⁸⁹"]
_X = "XxＸｘ𝐗𝗑"
_ENDS = " \t\r\n\xa0\xad\u1680\u200b\u200e\u2028\u2029\u202a\u3000\u2060\ufeff"
_INSIDE = ["", "", "", " ", "\xa0", "\u3000", "\u2003", "\u200b", "\t", "\0", "*", "-", "٣", "一"]


def with_check_digit(digits):
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # as GB 11643 prints them
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits))
    return digits + "10X98765432"[total % 11]


_numbers = st.text("0123456789", min_size=17, max_size=17).map(with_check_digit)


@st.composite
def dressed(draw):
    """Return a valid number and how somebody may have typed it."""
    number, typed = draw(_numbers), draw(st.text(_ENDS, max_size=3))
    for place, character in enumerate(number):
        look = draw(st.sampled_from(_LOOKS))
        typed += draw(st.sampled_from(_X)) if character == "X" else look[int(character)]
        if place in (5, 13):
            typed += draw(st.sampled_from(_INSIDE))
    return number, typed + draw(st.text(_ENDS, max_size=3))


def test_a_number_in_any_dress_is_sent_in_ascii_or_refused(sandbox, client):
    outcomes = set()

    @given(dressed())
    def check(pair):
        number, typed = pair
        sandbox.requests.clear()
        try:
            client.init(cert_name=NAME, cert_no=typed)
        except InvalidParameter as error:
            assert error.field == "cert_no" and sandbox.requests == []
            # Nothing but what was put inside is a reason.
            assert set(typed.strip(_ENDS)) & set("\u200b\t\0*-٣一")
            outcomes.add(REFUSED)
        else:
            (request,) = sandbox.requests
            sent = request.service_parameters["certNo"]
            # With a hyphen it has not 18 characters, and is sent as it was typed.
            assert sent == number or "-" in typed and sent.replace("-", "").upper() == number
            outcomes.add(SENT)

    check()
    assert SENT in outcomes


def test_of_any_text_only_ascii_is_sent(sandbox, client):
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()-/")

    @given(st.text(min_size=1, max_size=20) | st.text("0123456789xX", min_size=17, max_size=19))
    def check(typed):
        sandbox.requests.clear()
        try:
            client.init(cert_name=NAME, cert_no=typed)
        except InvalidParameter:
            assert sandbox.requests == []
            return
        (request,) = sandbox.requests
        sent = request.service_parameters["certNo"]
        assert sent and set(sent) <= allowed
        if len(sent) == 18 and sent[:17].isdigit() and sent[17] in "0123456789X":
            assert sent == with_check_digit(sent[:17])

    check()


_RANGES = [
    (0x4E00, 0x9FA5), (0x3400, 0x4DB5), (0x20000, 0x2A6D6), (0x2A700, 0x2EBE0), (0x30000, 0x323AF),
    (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xF0000, 0xFFFFD), (0x0F40, 0x0F6C), (0x0F71, 0x0FBC),
    (0x0621, 0x064A), (0x0671, 0x06D3), (0x1820, 0x1878), (0xA000, 0xA48C), (0x0410, 0x044F),
    (0xC0, 0xD6), (0xD8, 0xF6), (0x100, 0x17F), (0x1E00, 0x1EFF), (0x300, 0x34E), (0x41, 0x5A),
    (0x61, 0x7A),
]  # fmt: skip
_letters = st.sampled_from(_RANGES).flatmap(lambda ends: st.integers(*ends)).map(chr)
_words = st.lists(_letters, min_size=1, max_size=8).map("".join)
_names = st.builds(str.join, st.sampled_from(["·", "•", " ", "-", "་", "'"]), st.lists(
    _words, min_size=1, max_size=6
))  # fmt: skip


def test_no_valid_name_is_refused_or_changed(sandbox, client):
    @given(_names)
    def check(name):
        client.init(cert_name=name, cert_no=NUMBER)
        assert sandbox.requests[-1].service_parameters["certName"] == name

    check()


# --- the handed rows --------------------------------------------------------------------------


def test_every_handed_kind_has_a_test_module():
    rows = json.loads((VECTORS / "real_inputs.json").read_text(encoding="utf-8"))
    begins = [begin for several in KINDS.values() for begin in several]
    for run in {row["run"] for row in rows}:
        assert sum(run.startswith(begin) for begin in begins) == 1, run


@pytest.mark.parametrize("module", sorted(KINDS))
def test_the_module_reads_the_rows_of_its_kinds(module):
    text = (ROOT / "tests" / module).read_text(encoding="utf-8")
    assert all('"%s' % begin in text for begin in KINDS[module]) and "real_inputs" in text
