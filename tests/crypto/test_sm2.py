"""SM2: fixed vectors, OpenSSL as the judge, and one test for each fault of gmssl 3.2.2."""

import ast
import base64
import copy
import gc
import hashlib
import json
import pickle
import random
import secrets
import shutil
import subprocess
import sys
import traceback
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecert.crypto import _curve as curves
from facecert.crypto import sm2
from facecert.errors import DependencyError, InvalidParameter
from facecert.sandbox.keys import KeyPair, decrypt
from facecert.doctor.checks import sm2_works
from facecert.crypto.sm2 import PUBLISHED_KEY, Ciphertext, PublicKey, encrypt

HERE = Path(__file__).parent.parent
VECTORS: List[Dict[str, str]] = json.loads((HERE / "vectors" / "sm2.json").read_text("utf-8"))
NAME, NUMBER = "张三丰", "33010319900101129X"
PAIR = KeyPair(int(VECTORS[0]["private_key"], 16))
#: The first nonce with which the key stream of one byte for PAIR is zero.
ZERO_STREAM = 470

# GB/T 32918.5, typed in here so that the tests do not depend on the module's source for them.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Affine = Optional[Tuple[int, int]]  # None is infinity

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["public_key"][:6])


def textbook_add(one: Affine, two: Affine) -> Affine:
    if one is None or two is None:
        return one or two
    if one[0] == two[0]:
        if (one[1] + two[1]) % P == 0:
            return None
        slope = (3 * one[0] ** 2 + A) * pow(2 * one[1], P - 2, P)
    else:
        slope = (two[1] - one[1]) * pow(two[0] - one[0], P - 2, P)
    x = (slope * slope - one[0] - two[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def textbook_multiply(k: int, point: Affine) -> Affine:
    result: Affine = None
    for bit in bin(k)[2:]:
        result = textbook_add(result, result)
        if bit == "1":
            result = textbook_add(result, point)
    return result


def affine(point: curves.Jacobian) -> Affine:
    return sm2.curve().affine([point])[0] if point[2] else None


def scaled(point: Tuple[int, int], z: int) -> curves.Jacobian:
    return point[0] * z ** 2 % P, point[1] * z ** 3 % P, z


def forms(point: Tuple[int, int]) -> List[str]:
    x, y = point
    bare = "%064x%064x" % (x, y)
    return ["%02x%064x" % (2 + y % 2, x), "04" + bare, bare]


def with_bit_flipped(raw: bytes, bit: int) -> str:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return base64.b64encode(changed).decode("ascii")


# --- against answers that are not ours -------------------------------------------------------


@every_vector
def test_vector(vector: Dict[str, str]) -> None:
    data = bytes.fromhex(vector["plaintext_hex"])
    expected = vector["ciphertext_base64_c1c2c3"]
    for form in (vector["public_key"], vector["public_key_compressed"], vector["public_key"][2:]):
        sealed = sm2.encrypt_bytes(data, PublicKey.parse(form), int(vector["nonce"], 16))
        assert sealed is not None
        assert base64.b64encode(sealed).decode("ascii") == expected
    assert decrypt(expected, int(vector["private_key"], 16)) == data.decode("utf-8")
    assert KeyPair(int(vector["private_key"], 16)).public_key_hex == vector["public_key_compressed"]


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes(1 if len(body) < 128 else 2, "big")
    return bytes([tag]) + (b"\x82" if len(size) == 2 else b"") + size + body


def der_integer(octets: bytes) -> bytes:
    number = int.from_bytes(octets, "big")
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def openssl_decrypt(folder: Path, ciphertext: str, private_key: int) -> bytes:
    """Have OpenSSL decrypt: its key is SEC1, its ciphertext SEQUENCE {x, y, C3, C2}."""
    curve = der(0xA0, bytes.fromhex("06082a811ccf5501822d"))  # 1.2.156.10197.1.301
    key = der(0x30, der(2, b"\1"), der(4, private_key.to_bytes(32, "big")), curve)
    (folder / "key.pem").write_bytes(
        b"-----BEGIN EC PRIVATE KEY-----\n%s-----END EC PRIVATE KEY-----\n"
        % base64.encodebytes(key)
    )
    raw = base64.b64decode(ciphertext)
    x, y, c2, c3 = raw[1:33], raw[33:65], raw[65:-32], raw[-32:]
    sealed = der(0x30, der_integer(x), der_integer(y), der(4, c3), der(4, c2))
    (folder / "sealed.der").write_bytes(sealed)
    command = ["openssl", "pkeyutl", "-decrypt", "-inkey", "key.pem", "-in", "sealed.der"]
    done = subprocess.run(command, cwd=str(folder), stdout=subprocess.PIPE, check=True)
    return done.stdout


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("text", [NAME, NUMBER, "A", "𠮷野家", "文" * 3000], ids=len)
@every_vector
def test_openssl_decrypts(vector: Dict[str, str], text: str, tmp_path: Path) -> None:
    ciphertext = encrypt(text, vector["public_key"])
    opened = openssl_decrypt(tmp_path, ciphertext, int(vector["private_key"], 16))
    assert opened.decode("utf-8") == text


def test_published_key() -> None:
    key = PublicKey.parse(PUBLISHED_KEY)
    assert key.y == 0x5FB8709F2915105FDD5C81BAE765774CA7A9392AD3B557B1D239741C2899C868
    assert base64.b64decode(encrypt(NUMBER))[0] == 4


def test_the_standards_example_comes_out(monkeypatch: Any) -> None:
    assert sm2_works() is True
    for stream in (lambda shared, length: b"x" * length, lambda shared, length: bytes(length)):
        monkeypatch.setattr(sm2, "kdf", stream)
        assert sm2_works() is False


@pytest.fixture(params=["as it is", "without OpenSSL's"])
def sm3(request: Any, monkeypatch: Any) -> Iterator[Any]:
    def refuse(name: str, data: bytes = b"") -> None:
        raise ValueError("unsupported hash type " + name)

    if request.param != "as it is":
        monkeypatch.setattr(hashlib, "new", refuse)
    sm2.sm3.cache_clear()
    yield sm2.sm3()
    sm2.sm3.cache_clear()


def test_sm3(sm3: Any) -> None:
    # GB/T 32905, annex A.
    assert sm2.sm3() is sm3  # it is looked for once
    one = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    two = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    assert sm3(b"abc").hex() == one
    assert sm3(b"abcd" * 16).hex() == two
    assert encrypt(NAME) != encrypt(NAME)


@pytest.mark.parametrize("length, blocks", [(1, 1), (31, 1), (32, 1), (33, 2), (64, 2), (65, 3)])
def test_no_more_is_hashed_than_needed(length: int, blocks: int, monkeypatch: Any) -> None:
    hashed = []
    monkeypatch.setattr(sm2, "sm3", lambda: lambda data: hashed.append(data) or bytes(32))
    assert sm2.kdf(b"shared", length) == bytes(length)
    assert hashed == [b"shared" + bytes([0, 0, 0, count + 1]) for count in range(blocks)]


def test_openssls_sm3_is_taken_where_it_is_there(monkeypatch: Any) -> None:
    asked = []
    sha256 = hashlib.sha256
    monkeypatch.setattr(hashlib, "new", lambda *given: asked.append(given) or sha256(b"of OpenSSL"))
    sm2.sm3.cache_clear()
    assert sm2.sm3()(b"abc") == sha256(b"of OpenSSL").digest()
    sm2.sm3.cache_clear()
    assert asked == [("sm3",), ("sm3", b"abc")]


# --- the arithmetic --------------------------------------------------------------------------


@pytest.mark.long
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2 ** 256 - 1), st.integers(1, N - 2))
def test_multiply(k: int, private_key: int) -> None:
    curve = sm2.curve()
    assert affine(curve.multiply(k, curve.g)) == textbook_multiply(k, G)
    key = KeyPair(private_key).public_key
    assert affine(curve.multiply(k, key)) == textbook_multiply(k * private_key % N, G)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 2 ** 32 - 1, 2 ** 224, N - 2, N - 1, N, N + 1])
