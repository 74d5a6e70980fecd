"""Run a sandbox over TLS for programs of other environments.

Prints the sandbox's environment as one line of JSON, then runs until standard input is closed.
"""

import json
import os
import ssl
import sys
import tempfile

import trustme
from facecert.sandbox import Sandbox

authority = trustme.CA()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
with tempfile.TemporaryDirectory() as folder, Sandbox(ssl_context=context) as sandbox:
    bundle = os.path.join(folder, "ca.pem")
    authority.cert_pem.write_to_path(bundle)
    print(json.dumps(dict(sandbox.environment, ALIBABA_CLOUD_CA_BUNDLE=bundle)), flush=True)
    sys.stdin.read()
