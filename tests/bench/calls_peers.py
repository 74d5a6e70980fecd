"""Who is measured by calls.py and cold.py. Each peer runs in a process and interpreter of its own.

``calls_peers.py PEER BUNDLE`` takes one line of JSON on standard input for each turn,
``{"address": "host:port", "calls": 40, "threads": 1}``, and answers each with the seconds that one
call took. ``calls_peers.py PEER BUNDLE ADDRESS`` makes one call and says so.

Nothing is imported here that a peer does not need, since cold.py measures that too.
"""

import json
import os
import sys
import time
from typing import Any, Callable, Dict, List

CERTIFY_ID = "7b3c1f0e5d9a48c2b6e4f1a0938d7c56"
SCENE_ID = "1000000006"
#: As long as a real one.
KEY = ("benchmark-access-key-id", "benchmark-access-key-secret-30")
PARAMETERS = json.dumps({"method": "query", "certifyId": CERTIFY_ID, "sceneId": SCENE_ID})

Call = Callable[[], None]


def _acs(address: str, bundle: str, *, kept: bool) -> Call:
    """The documented sample, from the import to do_action_with_exception.

    The address is set on the request, which spares AcsClient the look-up of its endpoint.
    """
    from aliyunsdkcore.client import AcsClient

    try:
        from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest
    except ImportError:
        from aliyunsdksaf.request.v20190521.ExecuteRequestRequest import ExecuteRequestRequest

    os.environ["ALIBABA_CLOUD_CA_BUNDLE"] = bundle
    # Ten connections are kept by default: the sixteen threads would open new ones all the time.
    options = {"pool_size": 16} if "pool_size" in AcsClient.__init__.__code__.co_varnames else {}
    client = AcsClient(KEY[0], KEY[1], "cn-shanghai", **options) if kept else None

    def call() -> None:
        doing = client or AcsClient(KEY[0], KEY[1], "cn-shanghai")
        request = ExecuteRequestRequest()
        request.set_version("2017-03-31")
        request.set_endpoint(address)
        request.set_Service("fin_face_verify")
        request.set_ServiceParameters(PARAMETERS)
        assert b'"passed": "T"' in doing.do_action_with_exception(request)

    return call


def sample(address: str, bundle: str) -> Call:
    return _acs(address, bundle, kept=False)


def acs_kept(address: str, bundle: str) -> Call:
    return _acs(address, bundle, kept=True)


def tea(address: str, bundle: str) -> Call:
    from alibabacloud_saf20170331.client import Client
    from alibabacloud_saf20170331.models import ExecuteRequestRequest
    from alibabacloud_tea_openapi.models import Config

    client = Client(
        Config(
            access_key_id=KEY[0],
            access_key_secret=KEY[1],
            region_id="cn-shanghai",
            endpoint=address,
            ca=bundle,
        )
    )

    def call() -> None:
        request = ExecuteRequestRequest(
            service="fin_face_verify", service_parameters=PARAMETERS
        )
        assert client.execute_request(request).body.code == 200

    return call


def _facecert(address: str, bundle: str, **options: Any) -> Any:
    os.environ["ALIBABA_CLOUD_CA_BUNDLE"] = bundle
    import facecert

    return facecert.Client(SCENE_ID, endpoint="https://" + address, **options)


def query(address: str, bundle: str) -> Call:
    client = _facecert(address, bundle, credentials=KEY)

    def call() -> None:
        assert client.query(CERTIFY_ID).passed

    return call


def query_by_chain(address: str, bundle: str) -> Call:
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"] = KEY[0]
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = KEY[1]
    client = _facecert(address, bundle)

    def call() -> None:
        assert client.query(CERTIFY_ID).passed

    return call


def encrypted_init(address: str, bundle: str) -> Call:
    client = _facecert(address, bundle, credentials=KEY, encrypt=True)

    def call() -> None:
        opened = client.init(cert_name="张三丰", cert_no="33010319900101123X")
        assert opened.certify_id == CERTIFY_ID

    return call


def floor(address: str, bundle: str) -> Call:
    """A request that is signed once; the server does not mind the nonce."""
    import urllib3

    from facecert.transport.credentials import Snapshot
    from facecert.transport.gateway import sign

    body = sign(PARAMETERS, Snapshot(*KEY))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    pool = urllib3.PoolManager(ca_certs=bundle, maxsize=16)
    url = "https://%s/" % address

    def call() -> None:
        answer = pool.request("POST", url, body=body, headers=headers, retries=False)
        assert b'"passed": "T"' in answer.data

    return call


MAKERS: Dict[str, Callable[[str, str], Call]] = {
    "a": sample,
    "b": acs_kept,
    "c": acs_kept,
    "d": tea,
    "e": query,
    "f": encrypted_init,
    "g": floor,
    "h": query_by_chain,
}


def run(call: Call, calls: int, threads: int) -> Dict[str, float]:
    """Make calls, equally spread over the threads; return seconds for one of them.

    With one thread ``wall`` is the median call, since other processes want the machine too.
    """
    times: List[float] = []

    def some(number: int) -> None:
        for _ in range(number):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)

    begin, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        some(calls)
        wall = sorted(times)[calls // 2]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, [calls // threads] * threads))
        wall = (time.perf_counter() - begin) / calls
    return {"wall": wall, "cpu": (time.process_time() - cpu) / calls}


def obey(peer: str, bundle: str) -> None:
    """Do what standard input says until it ends. A failed call is an answer too."""
    answers, sys.stdout = sys.stdout, sys.stderr  # peers may print
    made: Dict[str, Call] = {}
    for line in sys.stdin:
        order = json.loads(line)
        address = order["address"]
        try:
            if address not in made:
                made[address] = MAKERS[peer](address, bundle)
            answer: Dict[str, Any] = run(made[address], order["calls"], order["threads"])
        except Exception as error:
            answer = {"error": "%s: %s" % (type(error).__name__, str(error)[:3000])}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # Behind what is installed for everything else, so that nothing of this folder hides it.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if len(sys.argv) == 4:
        MAKERS[sys.argv[1]](sys.argv[3], sys.argv[2])()
        print("answered", flush=True)
    else:
        obey(sys.argv[1], sys.argv[2])
