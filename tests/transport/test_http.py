import os
import socket
import ssl
import threading
import time

import pytest
import urllib3
from conftest import NAME, NUMBER, run_python
from servers import LateServer, RawServer, TunnelProxy

from facecert.transport import pool
from facecert.errors import BadAnswer, ConnectionFailed, InvalidParameter, NoAnswer
from facecert.transport.http import Wire


def post(endpoint, read_timeout=2.0):
    one = Wire(endpoint, connect_timeout=2.0, read_timeout=read_timeout)
    try:
        return one.post(b"a=1")
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
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
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
        except NoAnswer as error:
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
        one = Wire(server.endpoint, connect_timeout=2, read_timeout=2)
        for _ in range(2):
            try:
                assert one.post(b"a=1").body in (b"", b"{}")
            except NoAnswer:
                assert early.startswith(b"HTTP/1.1 10")
        one.close()
        assert server.connections == 2


def test_100_continue_is_not_an_answer():
    with LateServer(b"HTTP/1.1 100 Continue\r\n\r\n", LATE) as server:
        one = Wire(server.endpoint, connect_timeout=2, read_timeout=2)
        assert one.post(b"a=1").body == b"1"
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
    assert caught.value.http_status == 200


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


@pytest.mark.parametrize("variable", pool.CA_VARIABLES)
def test_ca_bundles_of_the_environment(tls_sandbox, monkeypatch, variable):
    bundle = os.environ["ALIBABA_CLOUD_CA_BUNDLE"]
    monkeypatch.delenv("ALIBABA_CLOUD_CA_BUNDLE")
    monkeypatch.setenv(variable, bundle)
    assert post(tls_sandbox.endpoint).status == 400
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    with pytest.raises(InvalidParameter) as caught:
        post(tls_sandbox.endpoint)
    assert caught.value.field == variable


def test_200_calls_use_one_tls_connection(tls_sandbox):
    with tls_sandbox.client() as client:
        opened = client.init(cert_name="张三", cert_no="330103199001011234")
        for _ in range(199):
            client.query(opened.certify_id)
    assert len(tls_sandbox.requests) == 200
    assert len({request.peer for request in tls_sandbox.requests}) == 1


@pytest.mark.parametrize(
    "endpoint",
    ["a.b", "a..b", "-a_", "1.2.3.4.5", "999.0.0.1", "." * 300, "[::1]", "[::ffff:127.0.0.1]"],
)
def test_every_endpoint_that_a_client_takes_has_a_pool(endpoint):
    from facecert.settings import check_endpoint

    opened = pool.open_pool(check_endpoint("https://%s:65535" % endpoint))
    assert opened.port == 65535 and opened.scheme == "https"
    assert opened.host.strip("[]") == endpoint.strip("[]")


def test_an_idle_connection_is_not_used_again(sandbox, client, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(pool.time, "monotonic", lambda: clock[0])
    opened = client.init(cert_name="张三", cert_no="330103199001011234")
    clock[0] += pool.LONGEST_IDLE
    client.query(opened.certify_id)
    clock[0] += pool.LONGEST_IDLE + 0.1
    client.query(opened.certify_id)
    first, second, third = [request.peer for request in sandbox.requests]
    assert first == second != third


def test_a_connection_that_was_closed_meanwhile_is_replaced(sandbox, client):
    opened = client.init(cert_name="张三", cert_no="330103199001011234")
    sandbox.stop()
    sandbox.start()
    assert client.query(opened.certify_id).certify_id == opened.certify_id
    assert client.pauses == []


def test_32_threads_on_one_client_lose_and_mix_nothing(sandbox):
    failures, seen = [], {}

    def work(number):
        try:
            for turn in range(5):
                order = "t%02dn%d" % (number, turn)
                opened = client.init(
                    cert_name="张三", cert_no="330103199001011234", outer_order_no=order
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
        opened = client.init(cert_name="张三", cert_no="330103199001011234")
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
        opened = client.init(cert_name="张三", cert_no="330103199001011234")
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
    assert client.init(cert_name="张三", cert_no="330103199001011234").certify_id
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert pool._proxy("https://gateway.test") == "http://127.0.0.1:1"
    monkeypatch.setenv("no_proxy", ".test")
    assert pool._proxy("https://gateway.test") is None


@pytest.mark.parametrize(
    "address",
    [
        "socks5://127.0.0.1:1",
        "http://user:secretword[x@127.0.0.1:1",
        "http://user:secretword/x@127.0.0.1:1",
        "http://[::1",
        "http://user:secretword%E5%BC%A0@127.0.0.1:1",
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


def failures_of_urllib3():
    """One of every error that urllib3 can raise; their constructors all want something else."""
    for value in vars(urllib3.exceptions).values():
        if isinstance(value, type) and issubclass(value, urllib3.exceptions.HTTPError):
            failure = value.__new__(value)
            failure.args = ("words",)
            failure.partial = failure.expected = failure.length = 0
            yield failure


@pytest.mark.parametrize("begun, kind", [(False, ConnectionFailed), (True, NoAnswer)])
@pytest.mark.parametrize("failure", list(failures_of_urllib3()), ids=lambda e: type(e).__name__)
def test_every_failure_of_urllib3_is_mapped(monkeypatch, failure, begun, kind):
    class Pool:
        def urlopen(self, method, url, body, **options):
            if begun:
                list(body)
            raise failure

    one = Wire("http://127.0.0.1:1", connect_timeout=1, read_timeout=1)
    monkeypatch.setattr(one, "_pool", Pool)
    with pytest.raises(kind) as caught:
        one.post(b"a=1")
    error = caught.value
    if begun:  # urllib3's words may quote the answer
        assert "words" not in str(error) + repr(error.__cause__) + repr(error.__context__)
    assert error.__cause__ is not None


def test_time_is_not_spent_on_waiting_for_acknowledgements(sandbox, client):
    opened = client.init(cert_name="张三", cert_no="330103199001011234")
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


def test_bug_urllib3_is_missing_and_nobody_says_how_to_install_it():
    code = (
        "import sys; sys.modules['urllib3'] = None\n"
        "import facecert\n"
        "try: facecert.Client('1')\n"
        "except facecert.DependencyError as error: print(error)"
    )
    assert "pip install urllib3" in run_python(code)
