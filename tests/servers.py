"""Servers and proxies that misbehave, for the tests of transport and doctor."""

import socket
import threading
import time


class RawServer:
    """Gives each connection the next of the given answers, byte by byte as they are, and closes."""

    def __init__(self, *answers):
        self.received = []
        self._answers = list(answers)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.endpoint = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request or not request.endswith(b"a=1"):
                    part = connection.recv(65536)
                    if not part:
                        break
                    request += part
                self.received.append(request)
                connection.sendall(answer)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._listener.close()


class LateServer:
    """Answers every request twice on its connection: at once, and 0.1 s later."""

    def __init__(self, early, late):
        self.connections = 0
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.endpoint = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._early, self._late = early, late
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            number = self.connections
            try:
                while connection.recv(65536):
                    connection.sendall(self._early)
                    time.sleep(0.1)
                    connection.sendall(self._late % number)
            except OSError:
                pass  # the client has gone: it should

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._listener.close()


class TunnelProxy:
    """A CONNECT proxy that leads every tunnel to one address."""

    def __init__(self, port, answer=b"HTTP/1.1 200 OK\r\n\r\n"):
        self.asked = []
        self._target = ("127.0.0.1", port)
        self._answer = answer
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._listener.accept()[0] as near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(65536)
            self.asked.append(head.decode("latin-1"))
            near.sendall(self._answer)
            if b" 200 " not in self._answer:
                return
            with socket.create_connection(self._target) as far:
                back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
                back.start()
                self._copy(near, far)
                back.join(5)

    @staticmethod
    def _copy(source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other direction has ended it

    def close(self):
        self._listener.close()
