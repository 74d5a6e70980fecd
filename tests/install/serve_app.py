"""Serve a WSGI app with wsgiref, each connection in a thread: ``MODULE:VARIABLE PORT``."""

import importlib
import socketserver
import sys
from wsgiref.simple_server import WSGIServer, make_server


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


module, _, variable = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), variable)
make_server("127.0.0.1", int(sys.argv[2]), app, Server).serve_forever()
