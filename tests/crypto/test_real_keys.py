"""SM2 keys and ciphertext in the forms of other tools: read, or refused with the form's name."""

import base64
import itertools
import re
import shutil
import subprocess

import pytest
from conftest import NAME, NUMBER, real_inputs, run_cli

import facecert
from facecert import Ciphertext, Client, InvalidParameter, encrypt
from facecert.crypto import sm2
from facecert.crypto.sm2 import PublicKey
from facecert.sandbox.keys import KeyPair, decrypt
from facecert.settings import from_environment

PAIR = KeyPair(0x1234567890ABCDEF << 150)
X, Y = "%064x" % PAIR.public_key.x, "%064x" % PAIR.public_key.y
OID = "301306072a8648ce3d020106082a811ccf5501822d"  # id-ecPublicKey, sm2p256v1
SPKI = bytes.fromhex("3059" + OID + "034200" + "04" + X + Y)
SHORT_SPKI = bytes.fromhex("3039" + OID + "032200" + PAIR.public_key_hex)
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" + "04" + X + Y)


def b64(raw):
    return base64.b64encode(raw).decode("ascii")


def pem(raw, joint="\n", label="PUBLIC KEY"):
    text = b64(raw)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return joint.join(["-----BEGIN %s-----" % label] + lines + ["-----END %s-----" % label, ""])


def colons(digits):
    return ":".join(re.findall("..", digits))


#: The forms that were handed, by the words of the row.
FORMS = {
    "PEM": pem(SPKI),
    "PEM in one line": pem(SPKI, ""),
    "Base64 SPKI": b64(SPKI),
    "0x04…": "0x04" + X + Y,
    "04:7b:…": colons("04" + X + Y),
    "hexadecimal with BOM": "\ufeff04" + X + Y,
    "hexadecimal with a line end": "04" + X + Y + "\r\n",
}
KIND = (
    "PublicKey.parse(input), Client(sm2_public_key=input), encrypt(text, input): key made in the"
    " test"
)
KEYS = [(FORMS[form], form, why) for form, _, why in real_inputs(KIND)] + [
    (pem(SPKI, "\r\n"), "PEM with CR LF", "a file of Windows"),
    (pem(SPKI, "\\n"), "PEM with backslash and n", "an environment file"),
    (pem(SPKI, " "), "PEM with blanks", "a shell without quotes"),
    ("\ufeff" + pem(SPKI), "PEM with BOM", "an editor of Windows"),
    ("  \ufeff0X04" + (X + Y).upper(), "0X04 after a BOM", "capitals"),
    (pem(SHORT_SPKI), "PEM, compressed", "openssl -conv_form compressed"),
    (b64(SHORT_SPKI), "Base64 SPKI, compressed", "openssl -conv_form compressed"),
    ("0x" + PAIR.public_key_hex, "0x02…", "compressed"),
    (colons(PAIR.public_key_hex), "02:7b:…", "compressed"),
    (" ".join(re.findall("..", "04" + X + Y)), "04 7b …", "a hexadecimal dump"),
    (
        "\n    ".join(re.findall(".{1,45}", colons("04" + X + Y))),
        "wrapped with colons", "openssl pkey -text",
    ),
    (b64(bytes.fromhex("04" + X + Y)), "Base64 of the point", "libraries for browsers"),
    (b64(bytes.fromhex(X + Y)), "Base64 without 04", "libraries for browsers"),
    (X + Y, "hexadecimal without 04", "the documentation's samples"),
]  # fmt: skip

BAD_KEYS = [
    (b"02" + X.encode("ascii"), "bytes"),
    (pem(SPKI).encode("ascii"), "bytes"),
    (7, "an int"),
    (["04" + X + Y], "a list"),
    (tuple(PAIR.public_key), "not checked to be a point"),
    ("", "empty"),
    ("0x", "empty"),
    (pem(P256_SPKI), "a key of another curve"),
    (b64(P256_SPKI), "a key of another curve"),
    (pem(SPKI[:-1]), "cut off"),
    (pem(SPKI)[:80], "cut off"),
    (pem(SPKI, label="PRIVATE KEY"), "the label of a private key"),
    ("%064x" % PAIR.private_key, "a private key"),
    ("0x0x04" + X + Y, "two marks"),
    ("04" + X + Y[:-2] + "zz", "no digits"),
    ("public.pem", "a file's name"),
]


