"""Keys and ciphertexts from settings, databases and callers; settings, credentials and links.

The property: the documented type, or InvalidParameter with the right ``field`` and without the
value. A public key is a point of the curve and reads the same in each of its forms. A ciphertext
is exact Base64 that begins with a point. Decryption gives the text that was encrypted.
"""

import base64
import pickle
import re
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fuzz_engine import Target
from fuzz_inputs import assert_nothing_private, canaries, mutated, quiet, texts
from hypothesis import strategies as st

from facecert.crypto import sm2
from facecert.client import Client
from facecert.errors import CredentialsError, DependencyError, InvalidParameter
from facecert.links import alipay_link, qr_svg
from facecert.crypto.pictures import VARIABLE, PictureKey
from facecert.sandbox.keys import KeyPair, decrypt
from facecert.settings import VARIABLES, from_environment

# GB/T 32918.5, repeated here so that the test does not depend on the code under test.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93


def on_curve(x, y):
    """Tell whether it is a point of the SM2 curve with reduced coordinates."""
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x - 3) * x - B) % P == 0


def refused(error, value, *fields):
    """Check an InvalidParameter: it names the field and shows nothing; return the outcome."""
    assert_nothing_private(error, [value] if isinstance(value, str) else ())
    assert error.field in fields, error.field
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.field) == (str(error), error.field)
    return type(error).__name__


# --- SM2 public keys

_point = sm2.published_key()
_long_form = "%064x%064x" % _point
_forms = ["%02x%064x" % (2 + _point.y % 2, _point.x), _long_form, "04" + _long_form]
_hex = st.text("0123456789abcdefABCDEF", min_size=60, max_size=70)
_key_texts = quiet(
    st.one_of(
        mutated(st.sampled_from(_forms + [form.upper() for form in _forms])),
        st.builds(lambda head, x: head + "%064x" % x, st.sampled_from(["02", "03"]),
                  st.one_of(st.integers(0, 2**256 - 1), st.integers(P - 5, P + 5))),
        st.builds(lambda head, x, y: head + "%064x%064x" % (x, y), st.sampled_from(["", "04"]),
                  st.integers(P, P + 2**32), st.integers(0, 2**256 - 1)),
        st.builds(str.__add__, st.sampled_from(["02", "03", "04", "0x02", "02 ", "02\n"]), _hex),
        canaries, texts, st.binary(max_size=70), st.none(),
    )
)  # fmt: skip


def judge_public_key(text):
    """Read a text as an SM2 key."""
    try:
        key = sm2.PublicKey.parse(text, "a_field")
    except InvalidParameter as error:
        return refused(error, text, "a_field")
    assert on_curve(key.x, key.y)
    for form in ("%02x%064x" % (2 + key.y % 2, key.x), "04%064x%064x" % key, "%064X%064X" % key):
        assert sm2.PublicKey.parse(form) == key
    assert pickle.loads(pickle.dumps(key)) == key
    return "PublicKey"


# --- RSA keys

_der = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_bytes(
    Encoding.DER, PublicFormat.SubjectPublicKeyInfo
)


def _pem(der):
    return "-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % (
        base64.encodebytes(der).decode("ascii")
    )


_changed_bytes = st.builds(
    lambda place, byte: _der[:place] + bytes([byte]) + _der[place + 1:],
    st.one_of(st.integers(0, len(_der) - 1), st.sampled_from(range(len(_der) - 12, len(_der)))),
    st.integers(0, 255),
)  # fmt: skip
_ders = st.one_of(_changed_bytes, _changed_bytes, mutated(st.just(_der)), st.binary(max_size=40))
_encoded = _ders.map(lambda der: base64.b64encode(der).decode("ascii"))
_rsa_texts = quiet(
    st.one_of(
        _encoded,
        _ders.map(_pem),
        mutated(st.one_of(_encoded, st.just(_pem(_der)), st.just(_pem(_der).replace("\n", "\\n")))),
        mutated(st.just(_pem(_der).encode("ascii"))),
        texts.filter(bool),
        canaries,
    )
)


