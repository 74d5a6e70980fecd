"""The peers of calls.py and cold.py. Each runs in a process and an interpreter of its own.

``calls_peers.py PEER BUNDLE`` reads a line of JSON for each turn,
``{"address": "host:port", "calls": 40, "threads": 1}``, and prints the seconds of one call.
``calls_peers.py PEER BUNDLE ADDRESS`` makes one call, prints "answered", then the peak memory.

This module imports only what every peer needs, because cold.py measures its imports too.
"""

import json
import os
import sys
import time

CERTIFY_ID = "7b3c1f0e5d9a48c2b6e4f1a0938d7c56"
SCENE_ID = "1000000006"
#: As long as a real one.
KEY = ("benchmark-access-key-id", "benchmark-access-key-secret-30")
PARAMETERS = json.dumps({"method": "query", "certifyId": CERTIFY_ID, "sceneId": SCENE_ID})


def key_in_environment():
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"] = KEY[0]
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = KEY[1]


def official_request(address=None):
    """Return the query as the documentation has it, with what it needs to run: Version and POST.

    The address spares AcsClient the look-up of its endpoint.
    """
    try:
        from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest
    except ImportError:
        from aliyunsdksaf.request.v20190521.ExecuteRequestRequest import ExecuteRequestRequest

    request = ExecuteRequestRequest()
    request.set_version("2017-03-31")
    request.set_method("POST")
    if address:
        request.set_endpoint(address)
    request.set_Service("fin_face_verify")
    request.set_ServiceParameters(PARAMETERS)
    return request


def by_acs(address, bundle, make_client):
    """Return a call by the AcsClient that ``make_client`` returns for it."""
    os.environ["ALIBABA_CLOUD_CA_BUNDLE"] = bundle

    def call():
        response = make_client().do_action_with_exception(official_request(address))
        assert b'"passed": "T"' in response

    return call


def acs_client(key=KEY):
    from aliyunsdkcore.client import AcsClient

    # AcsClient keeps ten connections by default, too few for sixteen threads.
    options = {"pool_size": 16} if "pool_size" in AcsClient.__init__.__code__.co_varnames else {}
    return AcsClient(key[0], key[1], "cn-shanghai", **options)


def sample(address, bundle):
    return by_acs(address, bundle, acs_client)


def documented(address, bundle):
    """The sample as documented: the key is read from the environment by CredClient."""
    key_in_environment()

    def make_client():
        from alibabacloud_credentials.client import Client as CredClient

        credentials = CredClient()
        return acs_client((credentials.get_access_key_id(), credentials.get_access_key_secret()))

    return by_acs(address, bundle, make_client)


def acs_kept(address, bundle):
    client = acs_client()
    return by_acs(address, bundle, lambda: client)


def tea(address, bundle):
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

    def call():
        request = ExecuteRequestRequest(service="fin_face_verify", service_parameters=PARAMETERS)
        assert client.execute_request(request).body.code == 200

    return call


def facecert_client(address, bundle, **options):
    os.environ["ALIBABA_CLOUD_CA_BUNDLE"] = bundle
    import facecert

    return facecert.Client(SCENE_ID, endpoint="https://" + address, **options)


def query(address, bundle, key=KEY):
    client = facecert_client(address, bundle, credentials=key)

    def call():
        assert client.query(CERTIFY_ID).passed

    return call


def environment(address, bundle):
    key_in_environment()
    return query(address, bundle, None)


def encrypted_init(address, bundle):
    client = facecert_client(address, bundle, credentials=KEY, encrypt=True)

    def call():
        opened = client.init(cert_name="张三丰", cert_no="33010319900101129X")
        assert opened.certify_id == CERTIFY_ID

    return call


def floor(address, bundle):
    """Send a request that the official signer signed once; the server accepts a used nonce."""
    import urllib3
    from aliyunsdkcore.auth.credentials import AccessKeyCredential
    from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner

    _, url = AccessKeySigner(AccessKeyCredential(*KEY)).sign("cn-shanghai", official_request())
    body = url.partition("?")[2].encode("ascii")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    pool = urllib3.PoolManager(ca_certs=bundle, maxsize=16)

    def call():
        response = pool.request(
            "POST", "https://%s/" % address, body=body, headers=headers, retries=False
        )
        assert b'"passed": "T"' in response.data

    return call


MAKERS = {
    "sample": sample,
    "documented": documented,
    "acs": acs_kept,
    "acs-v3": acs_kept,
    "tea": tea,
    "query": query,
    "environment": environment,
    "init": encrypted_init,
    "urllib3": floor,
}


def run(call, calls, threads):
    """Make calls, equally spread over the threads; return the seconds of one of them.

    With one thread ``wall`` is the median call, because other processes use the machine too.
    """
    times = []

    def some(number):
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


def obey(peer, bundle):
    """Make the calls that standard input asks for. The answer to a failed call is its error."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the SDKs may print
    made = {}
    for line in sys.stdin:
        order = json.loads(line)
        address = order["address"]
        try:
            if address not in made:
                made[address] = MAKERS[peer](address, bundle)
            answer = run(made[address], order["calls"], order["threads"])
        except Exception as error:
            answer = {"error": "%s: %s" % (type(error).__name__, str(error)[:3000])}
        print(json.dumps(answer), file=answers, flush=True)


def peak():
    """Return the peak memory of this process in bytes, or None where there is no /proc.

    ``ru_maxrss`` would be too much: it begins with the memory of the parent process.
    """
    try:
        with open("/proc/self/status") as status:
            found = [line.split()[1] for line in status if line.startswith("VmHWM:")]
        return int(found[0]) * 1024
    except OSError:
        return None


if __name__ == "__main__":
    # Instead of this folder, whose modules must not hide installed ones: the project's root.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if len(sys.argv) == 4:
        MAKERS[sys.argv[1]](sys.argv[3], sys.argv[2])()
        print("answered", flush=True)
        print(json.dumps(peak()))
    else:
        obey(sys.argv[1], sys.argv[2])
