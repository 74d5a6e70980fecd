"""A customer and the service, for the worker of tasks.py: see README.rst."""

import time

import shop
import tasks

from facecert.ledger import Ledger
from facecert.sandbox import Sandbox


def wait_for(what, found):
    """Wait until ``found()`` is true, at most a minute."""
    deadline = time.monotonic() + 60
    while not found():
        if time.monotonic() > deadline:
            raise SystemExit("%s: nothing in a minute. Does the worker run?" % what)
        time.sleep(0.1)
    print(what)


def main():
    """Open a verification by a task, pass it, and have the worker settle it."""
    ledger = Ledger(tasks.os.environ["FACECERT_LEDGER"])
    with Sandbox(port=tasks.PORT) as sandbox:
        order = shop.create("张三", "330103199001011230")
        for _ in range(2):  # as a broker may deliver it
            tasks.open_verification.delay(order)
        wait_for("The worker has opened the verification.", lambda: shop.url(order))
        sandbox.complete(ledger.get(order).certify_id)
        tasks.app.send_task("facecert.settle")
        wait_for("The worker has settled it.", lambda: ledger.get(order).state == "passed")
        sent = [one.service_parameters.get("outerOrderNo") for one in sandbox.requests]
        assert sent.count(order) == 1
        print("Two deliveries sent one init.")
    ledger.close()


if __name__ == "__main__":
    main()
