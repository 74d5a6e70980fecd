"""What people pipe into ``facecert init``: the message says what is wrong with it."""

import json

import pytest
from conftest import NAME, NUMBER, real_inputs, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")

PERSON = json.dumps({"cert_name": NAME, "cert_no": NUMBER}, ensure_ascii=False)


def handed(run, encoding):
    rows = real_inputs(run)
    return [(text.encode(encoding), expect["says"], why) for text, expect, why in rows]


#: Standard input, words of the refusal, why.
ROWS = handed("facecert init < FILE", "utf-8")
ROWS += handed("facecert init < FILE (UTF-16 with BOM)", "utf-16")
ROWS += [
    (PERSON.encode("utf-16-le"), "UTF-16", "without BOM"),
    (json.dumps({"cert_name": "a", "cert_no": "1"}).encode("utf-16-be"), "UTF-16", "ASCII alone"),
    (PERSON.encode("gbk"), "not UTF-8 (GBK, perhaps)", "a console of Windows"),
    (b"", "is empty", "a pipe from a program that failed"),
    (b"\r\n", "is empty", "a pipe from a program that failed"),
    (b"{'cert_name': 'a', 'cert_no': '1'}", "not one JSON object", "a Python dict"),
    (PERSON.encode("utf-8") * 2, "not one JSON object", "two persons"),
    (("[%s]" % PERSON).encode("utf-8"), "not one JSON object", "a list of persons"),
    (NUMBER.encode("ascii"), "not one JSON object", "the number alone"),
    (b'{"cert_name": "a"}', "lacks cert_no.", "one of two"),
    (b'{"cert_no": "1"}', "lacks cert_name.", "one of two"),
    (b"{}", "lacks cert_name and cert_no.", "none of two"),
    (b'{"cert_name": "a", "cert_no": " "}', "lacks cert_no.", "a blank"),
    (b'{"cert_name": "a", "cert_no": null}', "cert_no must be a text", "null"),
    (b'{"cert_name": ["a"], "cert_no": 1}', "cert_name and cert_no must be a text", "both"),
    (PERSON.replace("}", ', "cert_type": "1"}').encode("utf-8"), "other keys", "one too many"),
]


@pytest.mark.parametrize("data, words, why", ROWS, ids=range(len(ROWS)))
def test_what_people_pipe_into_init(commands, data, words, why):
    done = run_cli("init", stdin=data)
    assert done.exit_code == 2 and done.stdout == "" and commands.requests == []
    assert words in done.stderr and '{"cert_name": "...", "cert_no": "..."}' in done.stderr
    for private in (NAME, NUMBER, "张三", "330103199001011230"):
        assert private not in done.stderr


def test_a_mistyped_number_is_named(commands):
    done = run_cli("init", stdin=json.dumps({"cert_name": NAME, "cert_no": NUMBER[:-1] + "1"}))
    assert done.exit_code == 2 and "check digit" in done.stderr and commands.requests == []
    environ = {"FACECERT_CHECK_DIGIT": "0"}
    person = json.dumps({"cert_name": "\ufeff%s" % NAME, "cert_no": NUMBER[:-1] + "１"})
    assert run_cli("init", stdin=person, env=environ).exit_code == 0
    sent = commands.requests[0].service_parameters
    assert (sent["certName"], sent["certNo"]) == (NAME, NUMBER[:-1] + "1")
