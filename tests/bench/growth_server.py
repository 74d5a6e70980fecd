"""A server that responds to every query on one connection at once, without TLS.

It is a process of its own, so that its time and memory are not the client's. It ends with its
standard input.
"""

import json
import os
import socket
import sys
import threading

BODY = json.dumps(
    {
        "RequestId": "A1B2C3D4-0000-1111-2222-333344445555",
        "Message": "OK",
        "Code": 200,
        "Data": {"passed": "T", "identityInfo": "", "materialInfo": ""},
    }
).encode("ascii")
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    % len(BODY)
) + BODY


def end_with_input():
    sys.stdin.read()
    os._exit(0)


def is_complete(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= int(head.lower().split(b"content-length:")[1].split()[0])


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            return
        request += piece
        if is_complete(request):
            request = b""
            connection.sendall(RESPONSE)


def main():
    threading.Thread(target=end_with_input, daemon=True).start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            serve(connection)


if __name__ == "__main__":
    main()
