"""The commands ``link`` and ``qr``."""

import pytest
from conftest import run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

from facecert import links  # noqa: E402

URL = "https://picker.antcloudauth.aliyuncs.com/gateway.do?a=b&c=%E5%BC%A0"


@pytest.mark.parametrize("argument, stdin", [(URL, None), ("-", URL + "\n")])
def test_link(argument, stdin):
    done = run_cli("link", argument, stdin=stdin)
    assert (done.exit_code, done.stdout) == (0, links.alipay_link(URL) + "\n")


@pytest.mark.parametrize("argument, stdin", [(URL, None), ("-", URL + "\n")])
def test_qr(argument, stdin):
    pytest.importorskip("segno", reason="QR codes are in the extra `cli`")
    done = run_cli("qr", argument, stdin=stdin)
    assert (done.exit_code, done.stdout) == (0, links.qr_terminal(URL))


def test_qr_as_svg(tmp_path):
    pytest.importorskip("segno", reason="QR codes are in the extra `cli`")
    file = tmp_path / "code.svg"
    done = run_cli("qr", URL, "--svg", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_text(encoding="utf-8") == links.qr_svg(URL)
    done = run_cli("qr", URL, "--svg", str(tmp_path / "missing" / "code.svg"))
    assert done.exit_code == 2 and "--svg" in done.stderr


@pytest.mark.parametrize("command", ["link", "qr"])
def test_what_is_no_url(command):
    for argument, stdin in (("ftp://x", None), ("-", ""), ("-", "x\n")):
        done = run_cli(command, argument, stdin=stdin)
        assert done.exit_code == 2 and "certify_url" in done.stderr


def test_without_segno(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "segno", None)
    done = run_cli("qr", URL)
    assert done.exit_code == 6 and "pip install segno" in done.stderr
