"""A customer's data encrypted at registration, sent later; a picture decrypted. Needs no account.

    python examples/encryption/encryption.py
"""

import facecert
from facecert.crypto import PictureKey
from facecert.sandbox import Sandbox


def register(name, number, public_key=None):
    """Return what the database stores: two ciphertexts, as ordinary texts."""
    return {
        "name": str(facecert.encrypt(name.strip(), public_key)),
        "number": str(facecert.encrypt(number.strip().upper(), public_key)),
    }


def verify(client, row):
    """Open a verification with the stored ciphertexts, which are not encrypted again."""
    return client.init(
        cert_name=facecert.Ciphertext(row["name"]), cert_no=facecert.Ciphertext(row["number"])
    )


def picture_of(client, certify_id, rsa_public_key=None):
    """Query with an encToken, and decrypt the picture in the response."""
    key = PictureKey.generate(rsa_public_key)
    result = client.query(certify_id, enc_token=key.enc_token)
    # The sandbox's own field. The service documents neither the field nor the mode of AES.
    return key.decrypt(result.material_info)


def main():
    with Sandbox() as sandbox, sandbox.client(encrypt=True) as client:
        # The sandbox has keys of its own. The service's SM2 key is facecert's default.
        row = register("张三", "330103199001011230", sandbox.sm2_public_key)
        print("stored:   %d and %d characters" % (len(row["name"]), len(row["number"])))
        opened = verify(client, row)
        sent = sandbox.requests[-1].service_parameters
        print("sent:     encryptType=%s" % sent["encryptType"])
        sandbox.complete(opened.certify_id)
        picture = picture_of(client, opened.certify_id, sandbox.picture_public_key)
        print("picture:  %d bytes, a PNG: %s" % (len(picture), picture.startswith(b"\x89PNG")))
        assert sent["certName"] == row["name"] and picture.startswith(b"\x89PNG")


if __name__ == "__main__":
    main()
