"""Callbacks, which are not signed, in every form that ``parse_callback`` accepts or refuses.

The property: a ``Callback`` with well-formed fields, or CallbackError. An error shows nothing of
the source. ``passed`` needs a "T". Parsing the fields again gives the same callback. ``check``
accepts only the HMAC of the order, with any text as order and secrets.
"""

import base64
import hashlib
import hmac
import json
import pickle
import re
from urllib.parse import parse_qsl, quote, urlencode

from fuzz_engine import Target
from fuzz_inputs import (
    any_case,
    assert_nothing_private,
    canaries,
    mutated,
    quiet,
    texts,
)
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from facecert.callback import Callback, parse_callback
from facecert.errors import CallbackError, InvalidParameter

SECRET = "fuzz-callback-secret"


def genuine(secret, order):
    """Return an order's token, made from its description alone."""
    text = "facecert callback of %s at saf.cn-shanghai.aliyuncs.com" % order
    message = text.encode("utf-8", "surrogatepass")
    digest = hmac.new(secret.encode("utf-8", "surrogatepass"), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:20]).decode("ascii").rstrip("=")


_orders = st.one_of(st.sampled_from(["order1", "Order2", "\udcff"]), texts, canaries)
_almost = [
    genuine(SECRET, "order1")[:-1],
    genuine(SECRET, "order1") + "=",
    genuine(SECRET, "order1").swapcase(),
    genuine(SECRET, "order1")[:-1] + "!",
    genuine("", "order1"),
    genuine(SECRET, ""),
]
_tokens = st.one_of(
    st.just(genuine(SECRET, "order1")),
    st.sampled_from(_almost),
    mutated(st.sampled_from([genuine(SECRET, "order1"), genuine(SECRET, "Order2")])),
    texts,
    canaries,
)
_pairs = quiet(
    st.lists(
        st.one_of(
            st.tuples(any_case(["certifyId"]), st.one_of(st.just("ab" * 16), texts, canaries)),
            st.tuples(any_case(["passed"]), st.sampled_from(["T", "F", "t", "TT", "T?", "T?a=b"])),
            st.tuples(any_case(["CallbackToken", "callbac\u212atoken"]), _tokens),
            st.tuples(any_case(["order"]), st.one_of(st.just("order1"), _orders)),
            st.tuples(st.one_of(texts, canaries), st.one_of(texts, canaries)),
        ),
        max_size=8,
    )
)


def _right(pairs):
    """Put the two required parameters first, so that more inputs are valid callbacks."""
    rest = [(k, v) for k, v in pairs if k.lower() not in ("certifyid", "passed")]
    passed = [v for k, v in pairs if k.lower() == "passed"] or ["F"]
    names = {name.lower(): name for name, _ in rest}
    once = [(name, dict(rest)[name]) for name in names.values()]
    twice = once[:1] if len(rest) > 5 else []
    return [("certifyId", "ab" * 16), ("passed", passed[0])] + once + twice


def _query(pairs):
    return urlencode(pairs, errors="surrogatepass")


class _Awkward:
    """Has getlist, and little else of a mapping."""

    def __init__(self, pairs):
        self._pairs = pairs

    def __iter__(self):
        return iter(dict(self._pairs))

    def getlist(self, name):
        return tuple(value for key, value in self._pairs if key == name)

    def __repr__(self):
        return "_Awkward(%r)" % (self._pairs,)


_some_pairs = st.one_of(_pairs, _pairs.map(_right), _pairs.map(_right))
_queries = _some_pairs.map(_query)
_anything = st.one_of(
    st.none(), st.integers(), st.binary(max_size=20), st.lists(texts, max_size=2), texts
)
_sources = quiet(
    st.one_of(
        _queries,
        mutated(_queries),
        mutated(
            st.builds(
                lambda base, joint, query: base + joint + query,
                st.sampled_from(["https://shop.example/verified", "/cb", "//[", "http://[::1"]),
                st.sampled_from(["?", "?a=1&", "#?", "?a=1?", "?order=order1&x=1?"]),
                _queries,
            )
        ),
        _some_pairs.map(dict),
        _some_pairs.map(dict).map(json.dumps),
        _some_pairs.map(MultiDict),
        _some_pairs.map(_Awkward),
        st.dictionaries(st.sampled_from(["passed", "certifyId", "x", 5]), _anything),
        _queries.map(lambda query: query.encode("utf-8", "surrogatepass")),
        _anything,
    )
)
_checks = st.tuples(
    st.one_of(
        st.just([SECRET]), st.just([SECRET + "2", SECRET]), st.just([]),
        st.lists(
            st.sampled_from(["\udcff" * 20, "s" * 15, SECRET, "\0" * 20, "\u5bc6" * 20]),
            min_size=1, max_size=2,
        ),
    ),
    st.one_of(st.none(), _orders),
    st.one_of(st.none(), st.none(), st.just("ab" * 16), texts),
)  # fmt: skip


