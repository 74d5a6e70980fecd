import getpass
import json
import logging
import re
import warnings
from datetime import datetime, timedelta, timezone

import pytest
from conftest import NAME, NUMBER, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

import facecert  # noqa: E402
from facecert.cli import prompts as identity  # noqa: E402
from facecert.cli.output import Misuse  # noqa: E402
from facecert.client import Client  # noqa: E402

PERSON = json.dumps({"cert_name": NAME, "cert_no": NUMBER})


def test_init_from_standard_input(commands):
    done = run_cli("init", stdin=PERSON)
    assert (done.exit_code, done.stderr) == (0, "")
    opened = json.loads(done.stdout)
    assert list(opened) == [
        "certify_id", "outer_order_no", "certify_url", "expires_at", "request_id"
    ]  # fmt: skip
    left = datetime.strptime(opened["expires_at"], "%Y-%m-%dT%H:%M:%S+00:00").replace(
        tzinfo=timezone.utc
    ) - datetime.now(timezone.utc)
    assert timedelta(minutes=28) < left <= timedelta(minutes=30)
    sent = commands.requests[0].service_parameters
    assert (sent["certName"], sent["certNo"], sent["bizCode"]) == (NAME, NUMBER, "FACE")
    assert opened["outer_order_no"] == sent["outerOrderNo"]


def test_init_in_words(commands, on_a_terminal):
    done = run_cli("init", stdin=PERSON)
    assert re.match(r"certify_id      [0-9a-f]{32}\nouter_order_no  \w{32}\n", done.stdout)
    assert done.stdout.count("\n") == 5


