"""The program under test. It reads its settings from the environment."""

import time

import facecert


def start(name, number):
    """Open a verification; return its certify_id."""
    return facecert.init(cert_name=name, cert_no=number).certify_id


def wait_until_passed(certify_id, seconds=20):
    """Query until the person has passed; return False when that takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if facecert.query(certify_id).passed:
            return True
        time.sleep(0.2)
    return False


if __name__ == "__main__":
    passed = wait_until_passed(start("张三", "330103199001011230"))
    print("passed" if passed else "not passed")