def test_multiply_at_the_edges(k: int) -> None:
    curve = sm2.curve()
    assert affine(curve.multiply(k, curve.g)) == textbook_multiply(k, G)


@pytest.mark.long
@settings(deadline=None, max_examples=50)
@given(st.integers(0, 12), st.integers(1, 12), st.integers(1, P - 1))
def test_add_and_double(j: int, k: int, z: int) -> None:
    curve = sm2.curve()
    one, two = textbook_multiply(j, G), textbook_multiply(k, G)
    assert two is not None
    first = scaled(one, z) if one else curves.INFINITY
    minus = curves.Point(two[0], P - two[1])
    assert affine(curve.add(first, curves.Point(*two))) == textbook_multiply(j + k, G)
    assert affine(curve.add(first, minus)) == textbook_multiply((j - k) % N, G)
    assert affine(curve.double(first)) == textbook_multiply(2 * j, G)


def test_infinity_has_no_affine_coordinates() -> None:
    curve = sm2.curve()
    with pytest.raises(ValueError):
        curve.affine([scaled(G, 5), curves.INFINITY])
    with pytest.raises(ValueError):
        sm2.encrypt_bytes(b"A", PAIR.public_key, 0)


# --- faults of gmssl 3.2.2 that must never reach us ------------------------------------------