def judge_rsa_key(text):
    """Read a text as the service's RSA key, and make a key for pictures with it."""
    try:
        key = PictureKey.generate(text)
    except InvalidParameter as error:
        return refused(error, text, "rsa_public_key", VARIABLE)
    assert len(key.enc_token) == 344 and len(base64.b64decode(key.enc_token)) == 256
    return "PictureKey"


# --- pictures

_AES = bytes(range(32))
_picture_key = PictureKey(_AES, "A" * 342 + "==")


def _padded(data):
    return data + bytes([16 - len(data) % 16]) * (16 - len(data) % 16)


def _sealed(data, mode):
    encryptor = Cipher(AES(_AES), mode).encryptor()
    return encryptor.update(_padded(data)) + encryptor.finalize()


_ciphertexts = st.binary(max_size=50).map(lambda data: _sealed(data, ECB()))
_pictures = quiet(
    st.one_of(
        st.tuples(
            st.just("decrypt"),
            st.one_of(
                _ciphertexts, mutated(_ciphertexts), st.binary(max_size=64), texts, st.none(),
                mutated(_ciphertexts.map(lambda data: base64.b64encode(data).decode("ascii"))),
            ),
            st.sampled_from(["ECB", "ECB", "CBC", "ecb", "GCM"]),
            st.one_of(st.none(), st.just(b"\1" * 16), st.binary(max_size=20)),
        ),
        st.tuples(
            st.just("restore"),
            st.one_of(
                mutated(st.just(_picture_key.store())),
                st.binary(max_size=40).map(
                    lambda raw: base64.b64encode(raw).decode("ascii") + "." + "A" * 344
                ),
                canaries, texts, st.none(),
            ),
            st.none(),
            st.none(),
        ),
    )
)  # fmt: skip


def judge_picture(given):
    """Decrypt a picture, or restore a stored key."""
    action, data, mode, iv = given
    if action == "restore":
        return _restored(data)
    try:
        picture = _picture_key.decrypt(data, mode=mode, iv=iv)
    except InvalidParameter as error:
        return "decrypt: " + refused(error, "", "data", "mode", "iv")
    raw = base64.b64decode("".join(data.split())) if isinstance(data, str) else data
    assert type(picture) is bytes and _sealed(picture, CBC(iv) if iv else ECB()) == raw
    return "decrypt: bytes"


def _restored(text):
    try:
        key = PictureKey.restore(text)
    except InvalidParameter as error:
        return "restore: " + refused(error, text, "stored")
    assert len(key.enc_token) == 344 and len(key._secret) in (16, 32)
    again = PictureKey.restore(key.store())
    assert again.store() == key.store() and again._secret == key._secret
    assert pickle.loads(pickle.dumps(key)).store() == key.store()
    return "restore: PictureKey"


# --- SM2 ciphertext

_pair = KeyPair(0x1234567890ABCDEF)
_PLAIN = "张三 330103199001011230"
_genuine = [str(sm2.encrypt(_PLAIN, _pair.public_key)) for _ in range(3)]


def _with_a_byte_changed(text, place, byte):
    raw = bytearray(base64.b64decode(text))
    raw[place % len(raw)] = byte
    return base64.b64encode(bytes(raw)).decode("ascii")


_sealed_texts = quiet(
    st.one_of(
        st.sampled_from(_genuine),
        mutated(st.sampled_from(_genuine)),
        st.builds(
            _with_a_byte_changed, st.sampled_from(_genuine), st.integers(0, 200),
            st.integers(0, 255),
        ),
        st.binary(min_size=90, max_size=120).map(lambda raw: base64.b64encode(raw).decode()),
        st.binary(max_size=60).map(
            lambda raw: base64.b64encode(base64.b64decode(_genuine[0])[:65] + raw).decode()
        ),
        canaries, texts, st.none(), st.binary(max_size=20),
    )
)  # fmt: skip


