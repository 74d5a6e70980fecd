import http.client
import logging
import os
import socket
import ssl
import threading
import time
import traceback

import pytest
from canaries import found_in
from conftest import NAME, NUMBER, run_python
from servers import DeadAddress, LateServer, RawServer, SilentServer, TunnelProxy

from facecert.errors import BadAnswer, ConnectionFailed, FacecertError, InvalidParameter, NoAnswer
from facecert.redact import Private, guarded
from facecert.transport import answers, connect, http as transport
from facecert.transport.http import Form, Http

FORM = b"a=1"


def post(endpoint, read_timeout=2.0, connect_timeout=2.0):
    one = Http(endpoint, connect_timeout=connect_timeout, read_timeout=read_timeout)
    try:
        return one.post(Form(FORM))
    finally:
        one.close()


def test_a_reply_is_taken_as_it_comes():
    answer = (
        b"HTTP/1.1 503 Busy\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nRetry-After: 7\r\n"
        b"Set-Cookie: a=b\r\nContent-Length: 4\r\n\r\nbusy"
    )
    with RawServer(answer) as server:
        reply = post(server.endpoint)
        assert (reply.status, reply.body) == (503, b"busy")
        assert (reply.date, reply.retry_after) == ("Tue, 24 Nov 2026 12:00:00 GMT", "7")
        assert "busy" not in repr(reply)
        head = server.received[0].split(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post / http/1.1\r\n")
    assert b"content-length: 3" in head and b"chunked" not in head
    assert b"cookie" not in head and b"authorization" not in head


#: What a peer may do with the request in the head of a response, or in the framing of its body.
HEADS = [
    b"%s", b"%s\r\n\r\n", b"HTTP/1.1 200 %s\r\n\r\n", b"HTTP/1.1 %s OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n%s\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n%s: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nX: y\r\n %s\r\nmore\r\n: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nRetry-After: %s\r\nDate: %s\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n{}",
    b"HTTP/1.1 200 OK\r\nX: " + b"%s" * 4000 + b"\r\n\r\n{}",
    b"HTTP/1.1 302 %s\r\nLocation: http://%s/\r\n\r\n%s",
]  # fmt: skip


def test_bug_a_malformed_head_that_repeats_the_request_was_logged(caplog, capfd):
    """urllib3 logged headers that it could not parse. Nobody logs or raises a text of the peer."""
    caplog.set_level(logging.DEBUG)
    echo = ("certName=%s&certNo=%s" % (NAME, NUMBER)).encode("utf-8")
    for head in HEADS:
        with RawServer(head.replace(b"%s", echo)) as server:
            one = Http(server.endpoint, connect_timeout=30, read_timeout=30)
            with pytest.raises(FacecertError) as caught:
                answers.read(guarded(one.post)(Form(echo + b"&a=1")), Private(NAME, NUMBER))
            one.close()
        report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown = "".join(str(frame.locals) for frame in report.stack if frame.filename != __file__)
        link = caught.value
        while link is not None:
            shown, link = shown + repr(link) + str(vars(link)), link.__cause__ or link.__context__
        assert caught.value.outcome == "unknown" and found_in(shown) == [], head[:80]
    assert found_in(caplog.text + str(capfd.readouterr())) == []


def test_redirects_are_not_followed():
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with RawServer(answer) as server:
        assert post(server.endpoint).status == 302


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
        b"not http at all",
    ],
)
def test_half_an_answer_is_no_answer(answer):
    with RawServer(answer) as server:
        with pytest.raises(NoAnswer) as caught:
            post(server.endpoint)
    assert caught.value.outcome == "unknown"
    assert caught.value.__cause__ is not None


ECHO = "%s %s" % (NAME, NUMBER)
BROKEN_ECHOES = [
    "%s\r\n\r\n" % ECHO,
    "HTTP/1.1 %s\r\n\r\n" % ECHO,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{%s}" % ECHO,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1c\r\n%s" % ECHO,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30\r\n%s" % ECHO,
    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%s" % ECHO,
    "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n" % ECHO,
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n%s" % ECHO,
]


