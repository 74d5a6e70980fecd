"""The sandbox: its gate, its service, and its listener over a real socket.

The property: a signed request is accepted, as GET and as POST, and refused after any change. Every
response is the gateway's JSON or XML, as the request's Format says, or a page, and never a 500.
Over a socket each response is complete and none is missing. Nothing hangs, no thread raises, and
the next call works.
"""

import base64
import calendar
import http.client
import io
import json
import socket
import sys
import threading
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

from fuzz_engine import Target
from fuzz_inputs import canaries, json_object, json_values, mutated, nested, quiet, texts
from hypothesis import strategies as st

from facecert.sandbox import Sandbox, callbacks, rpc
from facecert.sandbox.rpc import Exchange
from facecert.sandbox.service import MESSAGES, Service

SECRET = "fuzz-sandbox-secret"
NOW = float(calendar.timegm((2027, 1, 1, 0, 0, 0)))

_COMMON = {
    "Action": "ExecuteRequest",
    "Version": "2017-03-31",
    "Format": "JSON",
    "RegionId": "cn-shanghai",
    "AccessKeyId": "id",
    "Timestamp": "2027-01-01T00:00:00Z",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureVersion": "1.0",
    "SignatureNonce": "nonce-1",
    "Service": "fin_face_verify",
    "ServiceParameters": '{"method":"query","certifyId":"%s","sceneId":"1"}' % ("ab" * 16),
}


def signed(parameters, method="POST"):
    """Return the parameters with their signature."""
    text = rpc.string_to_sign(method, parameters)
    return dict(parameters, Signature=rpc.signature(text, SECRET))


def envelope_of(response, wants_xml=False):
    """Return the fields of a response, of which each is a text in XML."""
    response.text.encode("utf-8")
    assert response.content_type.startswith("text/xml" if wants_xml else "application/json")
    if not wants_xml:
        return json.loads(response.text)
    root = ElementTree.fromstring(response.text.encode("utf-8"))
    assert root.tag == ("ExecuteRequestResponse" if response.status == 200 else "Error")
    assert len({field.tag for field in root}) == len(root)
    data = root.find("Data")
    fields = {field.tag: field.text or "" for field in root}
    return dict(fields, Data=None if data is None else {it.tag: it.text for it in data})


def gate(now=NOW):
    """Return a gate that knows one AccessKey."""
    fresh = rpc.Gate(lambda: now)
    fresh.access_keys["id"] = rpc.AccessKey(SECRET)
    return fresh


# --- The gate: a request that was signed, and then changed.

#: What percent-decoding with surrogateescape can yield.
_decoded = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20) | st.just("a\udcff")
_names = st.sampled_from(sorted(_COMMON) + ["Signature"])
_changes = quiet(
    st.one_of(
        st.tuples(st.just("value"), _names, st.one_of(_decoded, canaries)),
        st.tuples(
            st.just("append"), _names, st.sampled_from(["=", " ", "\n", "&a=b", "\0", "%20"])
        ),
        st.tuples(st.just("case"), _names, st.none()),
        st.tuples(st.just("drop"), _names, st.none()),
        st.tuples(st.just("again"), _names, st.none()),
        st.tuples(st.just("rename"), _names, _decoded),
        st.tuples(st.just("add"), _decoded, _decoded),
        st.tuples(st.just("swap"), _names, _names),
        st.tuples(st.just("move"), _names, st.integers(1, 5)),
        st.tuples(st.just("method"), st.sampled_from(["GET", "POST", "post", "PUT", ""]),
                  st.none()),
        st.tuples(st.just("nothing"), st.none(), st.none()),
    )
)
_methods, _formats = st.sampled_from(["POST", "GET"]), st.sampled_from(["JSON", "XML"])
_extras = st.dictionaries(_decoded, st.one_of(_decoded, canaries), max_size=2)


