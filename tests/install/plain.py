"""A script of an old app: init, the person passes, query; with SM2, and with a credentials file.

Its settings come from the environment.
"""

import os
import tempfile

import facecert
from person import answer

PERSON = {"cert_name": "张三", "cert_no": "330103199001011230"}
PROFILE = "[default]\ntype = access_key\naccess_key_id = %s\naccess_key_secret = %s\n"

opened = facecert.init(return_url="", **PERSON)
assert not facecert.query(opened.certify_id).passed
answer(opened.certify_url)
assert facecert.query(opened.certify_id).passed

opened = facecert.Client.from_environment().init(
    cert_name=facecert.encrypt(PERSON["cert_name"]), cert_no=facecert.encrypt(PERSON["cert_no"])
)
assert not facecert.query(opened.certify_id).passed

# The chain's next link: alibabacloud_credentials reads the profile below HOME.
key = [os.environ.pop("ALIBABA_CLOUD_ACCESS_KEY_" + name) for name in ("ID", "SECRET")]
with tempfile.TemporaryDirectory() as home:
    os.environ["HOME"] = home
    os.mkdir(os.path.join(home, ".alibabacloud"))
    with open(os.path.join(home, ".alibabacloud", "credentials.ini"), "w") as file:
        file.write(PROFILE % tuple(key))
    client = facecert.Client(
        os.environ["FACECERT_SCENE_ID"], endpoint=os.environ["FACECERT_ENDPOINT"]
    )
    assert not client.query(opened.certify_id).passed
print("plain: passed")
