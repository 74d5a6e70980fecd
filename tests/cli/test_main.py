import ast
import importlib.util
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import NAME, NUMBER, ROOT, run_cli, run_python

click = pytest.importorskip("click", reason="the command line is the extra `cli`")

import facecert  # noqa: E402
from facecert.cli.main import COMMANDS, cli  # noqa: E402
from facecert.cli import output  # noqa: E402


def command(name):
    return cli.get_command(click.Context(cli), name)


def facecert_process(*arguments, **more):
    environ = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING="utf-8")
    environ.update(more.pop("env", {}))
    command = [sys.executable, "-m", "facecert"] + list(arguments)
    return subprocess.Popen(command, env=environ, **more)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_an_example_and_is_in_a_guide(name):
    done = run_cli(name, "--help")
    assert done.exit_code == 0 and "Example: facecert " in done.stdout
    assert "facecert %s" % name in done.stdout.split("Example: ")[1]
    pages = sorted((ROOT / "examples").glob("*/*.rst"))
    guides = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert "facecert " + name in guides
    below = getattr(command(name), "commands", {})
    for parameter in sum([one.params for one in below.values()], command(name).params):
        if isinstance(parameter, click.Option):
            assert max(parameter.opts, key=len) in guides
    for other in below:
        assert "facecert %s %s" % (name, other) in guides
        assert "Example: facecert %s %s" % (name, other) in run_cli(name, other, "--help").stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_list_tells_what_the_command_tells(name):
    assert command(name).help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_verbose(name):
    for one in getattr(command(name), "commands", {name: command(name)}).values():
        assert ["--verbose"] in [parameter.opts for parameter in one.params]


def test_every_module_with_a_command_is_in_the_list():
    found = {
        path.stem
        for path in (ROOT / "facecert" / "cli").glob("*.py")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "command"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    }
    assert found == set(COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_list_imports_no_command_and_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from facecert.cli.main import cli\n"
        "try: cli.main(%r)\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = ('flask', 'urllib3', 'gmssl', 'cryptography', 'aliyunsdkcore', 'segno')\n"
        "print('IMPORTED', [m for m in sys.modules if m.split('.')[0] in heavy\n"
        "      or m.startswith('facecert.cli.') and m != 'facecert.cli.main'])" % (arguments,)
    )
    said = run_python(code)
    for name, words in COMMANDS.items():
        assert re.search(r"^  %s +%s" % (name, re.escape(words[:40])), said, re.M)
    assert said.strip().endswith("IMPORTED ['facecert.cli.help', 'facecert.cli.output']")


