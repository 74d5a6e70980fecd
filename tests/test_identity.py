import pytest
from conftest import NAME, NUMBER

from facecert import Ciphertext, InvalidParameter, encrypt
from facecert.identity import Person
from facecert.sandbox.keys import KeyPair, decrypt

PAIR = KeyPair.generate()
SEALED = encrypt(NAME, PAIR.public_key), encrypt(NUMBER, PAIR.public_key)


def make(name, number, encrypted=False):
    return Person(name, number, encrypted=encrypted, public_key=PAIR.public_key)


def test_plain():
    who = make(" %s " % NAME, NUMBER.lower())
    assert (who.name, who.number, who.encrypted) == (NAME, NUMBER, False)


def test_encrypted_here():
    who = make(" %s " % NAME, NUMBER.lower(), encrypted=True)
    assert who.encrypted and type(who.name) is type(who.number) is Ciphertext
    assert decrypt(who.name, PAIR.private_key) == NAME
    assert decrypt(who.number, PAIR.private_key) == NUMBER


@pytest.mark.parametrize("encrypted", [True, False])
def test_ciphertext_is_not_encrypted_again(encrypted):
    who = make(*SEALED, encrypted=encrypted)
    assert (who.name, who.number, who.encrypted) == SEALED + (True,)


@pytest.mark.parametrize("encrypted", [True, False])
def test_one_plain_and_one_encrypted_are_refused(encrypted):
    for name, number, field in (
        (SEALED[0], NUMBER, "cert_no"),
        (NAME, SEALED[1], "cert_name"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            make(name, number, encrypted)
        assert caught.value.field == field


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("field", ["cert_name", "cert_no"])
def test_bug_ciphertext_from_a_database_is_an_ordinary_str(field, encrypted):
    texts = {"cert_name": NAME, "cert_no": NUMBER}
    texts[field] = " %s  " % SEALED[0]
    with pytest.raises(InvalidParameter) as caught:
        make(texts["cert_name"], texts["cert_no"], encrypted)
    assert caught.value.field == field and "facecert.Ciphertext" in str(caught.value)
    assert Ciphertext(texts[field]) == SEALED[0]  # a CHAR column adds blanks


def test_everything_given_and_sent_is_private_and_nothing_is_shown():
    who = make(" " + NAME, NUMBER, encrypted=True)
    assert {" " + NAME, NAME, NUMBER, who.name, who.number} == set(who.private.value)
    assert repr(who) == "<Person>"
