import base64

import pytest
from conftest import NAME, NUMBER, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

from facecert.crypto.sm2 import Ciphertext  # noqa: E402


def test_a_line_each(commands):
    done = run_cli("encrypt", stdin=("%s\n  %s \r\n" % (NAME, NUMBER)).encode("utf-8"))
    assert done.exit_code == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and list(map(Ciphertext, lines)) == lines
    # 97 bytes and those of the text, without the blanks around it.
    sizes = [len(base64.b64decode(line)) - 97 for line in lines]
    assert sizes == [len(NAME.encode("utf-8")), len(NUMBER)]


def test_with_the_key_of_the_environment(commands):
    line = run_cli("encrypt", stdin=NUMBER + "\n").stdout.strip()
    with commands.client() as client:
        # The sandbox decrypts both with its own key, or answers 501.
        client.init(cert_name=Ciphertext(line), cert_no=Ciphertext(line))


def test_a_final_x_becomes_a_capital(monkeypatch):
    from facecert.cli import encrypt

    seen = []
    monkeypatch.setattr(encrypt, "encrypt", lambda text: seen.append(text) or "c")
    run_cli("encrypt", stdin="11010119800101998x\nmax\n")
    assert seen == ["11010119800101998X", "max"]


def test_ciphertext_stays_as_it_is():
    once = run_cli("encrypt", stdin="x\n").stdout
    assert run_cli("encrypt", stdin=once).stdout == once


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_bug_a_file_with_cr_line_ends_made_one_ciphertext_of_two_names(end):
    done = run_cli("encrypt", stdin=("\ufeff张三%s李四%s" % (end, end)).encode("utf-8"))
    sizes = [len(base64.b64decode(line)) - 97 for line in done.stdout.splitlines()]
    assert (done.exit_code, sizes) == (0, [6, 6])


def test_nothing_in_nothing_out():
    done = run_cli("encrypt", stdin="")
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize("bad", [b"\n", b"  \n", NAME.encode("gbk") + b"\n"])
def test_a_line_that_cannot_be_ends_it(bad):
    done = run_cli("encrypt", stdin=b"a\n" + bad + b"b\n")
    assert done.exit_code == 2 and "Line 2" in done.stderr and done.stdout.count("\n") == 1


def test_a_wrong_key_is_a_matter_of_setup():
    done = run_cli("encrypt", stdin="a\n", env={"FACECERT_SM2_PUBLIC_KEY": "00"})
    assert done.exit_code == 6 and "FACECERT_SM2_PUBLIC_KEY" in done.stderr