@pytest.mark.parametrize("answer", BROKEN_ECHOES)
def test_bug_urllib3_and_http_client_quote_broken_answers(answer):
    with RawServer(answer.encode("utf-8")) as server:
        try:
            reply = post(server.endpoint)
        except (BadAnswer, NoAnswer) as error:
            shown = str(error)
            link = error
            while link is not None:
                shown += repr(link) + repr(link.args) + repr(vars(link))
                link = link.__cause__ or link.__context__
            for private in (NAME, NUMBER, NUMBER.encode().decode("latin-1")):
                assert private not in shown
            assert NAME.encode("utf-8").decode("latin-1") not in shown
            assert repr(NAME.encode("utf-8"))[2:-1] not in shown
        else:
            assert NAME not in repr(reply)


LATE = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d"


@pytest.mark.parametrize(
    "early",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_bug_a_late_answer_was_taken_for_the_next_callers(early):
    with LateServer(early, LATE) as server:
        one = Http(server.endpoint, connect_timeout=2, read_timeout=2)
        for _ in range(2):
            try:
                assert one.post(Form(FORM)).body in (b"", b"{}")
            except NoAnswer:
                assert early.startswith(b"HTTP/1.1 10")
        one.close()
        assert server.connections == 2


def test_100_continue_is_not_an_answer():
    with LateServer(b"HTTP/1.1 100 Continue\r\n\r\n", LATE) as server:
        one = Http(server.endpoint, connect_timeout=2, read_timeout=2)
        assert one.post(Form(FORM)).body == b"1"
        one.close()


def test_silence_is_no_answer(sandbox):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with pytest.raises(NoAnswer):
            post("http://127.0.0.1:%d" % listener.getsockname()[1], read_timeout=0.2)


def test_an_endless_answer_is_cut_short():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"
    with RawServer(head + b"x" * 2000000) as server:
        with pytest.raises(BadAnswer) as caught:
            post(server.endpoint)
    assert "1048576 bytes" in str(caught.value) and caught.value.outcome == "unknown"


def test_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailed) as caught:
            post("http://127.0.0.1:%d" % unused.getsockname()[1])
    error = caught.value
    assert error.outcome == "not sent" and error.retryable
    assert "refused" in str(error) and " at 0x" not in str(error)


def test_no_such_host(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionFailed) as caught:
        post("https://gateway.test")
    assert caught.value.outcome == "not sent" and "gateway.test" in str(caught.value)


def test_a_tls_interceptors_certificate_is_refused_before_anything_is_sent(
    tls_sandbox, monkeypatch
):
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    with pytest.raises(ConnectionFailed) as caught:
        post(tls_sandbox.endpoint)
    assert "certificate verify failed" in str(caught.value)
    assert "ALIBABA_CLOUD_CA_BUNDLE" in str(caught.value)
    assert tls_sandbox.requests == []


def test_a_certificate_for_another_host_is_refused(tls_sandbox, authority):
    from facecert.sandbox import Sandbox

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another.test").configure_cert(context)
    with Sandbox(ssl_context=context) as sandbox:
        with pytest.raises(ConnectionFailed) as caught:
            post(sandbox.endpoint)
        assert "match" in str(caught.value) or "not valid for" in str(caught.value)
        assert sandbox.requests == []


@pytest.mark.parametrize("variable", connect.CA_VARIABLES)
def test_ca_bundles_of_the_environment(tls_sandbox, monkeypatch, variable):
    bundle = os.environ["ALIBABA_CLOUD_CA_BUNDLE"]
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    monkeypatch.setenv(variable, bundle)
    assert post(tls_sandbox.endpoint).status == 400
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    with pytest.raises(InvalidParameter) as caught:
        post(tls_sandbox.endpoint)
    assert caught.value.field == variable


@pytest.mark.long
def test_200_calls_use_one_tls_connection(tls_sandbox):
    with tls_sandbox.client() as client:
        opened = client.init(cert_name="张三", cert_no="330103199001011230")
        for _ in range(199):
            client.query(opened.certify_id)
    assert len(tls_sandbox.requests) == 200
    assert len({request.peer for request in tls_sandbox.requests}) == 1


@pytest.mark.parametrize(
    "endpoint",
    ["a.b", "a..b", "-a_", "1.2.3.4.5", "999.0.0.1", "." * 300, "[::1]", "[::ffff:127.0.0.1]"],
)
def test_every_endpoint_that_a_client_takes_is_looked_up(monkeypatch, endpoint):
    from facecert.settings import check_endpoint

    looked_up = []

    def look_up(host, port, *args):
        looked_up.append((host, port))
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(ConnectionFailed):
        post(check_endpoint("https://%s:65535" % endpoint))
    assert looked_up == [(endpoint.strip("[]"), 65535)]