@pytest.mark.long
def test_gmssl_lstrip_04_and_compressed_keys() -> None:
    """Its constructor strips every leading 0 and 4 of X; it has no compressed keys."""
    draw = random.Random(32918)
    starts: Set[str] = set()
    for _ in range(2000):
        pair = KeyPair(draw.randrange(1, N - 1))
        x = "%064x" % pair.public_key.x
        if x[0] not in "04":
            continue
        starts |= {x[:1], x[:2]}
        compressed, uncompressed, bare = forms(pair.public_key)
        assert compressed == pair.public_key_hex
        for form in (compressed.upper(), uncompressed, uncompressed.upper(), bare):
            assert PublicKey.parse(form) == pair.public_key
        assert decrypt(encrypt(NUMBER, pair.public_key), pair.private_key) == NUMBER
    assert {"0", "4", "04", "00", "40", "44"} <= starts


def test_gmssl_lstrip_04_when_bare_x_begins_with_04() -> None:
    key = next(v["public_key"] for v in VECTORS if v["public_key"].startswith("0404"))
    assert PublicKey.parse(key[2:]) == PublicKey.parse(key) == PublicKey.parse(key.upper())
    assert "%064x" % PublicKey.parse(key[2:]).x == key[2:66]


def test_gmssl_seeded_random() -> None:
    """Its nonce comes from the module random, so whoever knows the seed reads the text."""
    state = random.getstate()
    random.seed(7)
    one = encrypt(NAME)
    random.seed(7)
    two = encrypt(NAME)
    random.setstate(state)
    assert one[:88] != two[:88]  # C1, the nonce's point