def _changed(method, pairs, change):
    """Return the method and the parameters after a change."""
    kind, one, two = change
    at = [name for name, _ in pairs].index(one) if kind not in ("add", "method", "nothing") else 0
    name, value = pairs[at]
    if kind == "method":
        return one, pairs
    if kind == "add":
        return method, pairs + [(one, two)]
    if kind == "drop":
        return method, pairs[:at] + pairs[at + 1:]
    if kind == "again":
        return method, pairs + [(name, value)]
    if kind == "swap":
        other = dict(pairs)[two]
        swapped = {one: other, two: value}
        return method, [(key, swapped.get(key, text)) for key, text in pairs]
    if kind == "move":  # the border between two parameters
        after, its_value = pairs[(at + 1) % len(pairs)]
        whole = value + "&" + after + "=" + its_value
        rest = [pair for pair in pairs if pair[0] not in (name, after)]
        return method, rest + [(name, whole)]
    new = {
        "value": (name, two),
        "append": (name, value + str(two)),
        "case": (name, value.swapcase()),
        "rename": (two, value),
        "nothing": (name, value),
    }[kind]
    return method, pairs[:at] + [new] + pairs[at + 1:]


def judge_gate(given):
    """Check a request as it was signed, or changed; then check it a second time."""
    extras, change, signed_for = given
    parameters = dict(_COMMON, **{k: v for k, v in extras.items() if k not in _COMMON})
    for name in ("Signature", "SecurityToken"):  # these have a meaning of their own
        parameters.pop(name, None)
    pairs = list(signed(parameters, signed_for).items())
    method, changed = _changed(signed_for, pairs, change)
    unchanged = method == signed_for and sorted(changed) == sorted(pairs)
    ours = gate()
    try:
        accepted = ours.check(method, changed)
    except rpc.Refusal as refusal:
        assert not unchanged, "a signed request was refused: " + refusal.code
        assert refusal.code and 400 <= refusal.status < 500
        return refusal.code.split(".")[0]
    assert unchanged and accepted == dict(pairs), "a changed request was accepted"
    try:
        ours.check(method, changed)
    except rpc.Refusal as refusal:
        assert refusal.code == "SignatureNonceUsed"
        return signed_for + " accepted once"
    raise AssertionError("its nonce was accepted twice")


# --- The exchange and the service behind it: signed, with anything for fields.

_strings = st.one_of(texts, canaries, st.sampled_from(["\ud800", "\udcff", "\0", "\r\nA: b", " "]))
_urls = st.one_of(
    st.sampled_from(
        ["https://shop.example/cb?a=b#c", "http://127.0.0.1:0/", "http://127.0.0.1:99999/cb",
         "http://127.0.0.1:1/cb", "http://localhost:abc/", "http://[::1", "https://\u2100/",
         "http://127.0.0.1:1/\ud800", "http://127.0.0.1:-1/", "http://127.0.0.1:1/\r\n"]
    ),
    mutated(st.just("http://127.0.0.1:1/cb?x=1")),
    mutated(st.just("https://127.0.0.1:1/")),
)  # fmt: skip
_good = {
    "method": "init", "sceneId": "1", "outerOrderNo": "order1", "bizCode": "FACE",
    "identityType": "CERT_INFO", "certType": "IDENTITY_CARD", "certName": "张三",
    "certNo": "330103199001011230", "returnUrl": "", "callbackUrl": "http://127.0.0.1:1/cb",
    "callbackToken": "token", "encryptType": "",
}  # fmt: skip
_json_strings = _strings.map(json.dumps)
_values = {
    "returnUrl": st.one_of(_json_strings, _urls.map(json.dumps)),
    "callbackUrl": _urls.map(json.dumps),
    "callbackToken": _json_strings,
    "certName": _json_strings,
    "certNo": _json_strings,
    "encryptType": st.sampled_from(['"SM2"', '""', "null", '"sm2"']),
}


def _init(changes, dropped):
    fields = {name: json.dumps(value) for name, value in _good.items() if name not in dropped}
    fields.update(changes)
    return json_object(sorted(fields.items()))