def test_an_idle_connection_is_not_used_again(sandbox, client, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(transport.time, "monotonic", lambda: clock[0])
    opened = client.init(cert_name="张三", cert_no="330103199001011230")
    clock[0] += transport.LONGEST_IDLE
    client.query(opened.certify_id)
    clock[0] += transport.LONGEST_IDLE + 0.1
    client.query(opened.certify_id)
    first, second, third = [request.peer for request in sandbox.requests]
    assert first == second != third


def test_a_connection_that_was_closed_meanwhile_is_replaced(sandbox, client):
    opened = client.init(cert_name="张三", cert_no="330103199001011230")
    sandbox.stop()
    sandbox.start()
    assert client.query(opened.certify_id).certify_id == opened.certify_id
    assert client.pauses == []


@pytest.mark.long
def test_32_threads_on_one_client_lose_and_mix_nothing(sandbox):
    failures, seen = [], {}

    def work(number):
        try:
            for turn in range(5):
                order = "t%02dn%d" % (number, turn)
                opened = client.init(
                    cert_name="张三", cert_no="330103199001011230", outer_order_no=order
                )
                assert opened.outer_order_no == order
                sandbox.complete(opened.certify_id, passed=turn % 2 == 0)
                answer = client.query(opened.certify_id)
                assert answer.passed == (turn % 2 == 0)
                seen[order] = opened.certify_id
        except Exception as error:
            failures.append(error)

    with sandbox.client() as client:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(sandbox.requests) == 32 * 5 * 2
    opened = {item.outer_order_no: item.certify_id for item in sandbox.verifications()}
    assert opened == seen and len(set(seen.values())) == 160
    assert len({request.peer for request in sandbox.requests}) <= 32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_parent_and_child_never_share_a_connection(tls_sandbox):
    with tls_sandbox.client() as client:
        opened = client.init(cert_name="张三", cert_no="330103199001011230")
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:  # whatever happens here, this process must not run pytest's end
                code = 1
                try:
                    code = 0 if not client.query(opened.certify_id).passed else 2
                finally:
                    os._exit(code)
            children.append(child)
            client.query(opened.certify_id)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        client.query(opened.certify_id)
    calls = {}
    for request in tls_sandbox.requests:
        calls[request.peer] = calls.get(request.peer, 0) + 1
    # The parent's connection carried all of its calls, each child had one of its own.
    assert sorted(calls.values()) == [1, 1, 1, 5]


def test_the_environments_proxy_sees_no_more_than_the_host(tls_sandbox, monkeypatch):
    port = int(tls_sandbox.endpoint.rpartition(":")[2])
    proxy = TunnelProxy(port)
    monkeypatch.setenv("https_proxy", "http://user:p%40ss@" + proxy.address)
    with tls_sandbox.client(endpoint="https://gateway.test") as client:
        opened = client.init(cert_name="张三", cert_no="330103199001011230")
        client.query(opened.certify_id)
    proxy.close()
    assert len(proxy.asked) == 1 and proxy.asked[0].startswith("CONNECT gateway.test:443 ")
    assert "Basic dXNlcjpwQHNz" in proxy.asked[0].replace("basic", "Basic")
    assert len(tls_sandbox.requests) == 2


def test_a_proxy_that_refuses_means_nothing_was_sent(monkeypatch):
    proxy = TunnelProxy(1, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    monkeypatch.setenv("https_proxy", "http://user:p%40ss@" + proxy.address)
    with pytest.raises(ConnectionFailed) as caught:
        post("https://gateway.test")
    proxy.close()
    assert "407" in str(caught.value) and "p@ss" not in str(caught.value)


def test_no_proxy_for_this_machine_or_for_no_proxy(sandbox, client, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert client.init(cert_name="张三", cert_no="330103199001011230").certify_id
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert connect.proxy_address("https://gateway.test") == "http://127.0.0.1:1"
    monkeypatch.setenv("no_proxy", ".test")
    assert connect.proxy_address("https://gateway.test") is None


@pytest.mark.parametrize(
    "address",
    [
        "socks5://127.0.0.1:1",
        "http://user:secretword[x@127.0.0.1:1",
        "http://user:secretword/x@127.0.0.1:1",
        "http://[::1",
        "https://127.0.0.1:1",
        "http://127.0.0.1:port",
        "http://127.0.0.1:0",
        "http://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(monkeypatch, address):
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(InvalidParameter) as caught:
        post("https://gateway.test")
    assert caught.value.field == "HTTPS_PROXY" and "secretword" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


class Failing:
    """A socket whose ``send`` takes as many bytes as it is told, one number a call, then fails."""

    def __init__(self, *takes, failure=OSError("words")):
        self.takes = list(takes)
        self.failure = failure

    def settimeout(self, seconds):
        pass

    def close(self):
        pass

    def send(self, data):
        if not self.takes:
            raise self.failure
        return min(self.takes.pop(0), len(data))


@pytest.mark.parametrize("failure", [ConnectionResetError("words"), ssl.SSLError("words")])
@pytest.mark.parametrize(
    "takes, kind",
    [
        ((), ConnectionFailed),
        ((1, 1), ConnectionFailed),
        (("the head",), ConnectionFailed),
        (("the head", 1), NoAnswer),
        ((1, "the head"), NoAnswer),
    ],
)
def test_sent_begins_with_the_first_byte_of_the_body(sandbox, monkeypatch, takes, kind, failure):
    http = Http(sandbox.endpoint, connect_timeout=1, read_timeout=1)
    head = len(http._head + "%d\r\n\r\n" % len(FORM))
    takes = [head if one == "the head" else one for one in takes]
    fake = Failing(*takes, failure=failure)
    monkeypatch.setattr(http, "_connect", lambda: transport._Connection(fake))
    with pytest.raises(kind) as caught:
        http.post(Form(FORM))
    assert caught.value.outcome == ("not sent" if kind is ConnectionFailed else "unknown")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("failure", [TimeoutError(), OSError("alarm"), ValueError("alarm")])
def test_bug_an_init_was_sent_again_when_a_signals_handler_raised_an_oserror(monkeypatch, failure):
    """It may strike when ``send`` has sent everything, and is only to return."""
    http = Http("http://127.0.0.1:9", connect_timeout=1, read_timeout=1)
    monkeypatch.setattr(http, "_connect", lambda: transport._Connection(Failing(failure=failure)))
    with pytest.raises(NoAnswer) as caught:
        http.post(Form(FORM))
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip", "br", "identity, gzip"])
def test_a_compressed_response_is_not_unpacked(encoding):
    import gzip
    import tracemalloc

    bomb = gzip.compress(gzip.compress(b"x" * 20000000))
    head = "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    with RawServer((head % (encoding, len(bomb))).encode() + bomb) as server:
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswer) as caught:
                post(server.endpoint)
            assert tracemalloc.get_traced_memory()[1] < 5000000
        finally:
            tracemalloc.stop()
    assert caught.value.http_status == 200
    assert b"accept-encoding: identity" in server.received[0].lower()


def test_a_million_chunks_of_one_byte_end_at_the_limit():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with RawServer(head + b"1\r\nx\r\n" * 1000000) as server:
        begun = time.process_time()
        with pytest.raises(BadAnswer):
            post(server.endpoint, read_timeout=60)
        # About 1 s for the 175,000 chunks before the limit; all of them would take far longer.
        assert time.process_time() - begun < 12


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"],
)  # fmt: skip
def test_a_dripping_peer_is_left_at_the_read_timeout(head):
    with SilentServer(head, drip=b"x", every=0.05) as server:
        begun = time.monotonic()
        with pytest.raises(NoAnswer) as caught:
            post(server.endpoint, read_timeout=0.5)
        assert 0.4 < time.monotonic() - begun < 10
    assert "timed out" in str(caught.value)


def test_bug_time_out_messages_held_memory_addresses(monkeypatch):
    """Error trackers group by the message. gevent, eventlet and SOCKS shims bring their own."""

    def slow(*arguments):
        one = Http("http://127.0.0.1", connect_timeout=1, read_timeout=1)
        raise socket.timeout("%r timed out" % one)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    messages = []
    for _ in range(2):
        with pytest.raises(ConnectionFailed) as caught:
            post("http://127.0.0.1:1")
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "Http object> timed out. Nothing" in messages[0]


@pytest.mark.parametrize("size", [8192 - 41, 5, 65536, 70000])
@pytest.mark.parametrize("tls", [False, True])
def test_bug_a_second_response_in_one_record_went_to_the_next_caller(
    size, tls, authority, tmp_path, monkeypatch
):
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        bundle = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    first = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nsomebody's pass."
    with RawServer(first + second, first, context=context) as server:
        one = Http(server.endpoint, connect_timeout=5, read_timeout=5)
        assert [one.post(Form(FORM)).body for _ in range(2)] == [b"y" * size] * 2
        one.close()
    assert len(server.received) == 2


@pytest.mark.long
def test_all_addresses_share_the_connect_timeout(monkeypatch):
    with DeadAddress() as one, DeadAddress() as two, DeadAddress() as three:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a: one.info + two.info + three.info)
        begun = time.monotonic()
        with pytest.raises(ConnectionFailed):
            post("https://gateway.test", connect_timeout=1.5)
        assert 1.2 < time.monotonic() - begun < 3.5


@pytest.mark.long
def test_a_dead_address_leaves_time_for_the_next(sandbox, monkeypatch):
    port = int(sandbox.endpoint.rpartition(":")[2])
    alive = socket.getaddrinfo("127.0.0.1", port, 0, socket.SOCK_STREAM)
    with DeadAddress() as dead:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args: dead.info + alive)
        assert post(sandbox.endpoint, connect_timeout=2).status == 400


@pytest.mark.long
@pytest.mark.parametrize("drip", [b"", b"x"])
def test_a_tls_handshake_that_does_not_end_is_left_at_the_connect_timeout(drip):
    with SilentServer(b"", drip=drip, every=0.05, waits=False) as server:
        begun = time.monotonic()
        with pytest.raises(ConnectionFailed):
            post(server.endpoint.replace("http:", "https:"), connect_timeout=0.5)
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "answer, says",
    [
        (b"", "no complete response to CONNECT"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nX: y\r\n\r\n<html>", "HTTP 502"),
        (b"HTTP/1.1 200", "no complete response to CONNECT"),
        (b"nonsense\r\n\r\n", "HTTP of no known form"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000, "no complete response to CONNECT"),
    ],
)
def test_a_proxy_that_does_not_connect_means_nothing_was_sent(monkeypatch, answer, says):
    proxy = TunnelProxy(1, answer)
    monkeypatch.setenv("https_proxy", "http://user:p%40ss@" + proxy.address)
    with pytest.raises(ConnectionFailed) as caught:
        post("https://gateway.test")
    proxy.close()
    assert says in str(caught.value) and caught.value.outcome == "not sent"
    assert "p@ss" not in str(caught.value)


def test_a_silent_proxy_is_left_at_the_connect_timeout(monkeypatch):
    with SilentServer(b"HTTP/1.1 200 OK\r\nX: ", drip=b"x", every=0.05) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.endpoint)
        begun = time.monotonic()
        with pytest.raises(ConnectionFailed):
            post("https://gateway.test", connect_timeout=0.5)
        assert time.monotonic() - begun < 10


