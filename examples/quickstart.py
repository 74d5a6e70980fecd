"""Open a verification, have it done, ask how it went. Needs Flask beside facecert."""

import facecert
from facecert.sandbox import Sandbox

with Sandbox() as sandbox:  # stands in for Alibaba Cloud on this machine
    client = facecert.Client(
        sandbox.scene_id,
        endpoint=sandbox.endpoint,
        credentials=(sandbox.access_key_id, sandbox.access_key_secret),
    )  # for Alibaba Cloud: facecert.Client("<your scene id>"), and the AccessKey in the environment

    opened = client.init(cert_name="张三", cert_no="330103199001011230", return_url="")
    print("Keep this id:", opened.certify_id)
    print("Send the person to:", opened.certify_url)

    sandbox.complete(opened.certify_id, passed=True)  # what the person does in Alipay

    answer = client.query(opened.certify_id)
    print("Passed:", answer.passed)
    assert answer.passed
