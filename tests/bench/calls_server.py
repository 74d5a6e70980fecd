"""The TLS server that calls.py and cold.py measure against, near or at a distance.

Its own process runs ``calls_server.py CERTIFICATE STRANGERS_CERTIFICATE ROUND_TRIP_MS``. That
answers each line on standard input with its addresses and counters, and ends with standard input.

It speaks HTTP/1.1 with keep-alive and responds at once, so that only the client's time is left.
``near`` has no delay but that of loopback. ``far`` models a network: it delays all bytes by half a
round trip in each direction. The first bytes of a connection wait one round trip more, for the TCP
handshake that the kernel has already done. A new connection therefore costs three round trips to
the first response with TLS 1.3 (TCP, TLS, the request) and four with TLS 1.2; a kept one costs
one. Bandwidth, losses, slow start and the time of the real service are not modelled. ``stranger``
has a certificate of an unknown authority. All keys are elliptic, whose handshakes cost less than
those of RSA, which favours peers that open a connection for every call.

Bytes are counted as they arrive: handshakes and TLS records with the requests.
"""

import asyncio
import functools
import json
import selectors
import ssl
import sys
import threading
from collections import deque
from pathlib import Path

from figures import Child

CERTIFY_ID = "7b3c1f0e5d9a48c2b6e4f1a0938d7c56"

_QUERY = {"passed": "T", "identityInfo": "", "materialInfo": ""}
_INIT = {
    "certifyId": CERTIFY_ID,
    "certifyUrl": "https://picker.example/gateway.do?biz_content=" + "x" * 400,
}
#: Every request must contain all of these, in its URL or in its body.
_MARKS = (b"Action=ExecuteRequest", b"fin_face_verify", b"Signature=")


def _response(status, data):
    envelope = {
        "RequestId": "A1B2C3D4-0000-1111-2222-333344445555",
        "Message": "OK",
        "Code": 200,
        "Data": data,
    }
    body = json.dumps(envelope).encode("ascii")
    head = (
        "HTTP/1.1 %s\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        "Content-Type: application/json;charset=utf-8\r\nContent-Length: %d\r\n"
        "Connection: keep-alive\r\nx-acs-request-id: A1B2C3D4\r\n\r\n"
    )
    return (head % (status, len(body))).encode("ascii") + body


class Pipe:
    """Passes pieces to ``take`` in order, each after a delay in seconds."""

    def __init__(self, take, delay):
        self._take = take
        self._delay = delay
        self._held = deque()
        #: Seconds by which the last piece was late.
        self.late = 0.0

    def put(self, piece, offset=0.0):
        """Pass a piece on after the delay and ``offset``."""
        if not self._delay:
            self._take(piece)
            return
        self._held.append(piece)
        loop = asyncio.get_event_loop()
        due = loop.time() + self._delay + offset
        loop.call_at(due, self._pass_on, due)

    def _pass_on(self, due):
        self.late = asyncio.get_event_loop().time() - due
        self._take(self._held.popleft())


class Connection(asyncio.Protocol):
    """One connection. TLS runs in memory, so that bytes can be counted and delayed."""

    counters = {"connections": 0, "bytes": 0}
    query = _response("200 OK", _QUERY)
    init = _response("200 OK", _INIT)
    refusal = _response("400 Bad Request", {})

    def __init__(self, context, round_trip):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self._request = b""
        self._tcp_handshake = round_trip
        self._inward = Pipe(self._arrive, round_trip / 2)
        self._outward = Pipe(self._leave, round_trip / 2)

    def connection_made(self, transport):
        self._transport = transport
        self.counters["connections"] += 1

    def data_received(self, data):
        self.counters["bytes"] += len(data)
        offset, self._tcp_handshake = self._tcp_handshake, 0.0
        self._inward.put(data, offset)

    def _leave(self, data):
        if not self._transport.is_closing():
            self._transport.write(data)

    def _arrive(self, data):
        self._incoming.write(data)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while True:
                piece = self._tls.read(65536)
                if not piece:
                    raise EOFError
                self._request += piece
        except ssl.SSLWantReadError:
            self._serve()
        except (ssl.SSLError, EOFError):
            self._transport.close()
            return
        if self._outgoing.pending:
            # The delay of a late timer is not the network's.
            self._outward.put(self._outgoing.read(), -self._inward.late)

    def _serve(self):
        head, end, body = self._request.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        if len(body) < length:
            return
        whole, self._request = self._request, b""
        if not all(mark in whole for mark in _MARKS):
            self._tls.write(self.refusal)
        else:
            self._tls.write(self.init if b"%22init%22" in whole else self.query)


def serve(certificate, strangers, round_trip):
    # Not epoll, because its time-outs are whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    asyncio.set_event_loop(loop)
    addresses = {}
    for name, file, delay in (
        ("near", certificate, 0.0),
        ("far", certificate, round_trip),
        ("stranger", strangers, 0.0),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        accept = functools.partial(Connection, context, delay)
        server = loop.run_until_complete(loop.create_server(accept, "127.0.0.1", 0))
        addresses[name] = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    threading.Thread(target=_tell, args=(loop, addresses), daemon=True).start()
    loop.run_forever()


def _tell(loop, addresses):
    for _ in sys.stdin:
        print(json.dumps(dict(Connection.counters, addresses=addresses)), flush=True)
    loop.call_soon_threadsafe(loop.stop)


class Server:
    """The server's process, with new certificates in ``folder``.

    Attributes:
        bundle: the file with the authority that ``near`` and ``far`` belong to.
        addresses: name -> host:port.
    """

    def __init__(self, folder, round_trip_ms):
        import trustme

        self.bundle = str(folder / "ca.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.bundle)
        command = [sys.executable, str(Path(__file__).resolve())]
        for name, issuer in (("server.pem", authority), ("stranger.pem", trustme.CA())):
            issued = issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
            issued.write_to_path(str(folder / name))
            command.append(str(folder / name))
        self._child = Child(command + [str(round_trip_ms)])
        self.addresses = self.counters()["addresses"]
        self.close = self._child.close

    def counters(self):
        """Return ``connections`` and ``bytes`` since the start."""
        return self._child.ask(None)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