def test_addresses_of_ipv6_have_brackets(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:p%40ss@[::1]:3128")
    assert connect.proxy_address("https://gateway.test") == "http://[::1]:3128"
    proxy = TunnelProxy(1, b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    monkeypatch.setenv("https_proxy", "http://" + proxy.address)
    with pytest.raises(ConnectionFailed):
        post("https://[2001:db8::1]")
    proxy.close()
    assert proxy.asked[0].startswith("CONNECT [2001:db8::1]:443 ")


def test_a_socks_proxy_is_named_as_one(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secretword@127.0.0.1:1")
    with pytest.raises(InvalidParameter) as caught:
        post("https://gateway.test")
    assert caught.value.field == "ALL_PROXY"
    assert "SOCKS" in str(caught.value) and "secretword" not in str(caught.value)


def test_the_debug_level_of_http_client_shows_nothing(sandbox, monkeypatch, capsys):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    monkeypatch.setattr(http.client.HTTPResponse, "debuglevel", 1, raising=False)
    assert post(sandbox.endpoint).status == 400
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("trusted", ["system", "certifi"])
def test_the_systems_store_and_certifis_are_both_trusted(tls_sandbox, monkeypatch, trusted):
    certifi = pytest.importorskip("certifi")
    bundle = os.environ["ALIBABA_CLOUD_CA_BUNDLE"]
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    if trusted == "certifi":
        monkeypatch.setattr(certifi, "where", lambda: bundle)
    else:
        loaded = ssl.SSLContext.load_default_certs

        def load(self, purpose=ssl.Purpose.SERVER_AUTH):
            loaded(self, purpose)
            self.load_verify_locations(cafile=bundle)

        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)
    assert post(tls_sandbox.endpoint).status == 400


GEVENT = """
import sys
when, endpoint, scene_id, key, secret = sys.argv[1:]
def patch():
    from gevent import monkey
    monkey.patch_all()
if when == "before": patch()
import facecert
from facecert.batch import Rate, query_many
client = facecert.Client(scene_id, endpoint=endpoint, credentials=(key, secret))
paced = client.paced(Rate(500))
def init(number):
    return paced.init(cert_name="a", cert_no="1", outer_order_no="%s%d" % (when, number))
def query(number):
    ids = [job.value.certify_id for job in jobs[: 1 + number % 5]]
    items = query_many(ids, client=client, qps=1000, threads=3)
    return sorted(ids) == sorted(item.answer.certify_id for item in items)
if when == "used":  # gunicorn imports ssl before it patches, an app may even have called
    first = init(0)
    list(query_many([first.certify_id], client=client))
    import concurrent.futures.thread
if when != "before": patch()
import gevent
jobs = [gevent.spawn(init, number) for number in range(1, 51)]
gevent.joinall(jobs, timeout=30, raise_error=True)
print(sum(job.value.outer_order_no == "%s%d" % (when, n) for n, job in enumerate(jobs, 1)))
queries = [gevent.spawn(query, number) for number in range(20)]
gevent.joinall(queries, timeout=30, raise_error=True)
print(sum(job.value for job in queries))
"""


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.long), "used"])
@pytest.mark.parametrize("kind", [pytest.param("sandbox", marks=pytest.mark.long), "tls_sandbox"])
def test_gevent_may_be_patched_at_any_time(request, when, kind):
    pytest.importorskip("gevent")
    sandbox = request.getfixturevalue(kind)
    arguments = [when, sandbox.endpoint, sandbox.scene_id, sandbox.access_key_id]
    said = run_python(
        GEVENT.replace("sys.argv[1:]", repr(arguments + [sandbox.access_key_secret])),
        env={"ALIBABA_CLOUD_CA_BUNDLE": os.environ.get("ALIBABA_CLOUD_CA_BUNDLE", "")},
    )
    assert said.split() == ["50", "20"]