def test_gmssl_seeded_random_is_not_imported() -> None:
    tree = ast.parse(Path(sm2.__file__).read_text("utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {"%s.%s" % (node.module, alias.name) for alias in node.names}
    assert not any("random" in name or "CryptSM2" in name for name in imported)


def test_gmssl_missing_leading_04() -> None:
    for text in ("A", NAME, NUMBER):
        raw = base64.b64decode(encrypt(text))
        assert raw[0] == 4 and len(raw) == 97 + len(text.encode("utf-8"))


def test_gmssl_none_from_encrypt(monkeypatch: Any) -> None:
    """One byte has an all-zero key stream once in 256 times; gmssl then returns None."""
    assert sm2.encrypt_bytes(b"A", PAIR.public_key, ZERO_STREAM) is None
    nonces = [ZERO_STREAM, 1]
    monkeypatch.setattr(secrets, "randbelow", lambda bound: nonces.pop(0) - 1)
    assert decrypt(encrypt("A", PAIR.public_key), PAIR.private_key) == "A"
    assert nonces == []


def test_gmssl_none_from_encrypt_is_refused_by_decrypt(monkeypatch: Any) -> None:
    monkeypatch.setattr(sm2, "any", lambda stream: True, raising=False)
    sealed = sm2.encrypt_bytes(b"A", PAIR.public_key, ZERO_STREAM)
    assert sealed is not None and sealed[65:66] == b"A"
    with pytest.raises(ValueError):
        decrypt(base64.b64encode(sealed).decode("ascii"), PAIR.private_key)


@pytest.mark.long
@every_vector
def test_gmssl_c3_not_compared(vector: Dict[str, str]) -> None:
    """Its decrypt returns a text whatever was changed. Here every single bit counts."""
    raw = base64.b64decode(vector["ciphertext_base64_c1c2c3"])
    private_key = int(vector["private_key"], 16)
    for bit in range(8 * len(raw)):
        with pytest.raises(ValueError):
            decrypt(with_bit_flipped(raw, bit), private_key)


def test_gmssl_points_not_checked() -> None:
    """A key or C1 off the curve lies on a weaker one."""
    for vector in VECTORS:
        key = vector["public_key"]
        for bit in (0, 100, 255):
            changed = "%0130x" % (int(key, 16) ^ 1 << bit)
            with pytest.raises(InvalidParameter):
                PublicKey.parse(changed)


# --- keys ------------------------------------------------------------------------------------


def small_point() -> Tuple[int, int]:
    """A point whose x + p still fits into 256 bits."""
    x = 1
    while pow(x ** 3 + A * x + B, (P - 1) // 2, P) != 1:
        x += 1
    return x, pow(x ** 3 + A * x + B, (P + 1) // 4, P)


def no_point() -> int:
    x = 1
    while pow(x ** 3 + A * x + B, (P - 1) // 2, P) == 1:
        x += 1
    return x


X, Y = "%064x" % G[0], "%064x" % G[1]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "00",
        "04",
        "04" + "0" * 128,
        "0" * 128,
        "02" + "0" * 62,
        X,
        "02" + X + "0",
        "02" + X + Y,
        "04" + X,
        "04" + X + Y[:-1],
        "04" + X + Y + "00",
        "05" + X,
        "06" + X + Y,
        "07" + X + Y,
        "02" + X[:-1] + "g",
        "02" + X[:-1] + "٣",
        "02" + X[:-2] + "+1",
        "02" + X[:-3] + "1_1",
        Y + X,
        "02%064x" % P,
        "03" + "f" * 64,
        "02%064x" % no_point(),
        "02%064x" % (small_point()[0] + P),
        "04%064x%064x" % (small_point()[0] + P, small_point()[1]),
        "f" * 128,
        b"02" + X.encode("ascii"),
        None,
        7,
        ["02" + X],
    ],
    ids=lambda key: str(key)[:3] or "empty",
)
def test_key_refused(key: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        PublicKey.parse(key)
    assert caught.value.field == "sm2_public_key"
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert str(key) in ("", "02", "04", "7") or str(key).strip() not in str(caught.value)
    if key is not None:
        with pytest.raises(InvalidParameter):
            encrypt(NAME, key)


def test_key_from_the_environment(monkeypatch: Any) -> None:
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", " %s\n" % PAIR.public_key_hex)
    assert decrypt(encrypt(NAME), PAIR.private_key) == NAME
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", "00")
    with pytest.raises(InvalidParameter, match="FACECERT_SM2_PUBLIC_KEY must be 66") as caught:
        encrypt(NAME)
    assert caught.value.field == "FACECERT_SM2_PUBLIC_KEY"
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", "02%064x" % no_point())
    with pytest.raises(InvalidParameter, match="FACECERT_SM2_PUBLIC_KEY is not on") as caught:
        encrypt(NAME)
    assert caught.value.field == "FACECERT_SM2_PUBLIC_KEY"


def test_a_blank_key_in_the_environment_is_none(monkeypatch: Any) -> None:
    keys, sealed = [], sm2.encrypt_bytes
    monkeypatch.setattr(sm2, "encrypt_bytes", lambda *args: keys.append(args[1]) or sealed(*args))
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", " ")
    encrypt(NAME)
    assert keys == [sm2.published_key()] == [PublicKey.parse(PUBLISHED_KEY)]


def test_key_by_coordinates() -> None:
    x, y = small_point()
    key = PublicKey(x, y)
    assert key == PublicKey.parse("%064x%064x" % (x, y)) == pickle.loads(pickle.dumps(key))
    assert copy.deepcopy(key) == key
    opposite = key._replace(y=P - y)
    assert type(opposite) is PublicKey and opposite == (x, P - y)
    with pytest.raises(InvalidParameter):
        key._replace(y=y + 1)
    for wrong in ((x, y + P), (x + P, y), (x, -y), (x, y + 1), (0, 0)):
        with pytest.raises(InvalidParameter) as caught:
            PublicKey(*wrong)
        assert caught.value.field == "sm2_public_key"


def test_key_pair() -> None:
    for wrong in (0, -1, N - 1, N):
        with pytest.raises(ValueError):
            KeyPair(wrong)
        with pytest.raises(ValueError):
            decrypt(encrypt(NAME, PAIR.public_key), wrong)
    assert KeyPair(1).public_key == G
    assert KeyPair(N - 2).public_key == textbook_multiply(N - 2, G)
    pair = KeyPair.generate()
    assert pair.private_key != KeyPair.generate().private_key
    assert repr(pair) == "KeyPair(public_key_hex=%r)" % pair.public_key_hex


# --- texts -----------------------------------------------------------------------------------


@pytest.mark.long
@settings(deadline=None)
@given(st.text(min_size=1, max_size=119).filter(str.strip))
def test_round_trip(text: str) -> None:
    ciphertext = encrypt(text, PAIR.public_key)
    assert Ciphertext(str(ciphertext)) == ciphertext
    assert decrypt(ciphertext, PAIR.private_key) == text


@pytest.mark.parametrize("size", [1, 31, 32, 33, 64, 10000])
def test_round_trip_of_size(size: int) -> None:
    text = "·" * size
    assert decrypt(encrypt(text, PAIR.public_key), PAIR.private_key) == text


def test_round_trip_of_four_byte_characters() -> None:
    text = "𠮷𡈽·𪚥"
    ciphertext = encrypt(text, PAIR.public_key)
    assert len(base64.b64decode(ciphertext)) == 97 + 3 * 4 + 2
    assert decrypt(ciphertext, PAIR.private_key) == text


@pytest.mark.parametrize("text", ["", " \t", "张三\ud800", "\udc80", b"x", None, 5], ids=ascii)
def test_text_refused(text: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        encrypt(text)
    assert caught.value.field == "text"
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert "张" not in str(caught.value)


def locals_of(error: BaseException) -> str:
    found = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    return repr([frame.locals for frame in found if frame.filename != __file__])


@pytest.mark.parametrize(
    "use", [Ciphertext, lambda text: encrypt(text + "\ud800"), lambda text: encrypt(text, "00")]
)
def test_a_refused_text_is_in_no_frame(use: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        use("canary")
    assert "canary" not in locals_of(caught.value)


def test_the_callers_own_error_keeps_its_frames() -> None:
    try:
        raise KeyError("the caller's")
    except KeyError as outer:
        frames = outer.__traceback__
        with pytest.raises(InvalidParameter):
            encrypt("")
        assert frames is not None and outer.__traceback__ is frames


def test_what_is_not_utf8_is_refused_by_decrypt() -> None:
    sealed = sm2.encrypt_bytes(b"secret\xff", PAIR.public_key, 5)
    assert sealed is not None
    with pytest.raises(ValueError) as caught:
        decrypt(base64.b64encode(sealed).decode("ascii"), PAIR.private_key)
    assert not isinstance(caught.value, UnicodeError)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_another_private_key_is_refused_by_decrypt() -> None:
    own = PAIR.private_key
    for key in (own + 1, N - own, own + N, -own):
        with pytest.raises(ValueError):
            decrypt(encrypt(NAME, PAIR.public_key), key)


# --- the nonce -------------------------------------------------------------------------------


@pytest.mark.parametrize("drawn, c1_y", [(0, G[1]), (N - 2, P - G[1])], ids=["1", "n - 1"])
def test_nonce_bounds(drawn: int, c1_y: int, monkeypatch: Any) -> None:
    bounds = []

    def randbelow(bound: int) -> int:
        bounds.append(bound)
        return drawn

    monkeypatch.setattr(secrets, "randbelow", randbelow)
    ciphertext = encrypt(NAME, PAIR.public_key)
    assert bounds == [N - 1]
    raw = base64.b64decode(ciphertext)
    assert (int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big")) == (G[0], c1_y)
    assert decrypt(ciphertext, PAIR.private_key) == NAME


def test_nothing_of_text_or_nonce_stays(monkeypatch: Any) -> None:
    name, nonce = "欧阳·" + NAME, 0x1234567890ABCDEF << 120
    monkeypatch.setattr(secrets, "randbelow", lambda bound: nonce - 1)
    ciphertext = encrypt(name, PAIR.public_key)
    monkeypatch.undo()
    owners = (sm2, curves.Curve, PublicKey, Ciphertext)
    kept = [thing for owner in owners for thing in vars(owner).values()]
    seen: Set[int] = set()
    for thing in kept:  # grows while it is walked
        for held in gc.get_referents(thing):
            if id(held) not in seen and not isinstance(held, (types.ModuleType, type)):
                seen.add(id(held))
                kept.append(held)
    tooth = textbook_multiply(2 ** 32, G)
    assert any(type(thing) is curves.Point and thing == tooth for thing in kept)  # it looks deep
    for secret in (name, name.encode("utf-8"), nonce, nonce - 1, str(ciphertext)):
        assert not any(type(thing) is type(secret) and thing == secret for thing in kept)


# --- Ciphertext ------------------------------------------------------------------------------


def test_ciphertext_is_a_string_that_survives() -> None:
    ciphertext = encrypt(NUMBER)
    assert isinstance(ciphertext, str) and isinstance(ciphertext, Ciphertext)
    assert repr(ciphertext) == "Ciphertext(<115 bytes>)"
    assert json.loads(json.dumps([ciphertext])) == [str(ciphertext)]
    again = [pickle.loads(pickle.dumps(ciphertext, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in again + [copy.copy(ciphertext), copy.deepcopy(ciphertext), encrypt(ciphertext)]:
        assert type(other) is Ciphertext and other == ciphertext


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_ciphertext_size_in_repr(size: int) -> None:
    assert repr(encrypt("x" * size)) == "Ciphertext(<%d bytes>)" % (97 + size)


def bad_ciphertexts() -> Dict[str, Any]:
    good = VECTORS[0]["ciphertext_base64_c1c2c3"]  # 116 bytes: it ends in one "="
    raw = base64.b64decode(good)
    x, y = small_point()
    too_big = (x + P).to_bytes(32, "big") + y.to_bytes(32, "big")
    stray = good[:-2] + chr(ord(good[-2]) + 1) + "="
    assert base64.b64decode(stray) == raw and "/" in good

    def encoded(changed: bytes) -> str:
        return base64.b64encode(changed).decode("ascii")

    return {
        "empty": "",
        "plain": NAME,
        "ascii": NUMBER,
        "no padding": good.rstrip("="),
        "more padding": good + "=",
        "space inside": good[:50] + " " + good[50:],
        "url-safe": good.replace("/", "_"),
        "stray bits": stray,
        "hex": raw.hex(),
        "bytes": good.encode("ascii"),
        "no string": None,
        "no 04": encoded(raw[1:]),
        "03": encoded(b"\3" + raw[1:]),
        "no text": encoded(raw[:65] + raw[-32:]),
        "short": encoded(raw[:50]),
        "off the curve": encoded(raw[:64] + bytes([raw[64] ^ 1]) + raw[65:]),
        "zeros": encoded(b"\4" + bytes(64) + raw[65:]),
        "not reduced": encoded(b"\4" + too_big + raw[65:]),
    }


@pytest.mark.parametrize("fault, value", sorted(bad_ciphertexts().items()))
def test_ciphertext_refused(fault: str, value: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Ciphertext(value)
    assert caught.value.field == "ciphertext"
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert not value or str(value) not in str(caught.value)
    with pytest.raises(ValueError):
        decrypt(value, PAIR.private_key)


# --- a guest in the process ------------------------------------------------------------------


def test_import_does_not_load_gmssl() -> None:
    code = "import sys, facecert.crypto.sm2; sys.exit('gmssl' in sys.modules)"
    folder = str(Path(sm2.__file__).parent.parent.parent)
    assert subprocess.run([sys.executable, "-c", code], cwd=folder).returncode == 0


def test_without_gmssl(monkeypatch: Any) -> None:
    sm2.curve.cache_clear()
    monkeypatch.setitem(sys.modules, "gmssl.sm2", None)
    with pytest.raises(DependencyError, match="gmssl"):
        encrypt(NAME)
    monkeypatch.undo()
    assert encrypt(NAME)


@pytest.mark.long
def test_threads() -> None:
    pair = KeyPair.generate()
    with ThreadPoolExecutor(8) as pool:
        ciphertexts = list(pool.map(lambda _: encrypt(NAME, pair.public_key), range(80)))
    assert len(set(ciphertexts)) == 80
    assert {decrypt(ciphertext, pair.private_key) for ciphertext in ciphertexts} == {NAME}
