"""examples/encryption: both pages have the same code, the code runs, and so does the program."""

import os
import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from conftest import NAME, NUMBER, ROOT

import facecert

FOLDER = ROOT / "examples" / "encryption"


def blocks(page, language):
    text = (FOLDER / page).read_text(encoding="utf-8")
    found = re.findall(r"\.\. code-block:: %s\n\n((?:    .*\n|\n)+)" % language, text)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in found]


def test_both_pages_have_the_same_code():
    assert blocks("README.rst", r"\w+") == blocks("README.zh.rst", r"\w+")
    literals = [
        set(re.findall("``.+?``", (FOLDER / page).read_text(encoding="utf-8")))
        for page in ("README.rst", "README.zh.rst")
    ]
    assert literals[0] == literals[1]


def test_the_program_prints_what_the_page_shows():
    pytest.importorskip("cryptography", reason="pictures are the extra `pictures`")
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(FOLDER / "encryption.py")],
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8"), timeout=60,
        stdout=subprocess.PIPE,  # not stderr: Python 3.6 has a warning of cryptography there
    )  # fmt: skip
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0 and [output] == blocks("README.rst", "text"), output


def test_the_code_of_the_guide_runs(sandbox, monkeypatch):
    pytest.importorskip("cryptography", reason="pictures are the extra `pictures`")
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", sandbox.sm2_public_key)
    monkeypatch.setenv("FACECERT_PICTURE_PUBLIC_KEY", sandbox.picture_public_key)
    sending, storing, pictures = blocks("README.rst", "python")
    compile(sending, "README.rst", "exec")  # its client is the real service's
    with sandbox.client(encrypt=True) as client:
        opening = sending.splitlines()[1]
        assert opening.startswith("opened = client.init(")
        names = {"facecert": facecert, "client": client, "name": NAME, "number": NUMBER}
        exec(opening, names)
        exec(storing, dict(names, row=SimpleNamespace()))
        sent = [request.service_parameters for request in sandbox.requests]
        assert [one["encryptType"] for one in sent] == ["SM2", "SM2"]
        sandbox.complete(names["opened"].certify_id)
        lines = pictures.replace("key.decrypt(ciphertext)", "key.decrypt(result.material_info)")
        assert lines != pictures
        names["certify_id"] = names["opened"].certify_id
        exec(lines, names)
        assert names["picture"].startswith(b"\x89PNG")