def test_bug_a_connection_that_a_patch_overtook_was_kept(sandbox, client, monkeypatch, person):
    receive = transport._Connection.receive

    def overtaken(self, timeout):
        monkeypatch.setattr(socket, "socket", type("Patched", (socket.socket,), {}))
        return receive(self, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(transport._Connection, "receive", overtaken)
        opened = client.init(**person)
    client.query(opened.certify_id)
    client.query(opened.certify_id)
    first, second, third = [request.peer for request in sandbox.requests]
    assert first != second == third


def test_a_recursion_in_ssl_says_to_patch_earlier(tls_sandbox, monkeypatch):
    from facecert.errors import DependencyError

    def recur(*args, **kwargs):
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(ssl, "create_default_context", recur)
    with pytest.raises(DependencyError) as caught:
        post(tls_sandbox.endpoint)
    assert "Patch before" in str(caught.value) and caught.value.outcome == "not sent"


def test_time_is_not_spent_on_waiting_for_acknowledgements(sandbox, client):
    opened = client.init(cert_name="张三", cert_no="330103199001011230")
    start = time.perf_counter()
    for _ in range(20):
        client.query(opened.certify_id)
    # A delayed ACK would add 40 ms to each call.
    assert time.perf_counter() - start < 20 * 0.035


@pytest.mark.parametrize("mark", "#?")
def test_bug_a_bare_mark_in_the_proxys_password_made_a_host_of_the_user(monkeypatch, mark):
    monkeypatch.setenv("https_proxy", "http://user:12%ssecretword@127.0.0.1:1" % mark)
    with pytest.raises(InvalidParameter) as caught:
        post("https://gateway.test")
    assert caught.value.field == "HTTPS_PROXY" and "secretword" not in str(caught.value)


def test_bug_urllib3_is_missing_and_nobody_says_how_to_install_it(sandbox):
    """Neither urllib3 nor certifi is needed any more."""
    code = (
        "import sys; sys.modules['urllib3'] = sys.modules['certifi'] = None\n"
        "import facecert\n"
        "client = facecert.Client(%r, endpoint=%r, credentials=(%r, %r))\n"
        "print(client.init(cert_name='a', cert_no='1').certify_id)"
    ) % (sandbox.scene_id, sandbox.endpoint, sandbox.access_key_id, sandbox.access_key_secret)
    assert run_python(code).strip() == sandbox.verifications()[0].certify_id