def judge(given):
    """Parse a callback and check it."""
    source, (secrets, order, certify_id) = given
    try:
        callback = parse_callback(source)
    except CallbackError as error:
        _judge_error(error)
        return "CallbackError"
    assert type(callback) is Callback and type(callback.passed) is bool
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", callback.certify_id)
    assert callback.token is None or re.fullmatch("[!-~]{1,512}", callback.token)
    assert callback.outer_order_no is None or callback.outer_order_no.isalnum()
    assert not callback.passed or _says_t(source), "there is no T"
    assert not _repeats(source), "a repeated parameter was accepted"
    assert repr(callback) == "<Callback certify_id=%s outer_order_no=%s, not confirmed>" % (
        callback.certify_id, callback.outer_order_no
    )  # fmt: skip
    _judge_again(callback)
    return _checked(callback, list(secrets), order, certify_id)


def _checked(callback, secrets, order, certify_id):
    try:
        callback.check(secrets, order, certify_id)
    except CallbackError as error:
        _judge_error(error)
        return "read, CallbackError"
    except InvalidParameter as error:
        _judge_error(error, secrets)
        assert error.field == "callback_secret"
        return "read, InvalidParameter"
    assert certify_id in (None, callback.certify_id)
    assert order in (None, callback.outer_order_no) or callback.outer_order_no is None
    about = order or callback.outer_order_no
    if secrets:
        assert callback.token in [genuine(secret, about) for secret in secrets], "forged"
    return "read, checked"


def _judge_error(error, secrets=()):
    assert_nothing_private(error, secrets)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))


def _says_t(source):
    if isinstance(source, str):
        return "T" in source or "%54" in source
    values = source.values() if isinstance(source, dict) else [v for _, v in _items(source)]
    return any("T" in str(value) for value in values)


def _repeats(source):
    """Tell whether a known parameter has two values, in forms where that is easy to see."""
    if isinstance(source, str):
        if "?" in source or "#" in source:
            return False
        pairs = parse_qsl(source, keep_blank_values=True)
    else:
        pairs = list(source.items()) if isinstance(source, dict) else _items(source)
    known = {(str(name).lower(), value) for name, value in pairs if isinstance(value, str)}
    names = [name for name, _ in known]
    return any(names.count(name) > 1 for name in ("certifyid", "passed", "callbacktoken", "order"))


def _items(source):
    return [(name, value) for name in source for value in source.getlist(name)]


def _judge_again(callback):
    fields = {"certifyId": callback.certify_id, "passed": "T" if callback.passed else "F"}
    if callback.token is not None:
        fields["CALLBACKTOKEN"] = callback.token
    if callback.outer_order_no is not None:
        fields["Order"] = callback.outer_order_no
    # A "?" would split the token.
    if "?" not in (callback.token or ""):
        for source in (fields, urlencode(fields, quote_via=quote)):
            again = parse_callback(source)
            for name in ("certify_id", "passed", "token", "outer_order_no"):
                assert getattr(again, name) == getattr(callback, name), name
    restored = pickle.loads(pickle.dumps(callback))
    assert restored.others == callback.others and restored.token == callback.token


_NO_CHECK = ([SECRET], "order1", None)

TARGET = Target(
    "callbacks",
    st.tuples(_sources, _checks),
    judge,
    long=[
        lambda n: ("certifyId=ab&passed=T&x=" + "?" * n, _NO_CHECK),
        lambda n: ("a=b&" * (n // 4), _NO_CHECK),
        lambda n: ({"x%d" % i: "?" * 300 for i in range(n // 300)}, _NO_CHECK),
        lambda n: ({"certifyId": "a", "passed": "T?" + "&" * n}, _NO_CHECK),
        lambda n: ({"certifyId": "a", "passed": ["T"] * n}, _NO_CHECK),
    ],
)
