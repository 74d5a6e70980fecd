"""Run official clients against the sandbox, and compare what each side says of every call.

    python tests/install/official_clients.py --old PYTHON [--new PYTHON]

The clients: the documented Python sample on its own old packages (they need Python 3.11 or
earlier) and on the newest ones, the generated Tea client, and the Node.js SDK from npm. Each opens
a verification, queries it, has a wrong secret, is throttled, and sends a field that is not valid,
with GET and with POST. Code, message and request id must be those that the sandbox sent, every
call must reach the sandbox once, and every ``init`` opens one verification.

Needs pip's and npm's registries, ``node`` and ``npm``. Prints the versions.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from environments import Environment, clean_environment, run
from pins import HERE

from facecert.sandbox import Sandbox

OLD = ["aliyun-python-sdk-saf==1.0.0", "aliyun-python-sdk-core-v3==2.13.33",
       "alibabacloud-credentials==0.3.2"]  # fmt: skip
NEW = ["aliyun-python-sdk-saf", "aliyun-python-sdk-core", "alibabacloud-credentials",
       "alibabacloud-saf20170331"]  # fmt: skip

#: What an SDK makes of a code. The Python SDK compares the string to sign in Message with its own.
REWRITTEN = {"SignatureDoesNotMatch": ("SignatureDoesNotMatch", "InvalidAccessKeySecret")}


class Client(NamedTuple):
    """An official client: its command, and the HTTP methods that it can send."""

    name: str
    command: List[str]
    versions: str
    methods: Tuple[str, ...] = ("GET", "POST")
    data_as_text: bool = False


class Caller:
    """A client's program and its sandbox."""

    def __init__(self, client: Client, sandbox: Sandbox, folder: Path) -> None:
        self.client, self.sandbox = client, sandbox
        #: What the sandbox sent, newest last.
        self.sent: List[Dict[str, Any]] = []
        answer = sandbox._exchange.answer

        def noted(*arguments: Any) -> Any:
            response = answer(*arguments)
            self.sent.append(json.loads(response.text))
            return response

        sandbox._exchange.answer = noted  # type: ignore[method-assign]
        environment = dict(clean_environment(), **sandbox.environment)
        environment["NODE_PATH"] = str(folder / "node" / "node_modules")
        self.process = subprocess.Popen(
            client.command, env=environment, cwd=str(folder), universal_newlines=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def call(self, http: str, fields: Dict[str, str], expected: Any, secret: str = "") -> Any:
        """Make one call; return Data. SystemExit when the two sides tell different things."""
        assert self.process.stdin and self.process.stdout
        before = len(self.sandbox.requests)
        order = {"http": http, "fields": fields, "secret": secret}
        self.process.stdin.write(json.dumps(order) + "\n")
        line = self.process.stdout.readline()
        received = self.sandbox.requests[before:]
        name = "%s, %s %s" % (self.client.name, http, fields["method"])
        require(line, "%s: the program ended" % name)
        code, message, request_id, data = json.loads(line)
        sent = self.sent[-1]
        told = "%s: code %s, request id %s: %s" % (name, code, request_id, message)
        require(len(received) == 1, "%s: received %d times" % (name, len(received)))
        require(received[0].method == http, "%s: received %s" % (name, received[0].method))
        require(received[0].service_parameters == fields, "%s: other fields" % name)
        require(sent["Code"] == expected, "%s: the sandbox sent %s" % (name, sent["Code"]))
        codes = REWRITTEN.get(expected, (expected,))
        require(code in codes, told)
        require(request_id == sent["RequestId"], told)
        # A client that rewrites the code rewrites the message as well.
        require(code != expected or message == sent["Message"], told)
        return data


def require(true: Any, words: str) -> None:
    """Exit unless something is true."""
    if not true:
        sys.exit("FAILED: " + words)


def fields_of(sandbox: Sandbox, order: str, **changes: str) -> Dict[str, str]:
    """Return the fields of an init."""
    fields = {
        "method": "init", "sceneId": sandbox.scene_id, "outerOrderNo": order, "bizCode": "FACE",
        "identityType": "CERT_INFO", "certType": "IDENTITY_CARD", "certName": "张三 *~'()!&=+%/",
        "certNo": "330103199001011230", "returnUrl": "",
    }  # fmt: skip
    return dict(fields, **changes)


def judge(client: Client, folder: Path) -> str:
    """Make every call with one client; return a line that says so."""
    with Sandbox(data_as_text=client.data_as_text) as sandbox:
        caller = Caller(client, sandbox, folder)
        with caller.process:
            for http in client.methods:
                opened = caller.call(http, fields_of(sandbox, http + "1"), 200)
                query = {"method": "query", "sceneId": sandbox.scene_id}
                query["certifyId"] = opened["certifyId"]
                for passed in ("F", "T"):
                    require(caller.call(http, query, 200)["passed"] == passed, "another result")
                    if passed == "F":
                        sandbox.complete(opened["certifyId"])
                init = fields_of(sandbox, http + "2")
                caller.call(http, init, "SignatureDoesNotMatch", secret="wrong")
                caller.call(http, query, "SignatureDoesNotMatch", secret="wrong")
                for fields in (init, query):
                    sandbox.fail("throttled")
                    caller.call(http, fields, "Throttling.User")
                caller.call(http, fields_of(sandbox, "no-order"), 400)
                # Refused calls opened nothing, so the order number is still new.
                caller.call(http, init, 200)
            caller.process.stdin.close()
        orders = sorted(one.outer_order_no for one in sandbox.verifications())
        wanted = sorted(http + number for http in client.methods for number in "12")
        require(orders == wanted, "%s: opened %s" % (client.name, orders))
        calls = len(sandbox.requests)
    words = "%s: %d calls with %s, each received once, %d verifications; %s"
    methods = " and ".join(client.methods)
    return words % (client.name, calls, methods, len(orders), client.versions)


def python_clients(name: str, python: str, packages: List[str], folder: Path) -> List[Client]:
    """Return the clients of a new environment with some packages."""
    environment = Environment(python, folder / name)
    environment.install(*packages)
    have = {key.lower().replace("_", "-"): it for key, it in environment.versions().items()}
    official = ("aliyun-", "alibabacloud-saf", "alibabacloud-tea", "alibabacloud-credentials")
    versions = ", ".join("%s %s" % it for it in sorted(have.items()) if it[0].startswith(official))
    command = [environment.python, "-W", "ignore", str(HERE / "official_python.py")]
    clients = [Client("Python sample, %s packages" % name, command, versions)]
    if "alibabacloud-saf20170331" in packages:
        command = [environment.python, "-W", "ignore", str(HERE / "official_tea.py")]
        clients.append(Client("Tea client", command, versions, ("POST",), data_as_text=True))
    return clients


def node_clients(folder: Path) -> List[Client]:
    """Return the Node.js client, installed by npm."""
    (folder / "node").mkdir()
    options = ["--silent", "--no-audit", "--no-fund", "--prefix", str(folder / "node")]
    run(["npm", "install"] + options + ["@alicloud/pop-core"])
    package = folder / "node" / "node_modules" / "@alicloud" / "pop-core" / "package.json"
    version = json.loads(package.read_text(encoding="utf-8"))["version"]
    versions = "@alicloud/pop-core %s, node %s" % (version, run(["node", "--version"]).strip())
    return [Client("Node.js sample", ["node", str(HERE / "official_node.js")], versions)]


def installed(old: str, new: str, folder: Path) -> Iterator[Client]:
    """Install everything at once; yield the clients."""
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(node_clients, folder),
            pool.submit(python_clients, "newest", new, NEW, folder),
            pool.submit(python_clients, "old", old, OLD, folder),
        ]
        for job in jobs:
            yield from job.result()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--old", required=True, help="an interpreter for core-v3, at most 3.11")
    parser.add_argument("--new", default=sys.executable, help="one for the newest packages")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for client in installed(options.old, options.new, Path(temporary)):
            print(judge(client, Path(temporary)), flush=True)


if __name__ == "__main__":
    main()
