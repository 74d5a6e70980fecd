import base64
import pickle
import shutil
import subprocess

import pytest
from conftest import run_python

from facecert import InvalidParameter
from facecert.crypto.pictures import VARIABLE, PictureKey
from facecert.sandbox.keys import PictureLock
from facecert.sandbox.service import PICTURE

LOCK = PictureLock()
PEM = "-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % base64.encodebytes(
    base64.b64decode(LOCK.public_key)
).decode("ascii")


FORMS = {
    "Base64": LOCK.public_key,
    "a line of Base64": LOCK.public_key + "\n",
    "PEM": PEM,
    "spaces": "  " + PEM,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("bits", [128, 256])
def test_generate_encrypt_decrypt(form, bits):
    key = PictureKey.generate(form, bits=bits)
    assert len(key.enc_token) == 344 and repr(key) == "<PictureKey AES-%d>" % bits
    sealed = LOCK.encrypt(PICTURE, key.enc_token)
    assert key.decrypt(sealed) == PICTURE
    assert key.decrypt(base64.b64encode(sealed).decode("ascii")) == PICTURE
    iv = bytes(range(16))
    assert key.decrypt(LOCK.encrypt(PICTURE, key.enc_token, iv), mode="CBC", iv=iv) == PICTURE


@pytest.fixture
def rsa_pem(tmp_path):
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    path = tmp_path / "rsa.pem"
    path.write_bytes(
        LOCK._private_key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
    )
    return path


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("bits", [128, 256])
def test_openssl_decrypts_enc_token_to_the_base64_of_the_key(rsa_pem, bits):
    key = PictureKey.generate(LOCK.public_key, bits=bits)
    opened = subprocess.run(
        ["openssl", "pkeyutl", "-decrypt", "-inkey", str(rsa_pem), "-pkeyopt",
         "rsa_padding_mode:pkcs1"],
        input=base64.b64decode(key.enc_token),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout  # fmt: skip
    assert opened.decode("ascii") == key.store().split(".")[0]
    assert len(base64.b64decode(opened)) == bits // 8
    # A picture that openssl encrypts with this key can be decrypted.
    sealed = subprocess.run(
        ["openssl", "enc", "-aes-%d-ecb" % bits, "-K", base64.b64decode(opened).hex()],
        input=PICTURE,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert key.decrypt(sealed) == PICTURE


def test_all_forms_of_a_key_and_of_data():
    for form in (PEM.encode("ascii"), PEM.replace("\n", "\\n"), "\ufeff" + PEM):
        key = PictureKey.generate(form)
        sealed = LOCK.encrypt(PICTURE, key.enc_token)
        assert key.decrypt(memoryview(sealed)) == key.decrypt(bytearray(sealed)) == PICTURE


def test_128_bits_are_16_letters_and_digits_as_the_page_has_it():
    secret = base64.b64decode(PictureKey.generate(LOCK.public_key, bits=128).store().split(".")[0])
    assert len(secret) == 16 and secret.isalnum() and len(set(secret)) > 4
    many = "".join(
        base64.b64decode(PictureKey.generate(LOCK.public_key, bits=128).store()[:24]).decode()
        for _ in range(40)
    )
    assert len(set(many)) > 55  # of 62


def test_256_bits_are_any_bytes():
    secrets = b"".join(
        base64.b64decode(PictureKey.generate(LOCK.public_key).store().split(".")[0])
        for _ in range(40)
    )
    assert len(set(secrets)) > 240


def test_the_argument_overrides_the_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, PictureLock().public_key)
    key = PictureKey.generate(LOCK.public_key)
    assert key.decrypt(LOCK.encrypt(PICTURE, key.enc_token)) == PICTURE


def test_every_key_is_new_and_none_is_shown():
    keys = [PictureKey.generate(LOCK.public_key) for _ in range(5)]
    assert len({key.store() for key in keys}) == len({key.enc_token for key in keys}) == 5
    assert "_secret" not in repr(keys) and not hasattr(keys[0], "__dict__")


def test_store_and_restore():
    key = PictureKey.generate(LOCK.public_key)
    again = PictureKey.restore(key.store())
    assert again.enc_token == key.enc_token
    assert again.decrypt(LOCK.encrypt(PICTURE, key.enc_token)) == PICTURE
    assert PictureKey.restore(key.store() + "\n").enc_token == key.enc_token
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(key, protocol)).store() == key.store()


NOT_STORED = ["", "x", "x.y", None, 5, "AAAA." + "a" * 344, "é." + "a" * 344]
NOT_STORED += ["A" * 32 + "." + "a" * 344, "A" * 22 + "==." + "a" * 343]


@pytest.mark.parametrize("stored", NOT_STORED)
def test_what_was_not_stored_is_not_restored(stored):
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.restore(stored)
    assert caught.value.field == "stored"


def test_the_key_of_the_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, LOCK.public_key)
    key = PictureKey.generate()
    assert key.decrypt(LOCK.encrypt(PICTURE, key.enc_token)) == PICTURE
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate()
    assert caught.value.field == VARIABLE
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate()
    assert caught.value.field == VARIABLE and VARIABLE in str(caught.value)