def test_init_with_every_option(commands):
    done = run_cli(
        "init", "--scene-id", commands.scene_id, "--outer-order-no", "A1",
        "--return-url", "app://x", "--callback-url", commands.endpoint + "/x",
        "--biz-code", "FACE_SDK", "--encrypt", "--json",
        stdin=PERSON,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    sent = commands.requests[0].service_parameters
    assert (sent["outerOrderNo"], sent["returnUrl"], sent["bizCode"], sent["encryptType"]) == (
        "A1", "app://x", "FACE_SDK", "SM2"
    )  # fmt: skip
    assert json.loads(done.stdout)["outer_order_no"] == "A1"


@pytest.mark.parametrize("option, encrypted", [("--no-encrypt", False), (None, True)])
def test_init_encrypts_as_the_environment_says_unless_told(commands, option, encrypted):
    done = run_cli(*filter(None, ["init", option]), stdin=PERSON, env={"FACECERT_ENCRYPT": "1"})
    assert done.exit_code == 0
    assert ("encryptType" in commands.requests[0].service_parameters) == encrypted


def test_the_environment_wins_over_standard_input(commands):
    environ = {"FACECERT_CERT_NAME": NAME, "FACECERT_CERT_NO": NUMBER}
    assert run_cli("init", stdin="not even JSON", env=environ).exit_code == 0
    assert commands.requests[0].service_parameters["certName"] == NAME


def test_what_was_encrypted_before_is_sent_as_it_is(commands):
    texts = run_cli("encrypt", stdin="%s\n%s\n" % (NAME, NUMBER)).stdout.split()
    done = run_cli("init", stdin=json.dumps({"cert_name": texts[0], "cert_no": texts[1]}))
    assert done.exit_code == 0, done.stderr
    sent = commands.requests[0].service_parameters
    assert [sent["certName"], sent["certNo"], sent["encryptType"]] == texts + ["SM2"]


@pytest.mark.parametrize(
    "given",
    [
        "", "{", NAME, "[]", '"%s"' % NAME, '{"cert_name": "%s"}' % NAME,
        '{"cert_name": "%s", "cert_no": 1}' % NAME, '{"cert_name": "%s", "cert_no": " "}' % NAME,
        '{"cert_name": "%s", "cert_no": "%s", "x": "1"}' % (NAME, NUMBER),
        NAME.encode("gbk"), b"[" * 60000, b" " * 70000 + PERSON.encode("ascii"),
    ],
    ids=range(12),
)  # fmt: skip
def test_other_input_is_refused_and_not_repeated(commands, given):
    done = run_cli("init", stdin=given)
    assert done.exit_code == 2 and done.stdout == "" and commands.requests == []
    assert identity.SHAPE in done.stderr and "FACECERT_CERT_NO" in done.stderr
    assert NAME not in done.stderr and NUMBER not in done.stderr


def test_input_with_a_byte_order_mark(commands):
    assert run_cli("init", stdin=b"\xef\xbb\xbf" + PERSON.encode("ascii")).exit_code == 0


@pytest.mark.parametrize("missing", ["FACECERT_CERT_NAME", "FACECERT_CERT_NO"])
def test_half_a_person_in_the_environment(commands, missing):
    environ = {"FACECERT_CERT_NAME": NAME, "FACECERT_CERT_NO": NUMBER, missing: ""}
    done = run_cli("init", env=environ)
    assert done.exit_code == 2 and "Set %s as well" % missing in done.stderr


def test_a_variable_that_is_no_text_is_a_matter_of_setup(commands):
    environ = {"FACECERT_CERT_NAME": "\udcff\udcfe", "FACECERT_CERT_NO": NUMBER}
    done = run_cli("init", env=environ)
    assert done.exit_code == 6 and "FACECERT_CERT_NAME" in done.stderr
    assert NUMBER not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", NAME], ["--name=" + NAME], ["--cert-name", NAME], ["--cert-no", NUMBER],
        ["-n" + NAME], [NAME, NUMBER], [NAME],
        ["--secret", "x" * 20], ["--access-key-secret=" + NAME], ["--", NAME],
        ["--json", NAME], ["--biz-code", "FACE", NUMBER],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_person_on_the_command_line_is_refused_with_the_reason(commands, arguments):
    done = run_cli("init", *arguments, stdin=PERSON)
    assert done.exit_code == 2 and done.stdout == "" and commands.requests == []
    for word in ("lists processes", "history", "Nothing was sent", "consider it disclosed"):
        assert word in done.stderr
    shown = done.stderr + json.dumps(done.stderr, ensure_ascii=False)
    assert NAME not in shown and NUMBER not in shown and ascii(NAME)[1:-1] not in shown


def test_wrong_values_of_its_own_options(commands):
    done = run_cli("init", "--biz-code", NAME, stdin=PERSON)
    assert done.exit_code == 2 and "--biz-code is not valid" in done.stderr
    assert NAME not in done.stderr
    done = run_cli("init", "--outer-order-no", NUMBER, stdin=PERSON)
    assert done.exit_code == 2 and NUMBER not in done.stderr and commands.requests == []
    done = run_cli("init", "--encrypt=" + NAME, stdin=PERSON)
    assert done.exit_code == 2 and NAME not in done.stderr


@pytest.mark.parametrize("fault, code", [
    ("cut", 4), ("truncated", 4), ("html-502", 4), ("throttled", 5), ("echo", 3), ("refused", 5),
])  # fmt: skip
def test_how_init_fails(commands, fault, code):
    commands.fail(fault)
    done = run_cli("init", "--outer-order-no", "Order7", "--json", stdin=PERSON)
    assert done.exit_code == code and done.stdout == ""
    error = json.loads(done.stderr)
    assert error["exit_code"] == code and error["outer_order_no"] == "Order7"
    assert error["retryable"] in (True, False) and error["error"] and error["message"]
    assert (error["outcome"] == "unknown") == (code == 4)
    assert NAME not in done.stderr and NUMBER not in done.stderr


def test_an_unclear_init_names_the_order_in_words(commands):
    commands.fail("cut")
    done = run_cli("init", "--outer-order-no", "Order7", stdin=PERSON)
    assert done.exit_code == 4 and done.stderr.startswith("Error: NoAnswer: ")
    assert "Order7" in done.stderr


def test_an_answer_that_has_an_id_keeps_it(commands, monkeypatch):
    def bad(self, **arguments):
        raise facecert.BadAnswer("no url", certify_id="c" * 32)

    monkeypatch.setattr(facecert.Client, "init", bad)
    assert "certify_id " + "c" * 32 in run_cli("init", stdin=PERSON).stderr


@pytest.mark.parametrize("variable, value", [
    ("FACECERT_ATTEMPTS", "many"), ("FACECERT_CALLBACK_SECRET", "short"),
    ("FACECERT_SM2_PUBLIC_KEY", "00"), ("FACECERT_SCENE_ID", "x"),
])  # fmt: skip
def test_a_wrong_setting_is_a_matter_of_setup(commands, variable, value):
    done = run_cli("init", stdin=PERSON, env={variable: value})
    assert done.exit_code == 6 and commands.requests == []


def test_a_missing_scene_is_told_before_anything_is_asked(commands):
    done = run_cli("init", env={"FACECERT_SCENE_ID": ""})
    assert done.exit_code == 2 and "--scene-id" in done.stderr
    done = run_cli("init", "--scene-id", "x", stdin=PERSON)
    assert done.exit_code == 2 and "scene_id" in done.stderr


def test_an_id_that_cannot_be_printed_is_not_lost(commands, monkeypatch):
    from facecert.cli import output

    def full(self, result, words=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.Output, "show", full)
    done = run_cli("init", stdin=PERSON)
    (verification,) = commands.verifications()
    assert done.exit_code == 141 and "certify_id " + verification.certify_id in done.stderr
    assert "No space left" in done.stderr


@pytest.mark.parametrize("fault", [None, "throttled", "echo", "cut", "truncated", "html-502"])
def test_verbose_has_no_personal_data_and_no_secret(commands, fault):
    if fault:
        commands.fail(fault)
    logger = logging.getLogger("facecert")
    before = (list(logger.handlers), logger.level)
    secret = "canary-callback-secret-99"
    done = run_cli("init", "--verbose", stdin=PERSON, env={"FACECERT_CALLBACK_SECRET": secret})
    assert ("DEBUG" in done.stderr) == bool(fault)
    shown = done.stdout + done.stderr
    for private in (NAME, NUMBER, secret, commands.access_key_secret, ascii(NAME)[1:-1]):
        assert private not in shown
    assert (list(logger.handlers), logger.level) == before


def test_a_terminal_that_would_show_it_is_not_asked(monkeypatch):
    def showing(prompt):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning)

    monkeypatch.setattr(getpass, "getpass", showing)
    with pytest.raises(Misuse, match="standard input"):
        identity.ask("Name")


