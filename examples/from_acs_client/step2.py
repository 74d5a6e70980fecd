"""Step 2: facecert sends the request, too. Its Client takes the credentials of the AcsClient."""

import os
import sys

from aliyunsdkcore.client import AcsClient

import facecert

acs_client = AcsClient(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    "cn-shanghai",
)  # fmt: skip
client = facecert.Client(
    os.environ["FACECERT_SCENE_ID"], credentials=acs_client,
    endpoint=os.environ.get("FACECERT_ENDPOINT"),
)  # fmt: skip


def main():
    opened = client.init(cert_name=input("Name: "), cert_no=input("Number: "))
    print("\n%s\n%s" % (opened.certify_id, opened.certify_url))
    input("Press Enter when the person is done. ")
    print("\npassed: %s" % client.query(opened.certify_id).passed)


try:
    main()
except facecert.FacecertError as error:
    sys.exit(str(error))
