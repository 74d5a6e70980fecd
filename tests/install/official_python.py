"""The documented Python sample, for every line of JSON on standard input: one call.

The sample as printed is the one of aliyun-python-sdk-saf 1.0.0. Later releases have another class,
whose Version and method are set here.
"""

import json
import os
import sys

from alibabacloud_credentials.client import Client as CredentialsClient
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient

try:
    from aliyunsdksaf.request.v20170331 import ExecuteRequestRequest
except ImportError:
    from aliyunsdksaf.request.v20190521 import ExecuteRequestRequest


def execute(call):
    """Return the service's answer, or the gateway's refusal as the SDK understands it."""
    credentials = CredentialsClient()
    client = AcsClient(
        credentials.get_access_key_id(), call["secret"] or credentials.get_access_key_secret(),
        "cn-shanghai",
    )  # fmt: skip
    request = ExecuteRequestRequest.ExecuteRequestRequest()
    request.set_accept_format("JSON")
    if request.get_version() != "2017-03-31" or request.get_method() != call["http"]:
        request.set_version("2017-03-31")
        request.set_method(call["http"])
    protocol, _, host = os.environ["FACECERT_ENDPOINT"].partition("://")
    request.set_protocol_type(protocol)
    request.set_endpoint(host)
    request.set_Service("fin_face_verify")
    request.set_ServiceParameters(json.dumps(call["fields"]))
    try:
        answer = json.loads(client.do_action_with_exception(request).decode("utf-8"))
    except ServerException as error:
        return error.get_error_code(), error.get_error_msg(), error.get_request_id(), None
    return answer["Code"], answer["Message"], answer["RequestId"], answer.get("Data")


for line in sys.stdin:
    print(json.dumps(execute(json.loads(line))), flush=True)
