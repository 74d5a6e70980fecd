"""examples/encryption: the code of the page runs, and so does the program."""

import os
import subprocess
import sys
from types import SimpleNamespace

import guides
import pytest
from conftest import NAME, NUMBER, ROOT

import facecert

FOLDER = ROOT / "examples" / "encryption"
PAGE = FOLDER / "README.rst"


def test_the_program_prints_what_the_page_shows():
    pytest.importorskip("cryptography", reason="pictures are the extra `pictures`")
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(FOLDER / "encryption.py")],
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8"), timeout=60,
        stdout=subprocess.PIPE,  # not stderr: Python 3.6 has a warning of cryptography there
    )  # fmt: skip
    output = done.stdout.decode("utf-8")
    assert done.returncode == 0 and [output] == guides.blocks(PAGE, "text"), output


def test_the_code_of_the_guide_runs(sandbox, monkeypatch):
    pytest.importorskip("cryptography", reason="pictures are the extra `pictures`")
    monkeypatch.setenv("FACECERT_SM2_PUBLIC_KEY", sandbox.sm2_public_key)
    monkeypatch.setenv("FACECERT_PICTURE_PUBLIC_KEY", sandbox.picture_public_key)
    sending, storing, pictures = guides.blocks(PAGE, "python")
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
