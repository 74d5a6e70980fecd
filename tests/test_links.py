import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
from conftest import run_python

from facecert import InvalidParameter, alipay_link
from facecert.links import qr_svg, qr_terminal

URL = "https://picker.antcloudauth.aliyuncs.com/gateway.do?a=%7B%22%7D&b=a+b/c=~!*'()"


def test_the_link_is_what_encode_uri_component_makes_of_it():
    link = alipay_link(URL)
    head, _, encoded = link.partition("&url=")
    assert head == "alipays://platformapi/startapp?appId=20000067"
    assert unquote(encoded) == URL
    assert set(re.sub("[A-Za-z0-9]|%[0-9A-F]{2}", "", encoded)) <= set("-_.!~*'()")


def test_node_agrees():
    import shutil

    if not shutil.which("node"):
        pytest.skip("needs node")
    code = "process.stdout.write(encodeURIComponent(process.argv[1]))"
    encoded = subprocess.run(["node", "-e", code, URL], stdout=subprocess.PIPE, check=True).stdout
    assert alipay_link(URL).endswith("&url=" + encoded.decode("ascii"))


@pytest.mark.parametrize("url", ["", None, "javascript:alert(1)", "alipays://x", 5])
def test_what_is_no_url(url):
    for make in (alipay_link, qr_svg, qr_terminal):
        with pytest.raises(InvalidParameter) as caught:
            make(url)
        assert caught.value.field == "certify_url"


def test_qr_codes():
    pytest.importorskip("segno", reason="QR codes are in the extra `cli`")
    svg = qr_svg(URL)
    assert svg.startswith("<svg") and "viewBox" in svg and "<script" not in svg
    lines = qr_terminal(URL).splitlines()
    assert len(lines) > 15 and len({len(line) for line in lines if line}) <= 2


def test_without_segno():
    code = (
        "import sys; sys.modules['segno'] = None\n"
        "import facecert.links\n"
        "try: facecert.links.qr_svg('https://x')\n"
        "except facecert.DependencyError as error: print(error)"
    )
    assert "pip install segno" in run_python(code)
    assert sys.modules


def test_bug_an_answers_url_that_is_no_unicode_ended_in_a_unicode_error():
    for make in (alipay_link, qr_svg, qr_terminal):
        with pytest.raises(InvalidParameter):
            make(URL + "\ud800")


def test_bug_a_url_too_long_for_a_qr_code_ended_in_an_error_of_segnos():
    pytest.importorskip("segno", reason="QR codes are in the extra `cli`")
    longest = "https://" + "a" * (2953 - len("https://"))
    assert qr_svg(longest)
    for make in (qr_svg, qr_terminal):
        with pytest.raises(InvalidParameter) as caught:
            make(longest + "a")
        assert caught.value.field == "certify_url" and caught.value.__context__ is None