_field_changes = st.sampled_from(sorted(_good)).flatmap(
    lambda name: st.tuples(st.just(name), st.one_of(_values.get(name, json_values), json_values))
)
_service_parameters = quiet(
    st.one_of(
        st.builds(
            lambda changes, dropped: _init(dict(changes), dropped),
            st.lists(_field_changes, max_size=2),
            st.one_of(st.just(()), st.tuples(st.sampled_from(sorted(_good)))),
        ),
        st.builds(lambda token: '{"method":"query","certifyId":"*","sceneId":"1","encToken":%s}'
                  % token, st.one_of(json_values, st.binary(max_size=300).map(
                      lambda raw: json.dumps(base64.b64encode(raw).decode())))),
        st.builds(lambda value: '{"method":"query","certifyId":%s,"sceneId":"1"}' % value,
                  json_values),
        mutated(st.just(_init({}, ()))),
        json_values,
        nested(50000),
        texts,
    )
)  # fmt: skip


class OfflineSandbox:
    """A sandbox that does not listen: its service, its pages, its callbacks."""

    def __init__(self):
        self.sandbox = Sandbox(clock=lambda: NOW, access_key_id="id", access_key_secret=SECRET,
                               scene_id="1")  # fmt: skip
        self.sandbox._listener.port = 1
        self.sandbox._service.certify_url_base = "http://127.0.0.1:1"
        self.sandbox._service.submitted = lambda verification: None
        self.sandbox._service.picture_lock()
        self.pages = self.sandbox._listener._application.test_client()


_offline = None


def offline_sandbox():
    """Return the one offline sandbox, emptied, because making its RSA key is slow."""
    global _offline
    if _offline is None:
        _offline = OfflineSandbox()
    _offline.sandbox._service.reset()
    _offline.sandbox._gate.forget_nonces()
    _offline.sandbox.requests.clear()
    return _offline


def judge_service(given):
    """Make a signed call with these ServiceParameters, and visit every page afterwards."""
    method, form, service_parameters = given
    ours = offline_sandbox()
    sandbox = ours.sandbox
    if '"certifyId":"*"' in service_parameters:
        answer = _answer(sandbox._exchange, _init({}, ()), method, form)
        service_parameters = service_parameters.replace("*", answer["Data"]["certifyId"])
    answer = _answer(sandbox._exchange, service_parameters, method, form)
    code = int(answer["Code"]) if form == "XML" else answer["Code"]
    assert code in MESSAGES, answer
    for verification in sandbox.verifications():
        _visit(ours.pages, verification)
    page = ours.pages.get("/")
    assert page.status_code == 200
    # The page shows order numbers. Client refuses one that contains the document number.
    if not any(_good["certNo"] == one.outer_order_no for one in sandbox.verifications()):
        assert _good["certNo"].encode("ascii") not in page.data
    assert repr(sandbox.requests)
    return "Code %d in %s" % (code, form)


def _answer(exchange, service_parameters, method, form):
    exchange._gate.forget_nonces()
    # Lone surrogates arrive as bytes that are not UTF-8.
    raw = service_parameters.encode("utf-8", "surrogatepass")
    text = raw.decode("utf-8", "surrogateescape")
    pairs = signed(dict(_COMMON, ServiceParameters=text, Format=form), method)
    encoded = urlencode(pairs, errors="surrogateescape")
    sent = (encoded, "") if method == "GET" else ("", encoded)
    response = exchange.answer(method, *sent, headers={}, peer=("127.0.0.1", 1))
    assert response.status == 200, response.text
    return envelope_of(response, form == "XML")


def _visit(pages, verification):
    address = verification.certify_url[len("http://127.0.0.1:1"):]
    assert pages.get(address).status_code == 200
    assert pages.post(address, data={"answer": "pass"}).status_code == 303
    assert pages.get(address).status_code == 200
    if verification.callback_url is not None:
        url = callbacks.callback_address(verification)
        if callbacks.is_loopback(url) and ":1/" in url or ":0/" in url or ":99999/" in url:
            status, why = callbacks._get(url)
            assert status is None and why


