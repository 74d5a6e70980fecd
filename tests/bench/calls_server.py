"""The TLS server that calls.py and cold.py measure against, near or at a distance.

Run as its own process: ``calls_server.py CERTIFICATE STRANGERS_CERTIFICATE ROUND_TRIP_MS``. It
prints its addresses as one line of JSON, answers each line on standard input with its counters,
and ends with standard input.

It speaks HTTP/1.1 with keep-alive and answers at once, so that what is left is the client's own
time. ``near`` has no delay but the loopback's. ``far`` stands for a network: all bytes are held
back by half a round trip in each direction, and a connection's first ones by a whole one more, for
the TCP handshake that the kernel has already answered. So a new connection costs three round trips
to its first answer with TLS 1.3 (TCP, TLS, the request) and four with TLS 1.2; one that is kept
costs one. Not modelled: bandwidth, losses, slow start, the time of the real service.
``stranger`` has a certificate of an authority that nobody trusts. All keys are elliptic curves',
whose handshakes cost less than RSA's: good for those who open a connection for every call.

Bytes are counted as they arrive on the wire: handshakes and TLS records with the requests.
"""

import asyncio
import functools
import json
import selectors
import ssl
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Callable, Deque, Dict, List

CERTIFY_ID = "7b3c1f0e5d9a48c2b6e4f1a0938d7c56"

_QUERY = {"passed": "T", "identityInfo": "", "materialInfo": ""}
_INIT = {
    "certifyId": CERTIFY_ID,
    "certifyUrl": "https://picker.example/gateway.do?biz_content=" + "x" * 400,
}
#: Every request must have all of them, in its URL or in its body.
_MARKS = (b"Action=ExecuteRequest", b"fin_face_verify", b"Signature=")


def _answer(status: str, data: Dict[str, str]) -> bytes:
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
    """Hands pieces on in order, each after a delay in seconds."""

    def __init__(self, take: Callable[[bytes], None], delay: float) -> None:
        self._take = take
        self._delay = delay
        self._held: Deque[bytes] = deque()
        #: Seconds by which the last piece came later than it should.
        self.late = 0.0

    def put(self, piece: bytes, offset: float = 0.0) -> None:
        """Hand a piece on after the delay and ``offset``."""
        if not self._delay:
            self._take(piece)
            return
        self._held.append(piece)
        loop = asyncio.get_event_loop()
        due = loop.time() + self._delay + offset
        loop.call_at(due, self._hand_on, due)

    def _hand_on(self, due: float) -> None:
        self.late = asyncio.get_event_loop().time() - due
        self._take(self._held.popleft())


class Connection(asyncio.Protocol):
    """One connection: TLS in memory, so that bytes can be counted and held back."""

    counters = {"connections": 0, "bytes": 0}
    query = _answer("200 OK", _QUERY)
    init = _answer("200 OK", _INIT)
    refusal = _answer("400 Bad Request", {})

    def __init__(self, context: ssl.SSLContext, round_trip: float) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self._request = b""
        self._tcp_handshake = round_trip
        self._inward = Pipe(self._arrive, round_trip / 2)
        self._outward = Pipe(self._leave, round_trip / 2)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.counters["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self.counters["bytes"] += len(data)
        offset, self._tcp_handshake = self._tcp_handshake, 0.0
        self._inward.put(data, offset)

    def _leave(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _arrive(self, data: bytes) -> None:
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
            # A timer of ours that came late is no part of the network.
            self._outward.put(self._outgoing.read(), -self._inward.late)

    def _serve(self) -> None:
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


def serve(certificate: str, strangers: str, round_trip: float) -> None:
    # Not epoll, whose time-outs are whole milliseconds here.
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
    print(json.dumps(addresses), flush=True)
    threading.Thread(target=_tell, args=(loop,), daemon=True).start()
    loop.run_forever()


def _tell(loop: asyncio.AbstractEventLoop) -> None:
    for _ in sys.stdin:
        print(json.dumps(Connection.counters), flush=True)
    loop.call_soon_threadsafe(loop.stop)


class Server:
    """Starts the server with certificates of its own in ``folder``; ``bundle`` trusts them."""

    def __init__(self, folder: Path, round_trip_ms: float) -> None:
        import trustme

        self.bundle = str(folder / "ca.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.bundle)
        command: List[str] = [sys.executable, str(Path(__file__).resolve())]
        for name, issuer in (("server.pem", authority), ("stranger.pem", trustme.CA())):
            issued = issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
            issued.write_to_path(str(folder / name))
            command.append(str(folder / name))
        self._process = subprocess.Popen(
            command + [str(round_trip_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        #: name -> host:port
        self.addresses: Dict[str, str] = json.loads(self._out.readline())

    def counters(self) -> Dict[str, int]:
        """Return ``connections`` and ``bytes`` since the start."""
        self._in.write("\n")
        self._in.flush()
        counters: Dict[str, int] = json.loads(self._out.readline())
        return counters

    def close(self) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
