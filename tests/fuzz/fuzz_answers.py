"""Responses, as the gateway, the service or a proxy may send them.

The property: ``read``, ``read_init`` and ``read_query`` return their type or raise ServiceError,
GatewayError or BadAnswer. No error shows private data that the response repeats. ``passed`` needs
a "T" and a Code 200. Results and errors survive pickle. A second reading gives the same.
"""

import json
import math
import pickle
from datetime import datetime, timezone

from fuzz_engine import Target
from fuzz_inputs import (
    PRIVATE,
    any_case,
    assert_nothing_private,
    canaries,
    json_object,
    json_scalars,
    json_values,
    mutated,
    nested,
    quiet,
    texts,
)
from hypothesis import strategies as st

from facecert import results
from facecert.redact import Private
from facecert.transport import answers
from facecert.errors import BadAnswer, GatewayError, ServiceError

_UNTIL = datetime(2027, 1, 1, tzinfo=timezone.utc)

_quoted = st.one_of(
    st.text("0123456789abcdefABCDEF-_", min_size=1, max_size=64), canaries, texts
).map(json.dumps)
_codes = st.one_of(
    st.sampled_from(
        ["200", '"200"', '" 200 "', "200.0", "400", "500", '"500"', "501", "0", "-1", "true", "2e2"]
        + ['"２００"', '"Throttling.User"', '"SignatureDoesNotMatch"', '"InvalidTimeStamp.Expired"']
        + ['"InvalidParameter"', '"Forbidden.RAM"', '"SignatureNonceUsed"', '"InternalError"']
    ),
    canaries.map(lambda text: json.dumps("Invalid." + text)),
    _quoted,
    json_scalars,
)
_messages = st.builds(
    lambda before, text, after: json.dumps(before + text + after),
    texts,
    st.one_of(canaries, texts),
    texts,
)


def _object(known):
    """Return a strategy for an object: known keys with mostly right values, and other keys."""
    pairs = [
        st.tuples(any_case([key]), st.one_of(values, values, values, json_values))
        for key, values in known.items()
    ]
    other = st.tuples(st.one_of(texts, canaries), json_values)
    return quiet(st.lists(st.one_of(*(pairs + [other])), max_size=8).map(json_object))


_passed = st.sampled_from(
    ['"T"', '"T"', '"F"', '"F"', '"t"', '" T"', '"T\\u0000"', '"true"', "true", "1", '["T"]']
)
_certify_id = st.one_of(_quoted, st.just('"0123456789abcdef0123456789abcdef"'))
_certify_url = st.one_of(_quoted, st.just('"https://picker.example/gateway.do?a=b"'))
_data = quiet(
    st.one_of(
        _object(
            {
                "passed": _passed,
                "certifyId": _certify_id,
                "certifyUrl": _certify_url,
                "identityInfo": json_values,
            }
        ),
        st.builds(
            lambda passed, key, value: '{"%s":%s,"materialInfo":%s}' % (key, passed, value),
            _passed, any_case(["passed"]), json_scalars,
        ),
        st.builds(
            lambda key, one, two: '{"%s":%s,"certifyUrl":%s}' % (key, one, two),
            any_case(["certifyId"]), _certify_id, _certify_url,
        ),
    )
)  # fmt: skip
_envelope = _object(
    {
        "RequestId": _quoted,
        "Code": _codes,
        "Message": _messages,
        # As an object, as a string of JSON, and as a string of a string.
        "Data": st.one_of(_data, _data.map(json.dumps), _data.map(json.dumps).map(json.dumps)),
        "passed": st.sampled_from(['"T"', '"F"']),
    }
)
_successes = quiet(
    st.builds(
        lambda rest, code, data, coat: '{"Code":%s,"Data":%s%s}' % (
            code, coat(data), "," + rest[1:-1] if rest != "{}" else ""
        ),
        _object({"RequestId": _quoted, "Message": _messages}),
        st.sampled_from(["200"] * 8 + ['"200"', "400", "500", "501", "7"]),
        _data,
        st.sampled_from([str, str, json.dumps]),
    )
)  # fmt: skip
_bodies = quiet(
    st.one_of(
        st.one_of(_envelope, _successes).map(lambda text: text.encode("utf-8", "surrogatepass")),
        _successes.map(lambda text: text.encode("utf-8", "surrogatepass")),
        _successes.map(lambda text: text.encode("utf-8", "surrogatepass")),
        mutated(_successes.map(lambda text: text.encode("utf-8", "surrogatepass"))),
        st.builds(
            lambda mark, text, coding: (mark + text).encode(coding, "surrogatepass"),
            st.sampled_from(("", "", "\ufeff", "\ufeff\ufeff", " ", ")]}',\n")),
            st.one_of(_envelope, nested(400).map(lambda deep: '{"Code":200,"Data":%s}' % deep)),
            st.sampled_from(("utf-8", "utf-8", "utf-16", "utf-32-le")),
        ),
        st.one_of(json_values, nested(100000)).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
        st.binary(max_size=200),
    )
)
_dates = quiet(
    st.one_of(
        st.none(),
        st.sampled_from(["", "0", "7", "9" * 9, "9" * 5000, "-1", "1.5", "٣"]),
        mutated(
            st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Sun, 06 Nov 1994 08:49:37 -0000"])
        ),
        st.builds(
            lambda *parts: "%s, %d %s %d %d:%d:%d %s" % parts,
            st.sampled_from(["Mon", "Foo"]),
            st.integers(-1, 40),
            st.sampled_from(["Feb", "Foo"]),
            st.integers(-1, 20000),
            st.integers(-1, 30),
            st.integers(-1, 70),
            st.integers(-1, 70),
            st.sampled_from(["GMT", "+9999", "-99999999999", "EST", ""]),
        ),
        texts,
    )
)
_replies = st.builds(
    lambda status, body, date, retry_after: (status, body, date, retry_after),
    st.sampled_from([200] * 20 + [0, 99, 201, 302, 400, 404, 408, 429, 502, 503, 999]),
    _bodies,
    _dates,
    _dates,
)