# --- Anything for query string and body.

_encoded = st.one_of(
    st.dictionaries(
        st.one_of(st.sampled_from(sorted(_COMMON) + ["Signature", "\xff"]), texts),
        texts,
        max_size=5,
    ).map(lambda pairs: urlencode(pairs, errors="surrogatepass")),
    st.just(urlencode(signed(_COMMON))),
    st.just(urlencode(signed(_COMMON, "GET"))),
    st.just(urlencode(signed(dict(_COMMON, Format="XML"), "GET"))),
    st.sampled_from(["Format=XML", "Format=xml&%FF=1&%FF=2", "Format=XML&%00%0B=1&%00%0B=2"]),
    st.sampled_from(["%FF=1&%FF=2", "a=%", "&&==&;", "%ED%A0%80=1&%ED%A0%80", "a&a", "=&="]),
)
_exchanges = st.tuples(
    st.sampled_from(["POST", "GET", "PUT", "\xff"]),
    st.one_of(st.just(""), mutated(_encoded)),
    st.one_of(st.just(""), mutated(_encoded), mutated(_encoded)),
)


def judge_exchange(given):
    """Make a call with any query string and body."""
    method, query, form = given
    ours = Exchange(gate(), Service("1", lambda: NOW))
    response = ours.answer(method, query, form, {}, ("127.0.0.1", 1))
    parameters = dict(parse_qsl(query, True) + parse_qsl(form, True))
    wants_xml = parameters.get("Format", "").upper() == "XML"
    envelope = envelope_of(response, wants_xml)
    assert len(ours.requests) == 1 and repr(ours.requests[0])
    if response.status == 200:
        assert str(envelope["Code"]) == "400"
        return "%s accepted" % method
    assert 400 <= response.status < 500 and isinstance(envelope["Code"], str)
    assert len(envelope["RequestId"]) == 36
    return envelope["Code"].split(".")[0] + " in XML" * wants_xml


# --- The listener, over a socket.

_lines = st.sampled_from(
    ["POST / HTTP/1.1", "GET / HTTP/1.1", "GET /?a=b HTTP/1.1", "HEAD / HTTP/1.0",
     "GET /?Format=XML HTTP/1.1",
     "PUT / HTTP/1.1", "DELETE / HTTP/1.1", "POST /faults HTTP/1.1",
     "GET /gateway.do?biz_content=%7B%7D&sign=x HTTP/1.1",
     "GET http://127.0.0.1/ HTTP/1.1", "GET * HTTP/1.1", "GET //x/../y HTTP/1.1",
     "POST /%ff HTTP/1.1", "GET /\xff?\xff=\xfe HTTP/1.1", "GET / HTTP/9.9", "GET /",
     "\x16\x03\x01\x02\x00", ""]
)  # fmt: skip
_headers = st.lists(
    st.one_of(
        st.sampled_from(
            ["Host: 127.0.0.1", "Host: \xff", "Host: a b", "Host: [", "Expect: 100-continue",
             "Connection: close", "Connection: keep-alive", "Transfer-Encoding: chunked",
             "Content-Length: 5", "Content-Length: -1", "Content-Length: +5", "Content-Length: 0x5",
             "Content-Length: 9999999999", "Content-Length : 5", "Origin: null", "Origin: http://a",
             "Content-Type: application/x-www-form-urlencoded; charset=nonsense",
             "Content-Type: multipart/form-data; boundary=a", "Content-Type: multipart/form-data",
             "Content-Encoding: gzip", "X: " + "a" * 70000, " folded", "no colon", ": empty",
             "Range: bytes=0-", "If-None-Match: *", "Accept-Charset: \x00", "Cookie: \xff=;;=",
             "Forwarded: for=\"[", "X-Forwarded-For: a", "SCRIPT_NAME: x", "Upgrade: h2c"]
        ),
        st.builds("%s: %s".__mod__, st.tuples(texts, texts)),
    ),
    max_size=4,
)  # fmt: skip
_forms = st.one_of(
    st.just(b""), st.just(b"fault=slow&seconds=nan"), st.just(b"fault=none&times=1e5"),
    st.builds(lambda n: b"fault=throttled&times=%d" % n, st.sampled_from([0, -1, 10**12])),
    st.just(b"fault=throttled&times=" + b"9" * 5000), st.just(b"--a\r\n\r\n\r\n--a--"),
    st.binary(max_size=60), mutated(_encoded).map(lambda text: text.encode("utf-8", "replace")),
)  # fmt: skip