def test_the_help_and_the_guide_have_every_exit_code():
    codes = {
        value
        for name, value in vars(output).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    assert codes == {0, 1, 2, 3, 4, 5, 6, 70, 130, 141}
    shown = run_cli("--help").stdout
    listed = re.findall(r"^ +(\d+)  \S", shown[: shown.index("Options:")], re.M)
    assert {int(code) for code in listed} == codes
    for page in ("README.rst", "README.zh.rst"):
        guide = (ROOT / "examples" / "ops" / page).read_text(encoding="utf-8")
        assert re.findall(r"^(\d+) +\S", guide, re.M) == listed


@pytest.mark.parametrize(
    "error, code",
    [
        (facecert.InvalidParameter(field="certify_id"), 2),
        (facecert.InvalidParameter(field="FACECERT_ATTEMPTS"), 6),
        (facecert.CredentialsError(), 6),
        (facecert.DependencyError(), 6),
        (facecert.ConnectionFailed(), 5),
        (facecert.NoAnswer(), 4),
        (facecert.BadAnswer(), 4),
        (facecert.GatewayError(), 3),
        (facecert.GatewayError(outcome="unknown"), 4),
        (facecert.Throttled(), 5),
        (facecert.SignatureError(), 3),
        (facecert.ClockSkew(), 3),
        (facecert.ServiceError(outcome="refused"), 3),
        (facecert.ServiceError(outcome="unknown"), 4),
        (facecert.CallbackError(), 3),
        (facecert.LedgerError(), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_each_error_ends_with(error, code):
    assert output.exit_code(error) == code


@pytest.mark.parametrize(
    "arguments",
    [
        [NAME],
        [NAME, NUMBER],
        ["--" + NAME],
        ["query", "0" * 32, NAME],
        ["query", "0" * 32, "--cert-no", NUMBER],
        ["query", "0" * 32, "--cert-no=" + NUMBER],
        ["query", "-" + NUMBER],
        ["query", NAME],
        ["query", NUMBER],
        ["wait", "0" * 32, "--minutes", NAME],
        ["wait", "0" * 32, "--expires-at", NAME],
        ["sandbox", "--port", NUMBER],
        ["demo", NAME],
        ["encrypt", NAME],
        ["link", NAME],
        ["qr", NAME],
        ["qr", "https://x", "--sgv=" + NAME],
        ["completion", NAME],
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize("json", [False, True])
def test_what_is_wrong_on_the_command_line_is_never_repeated(commands, arguments, json):
    done = run_cli(*arguments + ["--json"] * json)
    assert done.exit_code == 2 and done.stdout == "" and len(done.stderr) > 10
    for shown in (done.stderr, ascii(done.stderr), repr(done.stderr)):
        assert NAME not in shown and ascii(NAME)[1:-1] not in shown and NUMBER not in shown
    assert commands.requests == []


def test_a_missing_argument_is_named():
    assert "CERTIFY_ID is missing" in run_cli("wait").stderr
    assert "--svg needs a value" in run_cli("qr", "https://x", "--svg").stderr
    assert "--port is not valid" in run_cli("sandbox", "--port", "99999").stderr


def test_a_bug_is_no_verdict_and_quotes_nothing(commands, monkeypatch):
    def broken(self, certify_id):
        raise KeyError(NAME)

    monkeypatch.setattr(facecert.Client, "query", broken)
    done = run_cli("query", "0" * 32)
    assert done.exit_code == 70 and "KeyError" in done.stderr and "in broken" in done.stderr
    assert NAME not in done.stderr and done.stdout == ""


def test_ctrl_c_ends_with_130_and_no_traceback(commands, monkeypatch):
    def interrupted(self, certify_id):
        raise KeyboardInterrupt

    monkeypatch.setattr(facecert.Client, "query", interrupted)
    done = run_cli("query", "0" * 32)
    assert done.exit_code == 130 and done.stderr.strip() == ""


@pytest.mark.parametrize("arguments", [["--help"], ["link", "https://x"], ["--version"]])
def test_a_reader_who_went_away_is_no_verdict(arguments):
    read, write = os.pipe()
    os.close(read)
    process = facecert_process(*arguments, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (141, b"")


@pytest.mark.skipif(
    not os.path.exists("/dev/full") and "CI" not in os.environ, reason="no /dev/full here"
)
def test_a_full_disk_is_told():
    with open("/dev/full", "w") as full:
        process = facecert_process("link", "https://x", stdout=full, stderr=subprocess.PIPE)
        said = process.communicate(timeout=60)[1].decode("utf-8")
    assert process.returncode == 141 and "No space left" in said and said.count("\n") == 1


def test_a_closed_output_is_told():
    code = (
        "import sys; sys.stdout = None\n"
        "from facecert.cli.output import Output\n"
        "from facecert.cli.main import cli\n"
        "cli._run = lambda *arguments: Output().show({'certify_id': 'c'})\n"
        "cli.main(['query'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    assert done.returncode == 141 and b"Bad file descriptor" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.long
def test_an_encoding_without_the_characters_is_told():
    process = facecert_process(
        "demo", env={"PYTHONIOENCODING": "latin-1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said = process.communicate(timeout=60)[1].decode("utf-8")
    assert process.returncode == 6 and "LC_ALL" in said and "Traceback" not in said


def test_verbose_shows_our_log_and_nobody_elses(commands):
    commands.fail("throttled")
    done = run_cli("query", "0" * 32, "--verbose")
    assert done.exit_code == 5
    assert "DEBUG <ServiceParameters query %s> failed" % ("0" * 32) in done.stderr
    assert "urllib3" not in done.stderr and commands.access_key_secret not in done.stderr
    # And it is over when the command is.
    commands.fail("throttled")
    assert "DEBUG" not in run_cli("query", "0" * 32).stderr


def test_without_click_it_says_what_to_install(tmp_path):
    said = said_beside(tmp_path, "raise ImportError('no click', name='click')\n")
    assert 'pip install "click>=7.0"' in said and "Traceback" not in said


def test_bug_click_6_7_gave_two_tracebacks(tmp_path):
    had = "__version__ = '6.7'\nclass exceptions: pass\nclass UsageError(Exception): pass\n"
    said = said_beside(tmp_path, had)
    assert "needs click 7.0 or later (6.7 is here)" in said and "Traceback" not in said


def said_beside(tmp_path, click_module):
    (tmp_path / "click.py").write_text(click_module)
    path = "%s%s%s" % (tmp_path, os.pathsep, ROOT)
    return run_python(
        "from facecert.__main__ import main; main()", env={"PYTHONPATH": path}, check=False
    )


@pytest.mark.long
def test_without_a_locale_it_works_or_says_what_to_set():
    done = subprocess.run(
        [sys.executable, "-m", "facecert", "demo"],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    assert b"Traceback" not in done.stdout
    assert done.returncode == 0 or b"LC_ALL" in done.stdout


def test_setup_cfg_can_be_read_without_a_locale():
    (ROOT / "setup.cfg").read_text(encoding="ascii")


def test_version():
    assert facecert.__version__ in run_cli("--version").stdout
    assert pathlib.Path(ROOT, "CHANGELOG.rst").read_text(encoding="utf-8").count(
        facecert.__version__
    )


def test_results_are_words_on_a_terminal_and_json_elsewhere(monkeypatch):
    shown = {"id": "a\x1b[31mb", "nothing": None}
    for terminal, asked, expected in (
        (True, False, "id       a [31mb\nnothing  -\n"),
        (True, True, '{"id": "a\\u001b[31mb", "nothing": null}\n'),
        (False, False, '{"id": "a\\u001b[31mb", "nothing": null}\n'),
    ):
        monkeypatch.setattr(output, "is_terminal", lambda stream: terminal)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        output.Output(asked).show(shown)
        assert sys.stdout.getvalue() == expected


BASH = shutil.which("bash")

#: click 7, with which Flask 1.1 works, has no such thing.
CLICK_COMPLETES = importlib.util.find_spec("click.shell_completion") is not None


@pytest.mark.long
@pytest.mark.skipif(not BASH and "CI" not in os.environ, reason="no bash here")
@pytest.mark.parametrize(
    "words, expected",
    [
        (["facecert", "q"], {"query", "qr"}),
        (["facecert", "wait", "--m"], {"--minutes"}),
        (["facecert", "completion", ""], {"bash", "zsh", "fish"}),
        (["facecert", "init", "--biz-code", "FACE_"], {"FACE_SDK"}),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_completion_in_bash(tmp_path, words, expected):
    script = tmp_path / "facecert"
    script.write_text("#!%s\nfrom facecert.__main__ import main\nmain()\n" % sys.executable)
    script.chmod(0o755)
    code = (
        "source <(facecert completion bash)\n"
        "complete -p facecert\n"
        "COMP_WORDS=(%s)\n"
        "COMP_CWORD=%d\n"
        "_facecert_completion facecert\n"
        'printf "GOT %%s\\n" "${COMPREPLY[@]}"\n'
        % (" ".join("'%s'" % word for word in words), len(words) - 1)
    )
    done = subprocess.run(
        [BASH, "--norc", "-c", code],
        env=dict(
            os.environ,
            PATH="%s%s%s" % (tmp_path, os.pathsep, os.environ["PATH"]),
            PYTHONPATH=str(ROOT),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    said = done.stdout.decode("utf-8")
    if b"click 8.0 or later" in done.stderr:
        assert not CLICK_COMPLETES
        return
    assert "complete -o nosort -F _facecert_completion facecert" in said, done.stderr
    assert set(re.findall("^GOT (.*)$", said, re.M)) == expected


@pytest.mark.parametrize(
    "shell, words", [("zsh", "#compdef facecert"), ("fish", "--command facecert")]
)
def test_completion_for_other_shells(shell, words):
    done = run_cli("completion", shell)
    if not CLICK_COMPLETES:
        assert done.exit_code == 6 and "pip install" in done.stderr
        return
    assert done.exit_code == 0 and words in done.stdout and "_FACECERT_COMPLETE" in done.stdout
