"""Callbacks as a platform and the proxies before it may send them, in Flask and in Django."""

import json
import logging
from urllib.parse import urlencode

import pytest
from conftest import NAME, NUMBER, real_inputs

from facecert import CallbackError, parse_callback
from facecert.callback import make_token

pytest.importorskip("flask")
pytest.importorskip("blinker")
pytest.importorskip("django", reason="Django is an extra")

from test_django import genuine, heard, opened, options  # noqa: E402, F401  (fixtures)
from test_django import Client, state_of  # noqa: E402
from test_flask import shop  # noqa: E402, F401  (a fixture)

#: The ids of the rows; the first becomes the one that was opened.
MINE, OTHER = "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "1b2c3d4e5f60718293a4b5c6d7e8f90a"
GENUINE = {"certifyId": MINE, "passed": "T", "CallbackToken": "<genuine>"}
QUERY = "?" + urlencode(GENUINE, safe="<>")
JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain"
FILES = "multipart/form-data; boundary=x"


def changed(**fields):
    return json.dumps(dict(GENUINE, **fields))


#: Query (with "?") or body, media type of the body, expected status, why.
ROWS = [
    (text, JSON if text.startswith("{") else "", expect["status"], why)
    for post in (", POST application/json", "")
    for text, expect, why in real_inputs("callback view, token genuine" + post)
] + [
    ("\ufeff \n" + changed(), JSON, 200, "JSON with BOM"),
    (changed(), "application/json; charset=utf-8", 200, "JSON with its encoding"),
    (changed(), TEXT, 200, "JSON without its type"),
    (changed(subcode=200, trace={"a": [None]}, list=[1, 2]), JSON, 200, "unknown, of any type"),
    (changed(trace="x" * 5000), JSON, 200, "an unknown long value"),
    (changed(PASSED="T"), JSON, 200, "the same value twice, in two cases"),
    (changed(PASSED="F"), JSON, 403, "two values"),
    (changed()[:-1] + ', "certifyId": "%s"}' % OTHER, JSON, 403, "two values of one key"),
    (changed(passed=True), JSON, 403, "no text"),
    (changed(certifyId=None), JSON, 403, "no text"),
    (changed()[:-1], JSON, 403, "cut off"),
    ("[%s]" % changed(), JSON, 403, "a list"),
    ("{" * 5000, JSON, 403, "deep"),
    ('{"a":' + "[" * 5000, JSON, 403, "deep"),
    (QUERY[1:], FORM, 200, "a form"),
    (QUERY[1:], TEXT, 200, "a form without its type"),
    (QUERY[1:] + "&passed=T&trace=" + "x" * 5000, FORM, 200, "the same value twice, a long one"),
    (QUERY[1:] + "&passed=F", FORM, 403, "two values"),
    (QUERY + "&PASSED=T&trace=1&trace=2", "", 200, "an unknown parameter with two values"),
    (QUERY + "&" + "x" * 600 + "=1", "", 200, "a long name"),
    (QUERY + "&%00=%FF%FE", "", 200, "what is no text"),
    (QUERY + "&CallbackToken=" + "x" * 600, "", 403, "two tokens"),
    (QUERY.replace("<genuine>", "x" * 27), "", 403, "a wrong token"),
]  # fmt: skip
IDS = ["%d %s" % (number, row[3]) for number, row in enumerate(ROWS)]
every_row = pytest.mark.parametrize("text, kind, status, why", ROWS, ids=IDS)


def parts(text, certify_id, order):
    """Return query and body of a row for a verification that was opened."""
    token = make_token("a-secret-of-the-tests-only", order, "http://127.0.0.1")
    text = text.replace(MINE, certify_id).replace("<genuine>", token)
    return (text[1:], "") if text.startswith("?") else ("", text)


@every_row
def test_flask(shop, sandbox, caplog, text, kind, status, why):  # noqa: F811
    one = shop.open()
    sandbox.complete(one.certify_id)
    query, body = parts(text, one.certify_id, one.outer_order_no)
    asked = len(sandbox.requests)
    path = "/facecert/callback/" + one.outer_order_no
    posted = {"method": "POST", "data": body.encode("utf-8"), "content_type": kind}
    with caplog.at_level(logging.WARNING, "facecert"):
        response = shop.call(path, query, **(posted if body else {}))
    assert response.status_code == status
    if status == 200:
        assert shop.told == [(one.outer_order_no, one.certify_id, True)] and not caplog.records
    else:
        assert shop.told == [] and len(sandbox.requests) == asked
        (record,) = caplog.records
        assert record.getMessage().startswith("A callback was refused: The callback")
        assert one.certify_id not in caplog.text and OTHER not in caplog.text


@every_row
def test_django(sandbox, opened, heard, caplog, text, kind, status, why):  # noqa: F811
    sandbox.complete(opened.certify_id)
    query, body = parts(text, opened.certify_id, opened.outer_order_no)
    token = parts("?<genuine>", "", opened.outer_order_no)[0]
    own = genuine(opened)["CallbackToken"]
    query, body = query.replace(token, own), body.replace(token, own)
    url = "/facecert/callback/%s/?%s" % (opened.outer_order_no, query)
    if body:
        response = Client().post(url, body.encode("utf-8"), content_type=kind)
    else:
        response = Client().get(url)
    assert response.status_code == status
    assert state_of(opened) == ("passed" if status == 200 else "opened")
    assert heard == ([("passed", True)] if status == 200 else [])
    refusals = [one for one in caplog.records if one.name.startswith("facecert")]
    assert len(refusals) == (status != 200) and own not in caplog.text


def test_a_posted_file_does_not_break_django(sandbox, opened, heard):  # noqa: F811
    sandbox.complete(opened.certify_id)
    url = "/facecert/callback/%s/?%s" % (opened.outer_order_no, urlencode(genuine(opened)))
    empty = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n--x--\r\n'
    assert Client().post(url, empty, content_type=FILES).status_code == 200
    assert heard == [("passed", True)]


def test_several_parts_are_one_callback():
    one, two, three = {"certifyId": MINE}, "passed=T&certifyId=" + MINE, '{"order": "a1"}'
    callback = parse_callback(one, two, three, "")
    assert (callback.certify_id, callback.passed, callback.outer_order_no) == (MINE, True, "a1")
    with pytest.raises(CallbackError, match="two values"):
        parse_callback({"certifyId": MINE}, "passed=T&certifyId=" + OTHER)


def test_what_a_refused_json_callback_holds_is_in_no_error():
    with pytest.raises(CallbackError) as caught:
        parse_callback('{"certifyId": "%s", %s %s' % (MINE, NAME, NUMBER))
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert MINE not in str(caught.value)