def _framed(line, headers, body):
    """Return a request with the right Content-Length."""
    headers = [h for h in headers if not h.lower().startswith(("content-length", "transfer-"))]
    headers = [h for h in headers if ":" in h and "\n" not in h and "\r" not in h and h.strip(": ")]
    head = "\r\n".join([line] + headers + ["Content-Length: %d" % len(body)])
    return head.encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def _unframed(line, headers, body):
    head = "\r\n".join([line] + headers)
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body


_whole_lines = st.sampled_from(
    ["POST / HTTP/1.1", "GET / HTTP/1.1", "GET /gateway.do?biz_content=[]&sign=%ff HTTP/1.1",
     "POST /gateway.do HTTP/1.1", "POST /faults HTTP/1.1", "GET /?%ff=%fe&%ff HTTP/1.1",
     "PUT /nowhere HTTP/1.1", "POST //faults HTTP/1.1", "GET /?Format=XML&%00=1&%00=2 HTTP/1.1",
     "BREW /?Format=XML HTTP/1.1"]
)  # fmt: skip
_streams = quiet(
    st.one_of(
        st.builds(
            lambda whole, more: (b"".join(whole), len(whole)),
            st.lists(st.builds(_framed, _whole_lines, _headers, _forms), min_size=1, max_size=3),
            st.none(),
        ),
        st.builds(_unframed, _lines, _headers, _forms).map(lambda raw: (raw, 0)),
        mutated(st.builds(_unframed, _lines, _headers, _forms)).map(lambda raw: (raw, 0)),
        st.binary(max_size=100).map(lambda raw: (raw, 0)),
    )
)


