"""Servers and proxies that misbehave, for the tests of transport and doctor."""

import socket
import threading
import time


class Server:
    """Listens on a port of this machine and serves each connection in ``_serve``."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.endpoint = "http://127.0.0.1:%d" % self._listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._listener.close()


class RawServer(Server):
    """Gives each connection the next of the given answers, byte by byte as they are, and closes."""

    def __init__(self, *answers, context=None):
        super().__init__()
        self.received = []
        self._answers = list(answers)
        self._context = context
        if context:
            self.endpoint = self.endpoint.replace("http:", "https:")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        for answer in self._answers:
            connection, _ = self._listener.accept()
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                request = b""
                while b"\r\n\r\n" not in request or not request.endswith(b"a=1"):
                    part = connection.recv(65536)
                    if not part:
                        break
                    request += part
                self.received.append(request)
                try:
                    connection.sendall(answer)
                except OSError:
                    pass  # the client has enough of it


class CrowdServer(Server):
    """Serves each of its connections in a thread of its own, and counts them."""

    def __init__(self):
        super().__init__()
        self.connections = 0

    def _start(self):
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()


class SilentServer(CrowdServer):
    """Takes connections and sends ``begin``, then ``drip`` again and again, and never ends."""

    def __init__(self, begin, drip=b"", every=0.05, waits=True):
        super().__init__()
        self._begin, self._drip, self._every, self._waits = begin, drip, every, waits
        self._ended = threading.Event()
        self._start()

    def _serve(self, connection):
        with connection:
            try:
                if self._waits:
                    connection.recv(65536)
                connection.sendall(self._begin)
                while not self._ended.wait(self._every):
                    connection.sendall(self._drip)
            except OSError:
                pass  # the client has gone: it should

    def __exit__(self, *exc_info):
        self._ended.set()
        super().__exit__()


class DeadAddress(Server):
    """An address of this machine that never accepts: its queue of connections is full."""

    def __init__(self):
        super().__init__()
        self._listener.listen(0)
        address = self._listener.getsockname()
        self.info = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]
        self._waiting = []
        for _ in range(20):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(address)
            self._waiting.append(waiting)
        time.sleep(0.05)

    def __exit__(self, *exc_info):
        for waiting in self._waiting:
            waiting.close()
        super().__exit__()


class LateServer(CrowdServer):
    """Answers every request twice on its connection: at once, and 0.1 s later."""

    def __init__(self, early, late):
        super().__init__()
        self._early, self._late = early, late
        self._start()

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
            try:
                near.sendall(self._answer)
            except OSError:
                return  # the client has enough of it
            if self._answer != b"HTTP/1.1 200 OK\r\n\r\n":
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