def judge(given):
    """Read a response as one to ``init`` and as one to ``query``."""
    status, body, date, retry_after = given
    reply = answers.Response(status, body, date, retry_after, 1_800_000_000.0)
    outcomes = [_outcome(reply, read) for read in (_read_init, _read_query)]
    again = [_outcome(reply, read) for read in (_read_init, _read_query)]
    assert outcomes == again, "the second reading differs"
    return "/".join(sorted({kind for kind, _ in outcomes}))


def _read_init(answer):
    return results.InitResult.read(answer, outer_order_no="a1", expires_at=_UNTIL)


def _read_query(answer):
    return results.QueryResult.read(answer, certify_id="b2")


def _outcome(reply, read):
    try:
        result = read(answers.read(reply, Private(*PRIVATE)))
    except (ServiceError, GatewayError, BadAnswer) as error:
        _judge_error(error)
        return type(error).__name__, str(error)
    restored = pickle.loads(pickle.dumps(result))
    assert type(restored) is type(result)
    assert repr(result) == repr(restored) and repr(result.raw) == repr(restored.raw)
    assert_nothing_private(ValueError(repr(result)))
    assert any(key.lower() == "code" and _is_200(value) for key, value in _pairs(reply.body))
    if isinstance(result, results.InitResult):
        assert isinstance(result.certify_url, str) and result.certify_id
    else:
        assert type(result.passed) is bool and bool(result) is result.passed
        says_t = any(key.lower() == "passed" and value == "T" for key, value in _pairs(reply.body))
        assert says_t or not result.passed, "there is no T"
    return type(result).__name__, repr(result)


def _judge_error(error):
    assert_nothing_private(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert "\n" not in str(error) and str(error).encode("utf-8")
    assert error.outcome in ("refused", "unknown")
    wait = error.retry_after
    assert wait is None or (isinstance(wait, float) and 0 <= wait < math.inf)
    assert error.code != 200


def _is_200(value):
    return value == 200 or isinstance(value, str) and value.strip() == "200"


def _pairs(value):
    """Yield every (key, value) of a body, of the objects in it, and of the strings of JSON."""
    if isinstance(value, bytes):
        value = value.decode("utf-8-sig", "replace")
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return
    if isinstance(value, _Pairs):
        for key, inner in value:
            yield key, inner
            if isinstance(inner, (str, _Pairs)):
                yield from _pairs(inner)


class _Pairs(list):
    """A JSON object with repeated keys."""


def _long(template):
    def make(characters):
        text = template(characters)
        return 200, text.encode("utf-8"), None, None

    return make


TARGET = Target(
    "answers",
    _replies,
    judge,
    long=[
        _long(lambda n: '{"Code":200,"Data":{"passed":"%s"}}' % ("T" * n)),
        _long(lambda n: '{"Code":"Invalid%s","Message":"%s"}' % ("." * n, "\\u005cu" * (n // 7))),
        _long(lambda n: '{"Code":400,"RequestId":"%s","Message":"%s"}' % ("a" * n, "%25" * n)),
        _long(lambda n: '{"Code":200,"Data":{"a":%s}}' % ("9" * n)),
        _long(lambda n: '{"Code":200,"Data":[%s1]}' % ("1," * (n // 2))),
        _long(lambda n: "{%s}" % ",".join('"k%d":1' % i for i in range(n // 10))),
        _long(lambda n: "[" * n),
        _long(lambda n: "\\" * n),
    ],
)
