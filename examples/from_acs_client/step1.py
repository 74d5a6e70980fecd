"""Step 1: facecert makes the request and reads the response. The app's AcsClient sends it."""

import os
import sys

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient

import facecert

SCENE_ID = os.environ["FACECERT_SCENE_ID"]
ENDPOINT = os.environ.get("FACECERT_ENDPOINT", "https://saf.cn-shanghai.aliyuncs.com")

acs_client = AcsClient(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    "cn-shanghai",
)  # fmt: skip


def send(request):
    protocol, _, host = ENDPOINT.partition("://")
    request.set_protocol_type(protocol)
    request.set_endpoint(host)
    return acs_client.do_action_with_exception(request)


def main():
    request = facecert.init_request(
        cert_name=input("Name: "), cert_no=input("Number: "), scene_id=SCENE_ID
    )
    opened = facecert.read_init(send(request), request)
    print("\n%s\n%s" % (opened.certify_id, opened.certify_url))
    input("Press Enter when the person is done. ")
    request = facecert.query_request(opened.certify_id, scene_id=SCENE_ID)
    print("\npassed: %s" % facecert.read_query(send(request), request).passed)


try:
    main()
except (ServerException, ClientException) as error:
    sys.exit(error.get_error_code())  # without its message, which may repeat the request
except facecert.FacecertError as error:
    sys.exit(str(error))