def test_a_budget_that_is_spent_is_to_be_tried_later(commands, tmp_path):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    environ = {"FACECERT_LEDGER": str(tmp_path / "ledger.db"), "FACECERT_PER_DAY": "1"}
    assert run_cli("init", stdin=PERSON, env=environ).exit_code == 0
    done = run_cli("init", "--json", stdin=PERSON, env=environ)
    assert done.exit_code == 5 and len(commands.requests) == 1
    assert json.loads(done.stderr)["error"] == "BudgetSpent"
    for wrong in ({"FACECERT_PER_DAY": "1"}, dict(environ, FACECERT_PER_DAY="x")):
        assert run_cli("init", stdin=PERSON, env=wrong).exit_code == 6


def test_bug_ctrl_c_lost_the_order_number_of_what_may_be_open(commands, monkeypatch):
    def init(self, **fields):
        monkeypatch.setattr(Client, "sent", fields["outer_order_no"], raising=False)
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "init", init)
    done = run_cli("init", stdin=PERSON)
    assert done.exit_code == 130 and Client.sent in done.stderr and len(Client.sent) == 32


def test_bug_an_empty_order_number_became_a_random_one(commands):
    done = run_cli("init", "--outer-order-no", "", stdin=PERSON)
    assert done.exit_code == 2 and "outer_order_no" in done.stderr and not commands.requests
