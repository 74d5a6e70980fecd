"""Run a sandbox for programs of other environments.

Prints the sandbox's environment as one line of JSON, then runs until standard input is closed.
"""

import json
import sys

from facecert.sandbox import Sandbox

with Sandbox() as sandbox:
    print(json.dumps(sandbox.environment), flush=True)
    sys.stdin.read()
