"""The generated Tea client of Version 2017-03-31, for every line of JSON on standard input.

It sends POST only, and declares Data as a string.
"""

import json
import os
import sys

from alibabacloud_saf20170331.client import Client
from alibabacloud_saf20170331.models import ExecuteRequestRequest
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException


def execute(call):
    """Return the service's answer, or the gateway's refusal as the SDK understands it."""
    protocol, _, host = os.environ["FACECERT_ENDPOINT"].partition("://")
    client = Client(Config(
        access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=call["secret"] or os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        region_id="cn-shanghai", protocol=protocol, endpoint=host,
    ))  # fmt: skip
    request = ExecuteRequestRequest("fin_face_verify", json.dumps(call["fields"]))
    try:
        answer = client.execute_request(request).body
    except TeaException as error:
        message = error.message.partition(", ")[2].rpartition(" request id: ")
        return error.code, message[0], message[2], None
    return answer.code, answer.message, answer.request_id, answer.data and json.loads(answer.data)


for line in sys.stdin:
    print(json.dumps(execute(json.loads(line))), flush=True)