def judge_ciphertext(text):
    """Read a text as SM2 ciphertext, and decrypt it like the service."""
    try:
        sealed = sm2.Ciphertext(text)
    except InvalidParameter as error:
        return refused(error, text, "ciphertext")
    raw = base64.b64decode(sealed, validate=True)
    assert len(raw) >= 98 and raw[0] == 4
    assert on_curve(int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big"))
    assert base64.b64encode(raw).decode("ascii") == sealed == re.sub("[^!-~]", "", text)
    copy = pickle.loads(pickle.dumps(sealed))
    assert type(copy) is sm2.Ciphertext and copy == sealed
    assert repr(sealed) == "Ciphertext(<%d bytes>)" % len(raw)
    assert sm2.encrypt(sealed) == sealed
    try:
        assert decrypt(sealed, _pair.private_key) == _PLAIN and sealed in _genuine, "forged"
    except ValueError as error:
        assert_nothing_private(error, [_PLAIN])
        assert sealed not in _genuine
        return "Ciphertext of nothing"
    return "Ciphertext"


# --- settings

_variables = {
    "FACECERT_SCENE_ID": ["1000000006", "１", "0" * 33],
    "FACECERT_ENDPOINT": ["https://saf.cn-shanghai.aliyuncs.com", "http://127.0.0.1:8080", "[::1]",
                          "https://[::1]:0", "http://localhost.", "https://a:99999", "https://..",
                          "https://user:word@host", "https://xn--a", "https://[1:2]"],
    "FACECERT_ENCRYPT": ["1", "off", "TRUE", "2", "ｔrue"],
    "FACECERT_SM2_PUBLIC_KEY": _forms,
    "FACECERT_CALLBACK_SECRET": ["a-secret-of-sixteen", "one-secret-of-two another-one-of-it",
                                 "\udcff" * 16],
    "FACECERT_CONNECT_TIMEOUT": ["5", "0.5", "nan", "1e999", "1_0", "-0", "601", "٣", "0x10"],
    "FACECERT_READ_TIMEOUT": ["10", "Infinity", "1e-400", "9" * 5000],
    "FACECERT_ATTEMPTS": ["3", "11", "٣", "+1", "1_0", "9" * 5000],
    "FACECERT_LEDGER": ["ledger.db", "postgresql+psycopg2://user:word@host/x", "sqlite://", "://",
                        "a://b:c:d", "sqlite:///:memory:", "mysql://[::1"],
    "FACECERT_PER_DAY": ["500", "0", "1000000001", "٣", "+1", "9" * 5000],
    "FACECERT_CHECK_DIGIT": ["1", "off", "2"],
}  # fmt: skip
_environments = quiet(
    st.sampled_from(sorted(_variables)).flatmap(
        lambda one: st.fixed_dictionaries(
            {
                name: st.one_of(mutated(st.sampled_from(values)), texts, canaries)
                if name == one
                else st.sampled_from(["", values[0]])
                for name, values in _variables.items()
            }
        )
    )
)


def judge_settings(environ):
    """Read the settings of an environment, and make a client with them."""
    try:
        arguments = from_environment(environ)
    except InvalidParameter as error:
        return refused(error, environ.get(error.field), *VARIABLES)
    assert arguments == from_environment(environ)
    named = {argument: variable for variable, (argument, _) in VARIABLES.items()}
    assert set(arguments) == {name for name in named if environ[named[name]].strip()}
    for name, kind in (("connect_timeout", float), ("read_timeout", float), ("attempts", int),
                       ("encrypt", bool), ("sm2_public_key", sm2.PublicKey)):  # fmt: skip
        assert type(arguments.get(name, kind)) in (kind, type)
    assert 0 < arguments.get("read_timeout", 1) <= 600 and 1 <= arguments.get("attempts", 1) <= 10
    endpoint = arguments.get("endpoint", "https://a")
    assert endpoint.startswith("https://") or endpoint.startswith(
        ("http://127.", "http://localhost", "http://[")
    )
    try:
        Client(credentials=("id", "secret"), **arguments)
    except InvalidParameter as error:
        # The others are refused when they are read.
        given = environ["FACECERT_" + error.field.upper()]
        refused(error, given, "ledger", "per_day", "callback_secret")
        return "read, no Client"
    except DependencyError as error:
        assert "driver" in str(error)  # of the ledger's URL
        assert_nothing_private(error)
        return "read, no driver"
    return "read"


_credentials = st.lists(
    st.one_of(st.just("id"), st.just(None), texts, canaries, st.binary(max_size=5)), max_size=4
)


def judge_credentials(values):
    """Make a client with these values as AccessKey id, secret and token."""
    try:
        client = Client(credentials=tuple(values))
    except CredentialsError as error:
        assert_nothing_private(error, [value for value in values if isinstance(value, str)])
        return "CredentialsError"
    assert len(values) in (2, 3) and all(value and value.encode("ascii") for value in values[:2])
    assert not any(len(value or "") > 5 and value in repr(client) for value in values)
    return "Client"


# --- links

_urls = quiet(
    st.one_of(
        mutated(st.just("https://picker.antcloudauth.aliyuncs.com/gateway.do?a=%7B&b=c+d~!*'()")),
        st.builds(str.__add__, st.sampled_from(["https://", "http://", "HTTPS://"]), texts),
        st.integers(0, 4000).map(lambda n: "https://" + "a" * n),
        texts, canaries, st.none(), st.binary(max_size=9),
    )
)  # fmt: skip


def judge_link(url):
    """Make a link and a QR code of a URL."""
    try:
        link = alipay_link(url)
    except InvalidParameter as error:
        return refused(error, "", "certify_url")
    head, mark, encoded = link.partition("&url=")
    assert head == "alipays://platformapi/startapp?appId=20000067" and mark
    assert unquote(encoded, errors="strict") == url
    assert not set(encoded) & set("&?=#/: \"<>\\\r\n") and link.encode("ascii")
    if len(url) % 8 and len(url) < 2000:
        return "link"
    try:
        svg = qr_svg(url)
    except InvalidParameter as error:
        refused(error, "", "certify_url")
        return "link, no QR code"
    assert svg.startswith("<svg") and svg.endswith("</svg>") and "<script" not in svg
    return "link, QR code"


TARGETS = [
    Target(
        "sm2-keys",
        _key_texts,
        judge_public_key,
        long=[lambda n: "0" * n, lambda n: "02" + " " * n, lambda n: "04" * (n // 2)],
    ),
    Target(
        "rsa-keys",
        _rsa_texts,
        judge_rsa_key,
        long=[
            lambda n: "A" * n,
            lambda n: "\\n" * (n // 2),
            lambda n: " \n" * (n // 2) + "x",
            lambda n: "-----BEGIN PUBLIC KEY-----" * (n // 26),
            lambda n: _pem(_der + b"\0" * n),
        ],
    ),
    Target(
        "pictures",
        _pictures,
        judge_picture,
        long=[
            lambda n: ("decrypt", "A" * n, "ECB", None),
            lambda n: ("decrypt", "A " * (n // 2), "CBC", b"\0" * 16),
            lambda n: ("decrypt", b"\0" * n, "ECB", None),
            lambda n: ("restore", "." * n, None, None),
        ],
    ),
    Target(
        "ciphertext",
        _sealed_texts,
        judge_ciphertext,
        long=[
            lambda n: "B" * n,
            lambda n: " " * n,
            lambda n: "=" * n,
            lambda n: _genuine[0] + "A" * n,
        ],
        share=0.3,
    ),
    Target(
        "settings",
        _environments,
        judge_settings,
        long=[
            lambda n: dict(_blank(), FACECERT_ENDPOINT="/" * n),
            lambda n: dict(_blank(), FACECERT_ENDPOINT="https://" + "a-." * (n // 3) + ":1"),
            lambda n: dict(_blank(), FACECERT_CONNECT_TIMEOUT="9" * n),
            lambda n: dict(_blank(), FACECERT_CALLBACK_SECRET="a " * (n // 2)),
        ],
    ),
    Target("credentials", _credentials, judge_credentials),
    Target("links", _urls, judge_link, long=[lambda n: "https://" + "%" * n], share=0.3),
]


def _blank():
    return dict.fromkeys(_variables, "")
