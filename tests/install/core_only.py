"""Run the core alone: copied beside a script, with only the four ordered packages installed.

    python tests/install/core_only.py PYTHON [PYTHON...]

For each interpreter a new virtual environment gets the four packages and what they depend on. A
new folder gets the core and a script. The script opens a verification, queries it, encrypts with
SM2, confirms a callback, and asks for a ledger, whose folder was not copied. Then it runs again,
with the core as one zip on PYTHONPATH, without HOME, and where no file can be written. The gateway
is a sandbox in the interpreter that runs this program (with ``facecert[sandbox]``), because Flask
is not among the four. For the last interpreter PyInstaller makes one executable of the script.
The exit status is 1 when something fails.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from environments import Environment  # noqa: E402
from pins import ORDERED  # noqa: E402

from facecert.sandbox import Sandbox  # noqa: E402

#: The core: the modules of facecert/ itself and those of these folders.
FOLDERS = ("", "transport", "crypto")

SCRIPT = '''
import http.server
import importlib.util
import os
import platform
import sys
import threading
import urllib.request

import facecert

where = getattr(sys, "_MEIPASS", os.environ["WHERE"])  # PyInstaller's folder
assert os.path.dirname(facecert.__file__) == os.path.join(where, "facecert")
assert importlib.util.find_spec("facecert.sandbox") is None
person = {"cert_name": "\\u5f20\\u4e09", "cert_no": "330103199001011230"}
client = facecert.Client.from_environment()


def submit(opened):
    """Pass the verification as a person does, on the sandbox's page."""
    urllib.request.urlopen(opened.certify_url, b"answer=pass").close()


opened = client.init(**person)
assert not client.query(opened.certify_id).passed
submit(opened)
assert client.query(opened.certify_id).passed

confirmed = []


class Callback(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        confirmed.append(client.confirm(self.path, certify_id=opened.certify_id))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Callback)
thread = threading.Thread(target=server.handle_request, daemon=True)
thread.start()
opened = client.init(
    encrypt=True, callback_url="http://127.0.0.1:%d/verified" % server.server_port, **person
)
submit(opened)
thread.join(30)
server.server_close()
assert [result.passed for result in confirmed] == [True]
assert isinstance(facecert.encrypt(person["cert_no"]), facecert.Ciphertext)

try:
    facecert.Client(ledger="x.db")
except facecert.DependencyError as error:
    assert "facecert/ledger" in str(error), error
else:
    raise AssertionError("a ledger was made without its folder")
print("Python %s: init, query, encrypt and confirm work" % platform.python_version())
'''


def run(command, **options):
    """Run a command and return what it printed; when it fails, print that and raise."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
        **options
    )  # fmt: skip
    if done.returncode:
        print(done.stdout)
        done.check_returncode()
    return done.stdout


def copy_core(folder):
    """Copy the core into the folder; print its number of files and bytes."""
    files = [ROOT / "facecert" / "py.typed"]
    for name in FOLDERS:
        files += sorted((ROOT / "facecert" / name).glob("*.py"))
    for file in files:
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(file), str(target))
    size = sum(file.stat().st_size for file in files)
    print("the core: %d files, %d bytes" % (len(files), size))


def freeze(environment, app, environ):
    """Make one executable of the script and the core, and run it."""
    environment.install("pyinstaller")
    run(
        [environment.python, "-m", "PyInstaller", "--onefile", "--log-level", "ERROR", "script.py"],
        cwd=str(app), env=dict(os.environ, PYINSTALLER_CONFIG_DIR=str(app / "cache")),
    )  # fmt: skip
    print("as one executable: ", end="")
    print(run([str(app / "dist" / "script")], env=environ, timeout=120), end="")


def check(python, folder, sandbox, executable):
    """Install, copy and run for one interpreter."""
    environment = Environment(python, folder / "venv")
    environment.install(*ORDERED)
    print(" ".join("%s==%s" % package for package in environment.versions().items()))
    app = folder / "app"
    copy_core(app)
    (app / "script.py").write_text(SCRIPT, "utf-8")
    run([environment.python, "-m", "zipfile", "-c", "facecert.zip", "facecert"], cwd=str(app))
    environ = dict(
        sandbox.environment, PATH=os.environ["PATH"], HOME=str(folder), PYTHONIOENCODING="utf-8",
        FACECERT_CALLBACK_SECRET="secret-of-the-script", ALIBABA_CLOUD_ECS_METADATA_DISABLED="1",
        WHERE=str(app),
    )  # fmt: skip
    print(run([environment.python, "script.py"], cwd=str(app), env=environ, timeout=120), end="")
    if executable:
        freeze(environment, app, environ)
    shutil.rmtree(str(app / "facecert"))
    files = sorted(folder.rglob("*"))
    del environ["HOME"]
    environ.update(WHERE=str(app / "facecert.zip"), PYTHONPATH=str(app / "facecert.zip"))
    print("as a zip, no file written, no HOME: ", end="")
    print(run(
        [environment.python, "-B", "script.py"], cwd=str(app), env=environ, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    ), end="")  # fmt: skip
    assert sorted(folder.rglob("*")) == files, "the script made a file"


def main():
    """Check every interpreter that was given; return the exit status."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = []
    for python in sys.argv[1:]:
        with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
            try:
                check(python, Path(folder), sandbox, executable=python == sys.argv[-1])
            except (subprocess.SubprocessError, OSError, AssertionError) as error:
                print(error)
                failed.append(python)
    if failed:
        print("FAILED: %s" % ", ".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