@pytest.mark.parametrize("given, form, why", KEYS, ids=[row[1] for row in KEYS])
def test_a_key_in_any_form_is_one_key(given, form, why, monkeypatch):
    key = PublicKey.parse(given)
    assert key == PAIR.public_key and PublicKey.parse(key) is key
    assert decrypt(encrypt(NAME, given), PAIR.private_key) == NAME
    assert Client("1", sm2_public_key=given)._sm2_public_key == key
    assert from_environment({"FACECERT_SM2_PUBLIC_KEY": given}) == {"sm2_public_key": key}
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", given)
    assert decrypt(encrypt(NAME), PAIR.private_key) == NAME


def test_the_form_names_are_the_handed_ones():
    assert {row[0] for row in real_inputs(KIND)} == set(FORMS)
    assert {row[0] for row in real_inputs(RESEALED)} <= {row[1] for row in SEALED}


@pytest.mark.parametrize("given, why", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_what_is_no_key_is_refused_by_the_constructor(given, why):
    uses = [PublicKey.parse, lambda key: Client("1", sm2_public_key=key)]
    uses.append(lambda key: encrypt(NAME, key))
    for use in uses:
        with pytest.raises(InvalidParameter) as caught:
            use(given)
        assert caught.value.field == "sm2_public_key" and caught.value.__context__ is None
        assert not given or str(given) not in str(caught.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_openssl_knows_these_forms(tmp_path):
    (tmp_path / "key.pem").write_text(pem(SPKI))
    command = ["openssl", "pkey", "-pubin", "-in", "key.pem", "-text"]
    done = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, check=True)
    text = done.stdout.decode("ascii")
    block = re.search(r"pub:\s*((?:[0-9a-f]{2}:?\s*)+)", text).group(1)
    assert PublicKey.parse(block) == PublicKey.parse(text[: text.index("Public")]) == (
        PAIR.public_key
    )


def test_the_command_line_takes_a_pem(monkeypatch):
    pytest.importorskip("click", reason="the command line is the extra `cli`")
    environ = {"FACECERT_SM2_PUBLIC_KEY": pem(SPKI, "\\n")}
    line = run_cli("encrypt", stdin=NUMBER + "\n", env=environ).stdout.strip()
    assert decrypt(line, PAIR.private_key) == NUMBER


# --- ciphertext -------------------------------------------------------------------------------


def _genuine():
    """Return a ciphertext that has both characters that URL-safe Base64 changes."""
    for nonce in itertools.count(1):
        text = b64(sm2.encrypt_bytes(NAME.encode("utf-8"), PAIR.public_key, nonce))
        if "+" in text.strip("+") and "/" in text and text.endswith("="):
            return text


def _der(tag, body):
    return bytes([tag]) + (b"" if len(body) < 128 else b"\x81") + bytes([len(body)]) + body


def _asn1(raw):
    x, y, c2, c3 = raw[1:33], raw[33:65], raw[65:-32], raw[-32:]
    integers = b"".join(_der(2, b"\0" * (one[0] >> 7) + one) for one in (x, y))
    return _der(0x30, integers + _der(4, c3) + _der(4, c2))


GENUINE = _genuine()
RAW = base64.b64decode(GENUINE)


def wrapped(columns, line_end="\n"):
    return line_end.join(re.findall(".{1,%d}" % columns, GENUINE)) + line_end


RESEALED = "init(cert_name=input, encrypt=True): ciphertext made in the test"
#: Text, its form, words of the refusal.
SEALED = [
    (RAW.hex(), "hexadecimal with 04", "hexadecimal"),
    (RAW[1:].hex(), "hexadecimal without 04", "hexadecimal"),
    (RAW.hex().upper(), "hexadecimal in capitals", "hexadecimal"),
    (" ".join(re.findall(".{1,32}", RAW.hex())), "a hexadecimal dump", "hexadecimal"),
    (_asn1(RAW).hex(), "ASN.1 in hexadecimal", "hexadecimal"),
    (b64(RAW[1:]), "Base64 without 04", "without the leading byte 04"),
    (b64(_asn1(RAW)), "ASN.1 in Base64", "ASN.1"),
    (base64.urlsafe_b64encode(RAW).decode("ascii"), "URL-safe", "URL-safe"),
    (base64.urlsafe_b64encode(RAW).decode("ascii").rstrip("="), "URL-safe, unpadded", "URL-safe"),
    (GENUINE.replace("+", " "), "+ turned into a blank", "blanks"),
    (GENUINE.rstrip("="), "unpadded", "not padded"),
    (GENUINE[:-5], "cut off", "cut off"),
    (GENUINE[:128], "cut off by VARCHAR(128)", "cut off"),
    (GENUINE[:60] + "A" + GENUINE[61:], "damaged", "damaged"),
    (b64(RAW[1:])[:70] + "\n" + b64(RAW[1:])[70:], "wrapped without 04", "byte 04"),
    ("\ufeff" + RAW.hex() + "\u200b", "with invisible characters", "hexadecimal"),
]
READ = [
    (wrapped(76), "facecert's own Base64 wrapped at 76 columns"),
    (wrapped(64), "wrapped at 64 columns"),
    (wrapped(64, "\r\n"), "wrapped by Windows"),
    ("\ufeff" + GENUINE + "\n", "a file with BOM"),
    (" %s\u200b " % GENUINE, "a CHAR column, a web page"),
]


@pytest.mark.parametrize("given, form", READ, ids=[row[1] for row in READ])
def test_ciphertext_with_line_breaks_is_read(given, form):
    assert [row[0] for row in real_inputs("Ciphertext(input)")] == [READ[0][1]]
    assert Ciphertext(given) == encrypt(given) == GENUINE
    assert type(encrypt(given)) is Ciphertext
    assert decrypt(given, PAIR.private_key) == NAME


@pytest.mark.parametrize("given, form, words", SEALED, ids=[row[1] for row in SEALED])
def test_bug_ciphertext_of_another_tool_was_sealed_a_second_time(sandbox, given, form, words):
    with sandbox.client() as client:
        for field, encrypted in itertools.product(("cert_name", "cert_no"), (True, False)):
            person = dict({"cert_name": NAME, "cert_no": NUMBER}, **{field: given})
            with pytest.raises(InvalidParameter) as caught:
                client.init(encrypt=encrypted, **person)
            assert caught.value.field == field and "facecert.Ciphertext" in str(caught.value)
    assert sandbox.requests == []
    for use in (Ciphertext, encrypt):
        with pytest.raises(InvalidParameter, match=re.escape(words)) as caught:
            use(given)
        assert caught.value.field == "ciphertext" and given not in str(caught.value)


def test_a_plain_text_is_not_taken_for_ciphertext():
    with pytest.raises(InvalidParameter, match="no SM2 ciphertext"):
        Ciphertext(NUMBER)
    for text in ("A" * 119, "é" + "a" * 200, "a·" * 100):
        assert not sm2.looks_sealed(text)
        assert decrypt(facecert.encrypt(text, PAIR.public_key), PAIR.private_key) == text


def test_the_command_line_names_the_form(sandbox):
    pytest.importorskip("click", reason="the command line is the extra `cli`")
    done = run_cli("encrypt", stdin="%s\n%s\n" % (GENUINE, RAW.hex()))
    assert done.exit_code == 2 and done.stdout == GENUINE + "\n" and "hexadecimal" in done.stderr
    environ = dict(
        sandbox.environment, FACECERT_CERT_NAME=RAW.hex(), FACECERT_CERT_NO=b64(_asn1(RAW))
    )
    done = run_cli("init", env=environ)
    assert done.exit_code == 2 and "hexadecimal" in done.stderr and sandbox.requests == []