class ListeningSandbox:
    """A sandbox on a socket, and the errors of its threads."""

    def __init__(self):
        self.sandbox = Sandbox(access_key_secret=SECRET).start()
        self.failures = []
        self.sandbox._listener._server.handle_error = self._note

    def _note(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # the client closed the connection
            self.failures.append(error)


_listening = None


def listening_sandbox():
    """Return the one listening sandbox, without faults."""
    global _listening
    if _listening is None:
        _listening = ListeningSandbox()
    _listening.sandbox._exchange.faults.clear()
    return _listening


def stop_listening():
    """Stop the listening sandbox."""
    global _listening
    stopping, _listening = _listening, None
    if stopping is not None:
        stopping.sandbox.stop()


def judge_listener(given):
    """Send bytes, close the sending direction, and read all responses."""
    raw, whole = given
    ours = listening_sandbox()
    printed, stderr = io.StringIO(), sys.stderr
    sys.stderr = printed
    try:
        answered, cut = _sent(ours.sandbox, raw)
        # The threads of the requests may still be running.
        for thread in threading.enumerate():
            if "process_request_thread" in repr(getattr(thread, "_target", None)):
                thread.join(5)
    finally:
        sys.stderr = stderr
    assert not printed.getvalue(), "on stderr: " + printed.getvalue()
    assert not ours.failures, "a thread failed: %r" % ours.failures.pop()
    statuses = _statuses(answered, cut)
    assert not {500, 502, 503} & set(statuses), answered[:300]
    if whole and not cut:
        assert statuses, "a whole request was not answered"
    ours.sandbox._exchange.faults.clear()
    del ours.sandbox.requests[:]
    return "%d answers" % len(statuses) if len(statuses) < 4 else "more answers"


def _sent(sandbox, raw):
    """Return the responses, and whether the connection was reset meanwhile."""
    answered = b""
    with socket.create_connection(("127.0.0.1", sandbox._listener.port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return answered, False
                answered += piece
        except socket.timeout:
            raise AssertionError("it hangs; so far: %r" % answered[:80])
        except OSError:
            # The sandbox refused the request before it was complete.
            return answered, True


def _statuses(answered, cut):
    """Return the status of every response; each must be complete."""
    statuses = []
    while answered:
        assert answered.startswith(b"HTTP/1.1 "), "not a response: %r" % answered[:80]
        # A response to HEAD has a Content-Length but no body.
        head, mark, rest = answered.partition(b"\r\n\r\n")
        assert mark or cut, "half a response: %r" % answered[:80]
        message = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2] + b"\r\n\r\n"))
        length = int(message.get("Content-Length") or 0)
        statuses.append(int(head.split(b" ")[1]))
        if rest.startswith(b"HTTP/1.1 ") or not rest:
            length = 0
        body = rest[:length]
        assert len(body) == length or cut, "half a body"
        if "json" in message.get("Content-Type", "") and body:
            assert json.loads(body.decode("utf-8"))["RequestId"]
        if "text/xml" in message.get("Content-Type", "") and body:
            assert ElementTree.fromstring(body).findtext("RequestId")
        goes_on = "Content-Length" in message or statuses[-1] == 100
        answered = rest[length:] if goes_on else b""
    return statuses


def _long_gate(n):
    return {"a%d" % i: "b" * 50 for i in range(n // 55)}, ("nothing", None, None), "GET"


TARGETS = [
    Target("rpc", st.tuples(_extras, _changes, _methods), judge_gate, long=[
        _long_gate,
        lambda n: ({"a": "&" * n}, ("nothing", None, None), "POST"),
        lambda n: ({}, ("value", "Timestamp", "2" * n), "POST"),
        lambda n: ({}, ("value", "AccessKeyId", "LTAI" * (n // 4)), "GET"),
    ]),
    Target("exchange", _exchanges, judge_exchange, long=[
        lambda n: ("POST", "", "a=b&" * (n // 4)),
        lambda n: ("POST", "%FF" * (n // 3), "a=%"),
        lambda n: ("POST", "", "ServiceParameters=" + "[" * n),
        lambda n: ("POST", "", "&" * n),
        lambda n: ("GET", "Format=XML&" + "%00" * (n // 6) + "=1&" + "%00" * (n // 6) + "=2", ""),
    ]),
    Target("service", st.tuples(_methods, _formats, _service_parameters), judge_service,
           share=0.3, long=[
        lambda n: ("GET", "XML", _init({"certName": json.dumps("\u5f20" * n)}, ())),
        lambda n: ("GET", "XML", _init({"certName": json.dumps(" " * n)}, ())),
        lambda n: ("GET", "XML", _init({"returnUrl": json.dumps("https://a/" + "%" * n)}, ())),
        lambda n: ("POST", "JSON", _init({"callbackUrl": '"http://127.0.0.1:%s"' % ("9" * n)}, ())),
        lambda n: ("GET", "XML", _init({"encryptType": '"SM2"', "certNo": '"%s"' % ("A" * n)}, ())),
        lambda n: ("POST", "XML", "{" * n),
    ]),
    Target("listener", _streams, judge_listener, share=0.3, close=stop_listening, long=[
        lambda n: (_framed("POST / HTTP/1.1", [], b"a=b&" * (n // 4)), 1),
        lambda n: (b"\r\n" * (n // 2), 0),
        lambda n: (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (n // 6), 0),
        lambda n: (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" * (n // 800), 0),
    ]),
]  # fmt: skip
