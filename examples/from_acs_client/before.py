"""The script as it was: an AcsClient and the official sample's request. See README.rst."""

import json
import os
import sys
import uuid

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient

try:
    from aliyunsdksaf.request.v20190521.ExecuteRequestRequest import ExecuteRequestRequest
except ImportError:  # saf 1.0.0
    from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest

SCENE_ID = os.environ["FACECERT_SCENE_ID"]
ENDPOINT = os.environ.get("FACECERT_ENDPOINT", "https://saf.cn-shanghai.aliyuncs.com")

acs_client = AcsClient(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    "cn-shanghai",
)  # fmt: skip


def execute(**parameters):
    request = ExecuteRequestRequest()
    request.set_accept_format("json")
    request.set_version("2017-03-31")
    request.set_Service("fin_face_verify")
    request.set_ServiceParameters(json.dumps(parameters))
    protocol, _, host = ENDPOINT.partition("://")
    request.set_protocol_type(protocol)
    request.set_endpoint(host)
    answer = json.loads(acs_client.do_action_with_exception(request).decode("utf-8"))
    if int(answer["Code"]) != 200:
        raise RuntimeError("Code %s: %s" % (answer["Code"], answer["Message"]))
    return answer["Data"]


def main():
    data = execute(
        method="init", sceneId=SCENE_ID, outerOrderNo=uuid.uuid4().hex, bizCode="FACE",
        identityType="CERT_INFO", certType="IDENTITY_CARD", certName=input("Name: "),
        certNo=input("Number: "), returnUrl="",
    )  # fmt: skip
    print("\n%s\n%s" % (data["certifyId"], data["certifyUrl"]))
    input("Press Enter when the person is done. ")
    data = execute(method="query", sceneId=SCENE_ID, certifyId=data["certifyId"])
    print("\npassed: %s" % (data["passed"] == "T"))


try:
    main()
except (ServerException, ClientException) as error:
    sys.exit("%s: %s" % (error.get_error_code(), error.get_error_msg()))
except RuntimeError as error:
    sys.exit(str(error))