NO_KEYS = {
    "a word": "nonsense",
    "Base64": "AAAA",
    "half a PEM": PEM[:100],
    "a private PEM": PEM.replace("PUBLIC", "PRIVATE"),
    "Chinese": "密钥",
}


@pytest.mark.parametrize("key", NO_KEYS.values(), ids=list(NO_KEYS))
def test_wrong_rsa_keys(key):
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate(key)
    assert caught.value.field == "rsa_public_key" and caught.value.__context__ is None


def generate_key(kind):
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1(), default_backend())
    return rsa.generate_private_key(65537, int(kind), default_backend())


@pytest.mark.parametrize("kind", ["1024", "4096", "P-256"])
def test_another_kind_of_key_is_refused(kind):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = generate_key(kind).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    test_wrong_rsa_keys(base64.b64encode(der).decode("ascii"))


@pytest.mark.parametrize("bits", [0, 192, "256", None])
def test_wrong_sizes(bits):
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate(LOCK.public_key, bits=bits)
    assert caught.value.field == "bits"


@pytest.mark.parametrize(
    "data, options, field",
    [
        (b"", {}, "data"),
        (b"x" * 15, {}, "data"),
        ("not Base64!", {}, "data"),
        (None, {}, "data"),
        (b"x" * 16, {"mode": "GCM"}, "mode"),
        (b"x" * 16, {"mode": "CBC"}, "iv"),
        (b"x" * 16, {"mode": "CBC", "iv": b"short"}, "iv"),
        (b"x" * 16, {"iv": b"x" * 16}, "iv"),
        (b"x" * 16, {"iv": b"short"}, "iv"),
        (b"x" * 16, {"iv": "x" * 16}, "iv"),
        (b"x" * 16, {"mode": "CBC", "iv": b"x" * 17}, "iv"),
        (b"x" * 16, {"mode": "ecb"}, "mode"),
        (5, {}, "data"),
    ],
)
def test_what_cannot_be_decrypted(data, options, field):
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate(LOCK.public_key).decrypt(data, **options)
    assert caught.value.field == field


def test_another_key_does_not_fit():
    sealed = LOCK.encrypt(PICTURE, PictureKey.generate(LOCK.public_key).enc_token)
    with pytest.raises(InvalidParameter):
        PictureKey.generate(LOCK.public_key).decrypt(sealed[:-16])


def test_a_picture_through_the_sandbox(sandbox, client, person):
    opened = client.init(**person)
    sandbox.complete(opened.certify_id)
    key = PictureKey.generate(sandbox.picture_public_key)
    answer = client.query(opened.certify_id, enc_token=key.enc_token)
    assert answer.passed and key.decrypt(answer.material_info) == PICTURE
    assert client.query(opened.certify_id).material_info == ""


def test_without_cryptography():
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import facecert\n"
        "from facecert.crypto import PictureKey\n"
        "try: PictureKey.generate('AAAA')\n"
        "except facecert.DependencyError as error: print(error)"
    )
    assert "install --force-reinstall cryptography" in run_python(code)


@pytest.mark.parametrize("exponent", [b"\0\0\1", b"\1\0\0"])
def test_bug_an_exponent_that_encrypts_nothing_was_taken_by_old_cryptography(exponent):
    der = base64.b64decode(LOCK.public_key)[:-3] + exponent
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate(base64.b64encode(der).decode("ascii"))
    assert caught.value.field == "rsa_public_key"


def test_bug_an_even_modulus_ended_in_an_error_of_cryptographys():
    der = bytearray(base64.b64decode(LOCK.public_key))
    der[-6] ^= 1  # the modulus stands before the five bytes of the exponent
    with pytest.raises(InvalidParameter) as caught:
        PictureKey.generate(base64.b64encode(bytes(der)).decode("ascii"))
    assert caught.value.field == "rsa_public_key"
