"""Time the encryption of a name and an 18-character number by facecert and by stock gmssl.

    python tests/bench/sm2.py [--rounds N] [--json FILE]

All figures are medians in milliseconds for both texts together.
"""

import argparse
import hashlib
import platform
import subprocess
import sys
import time
from pathlib import Path

from figures import median, write

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from gmssl.sm2 import CryptSM2  # noqa: E402

from facecert.crypto import sm2  # noqa: E402

TEXTS = ["张三丰", "33010319900101129X"]

#: The program of a fresh process: it prints the milliseconds of the first two calls.
FIRST_CALLS = """
import time
from facecert.crypto import sm2
begin = time.perf_counter()
for text in {texts!a}:
    sm2.encrypt(text)
print((time.perf_counter() - begin) * 1000)
"""


def timed(encrypt):
    begin = time.perf_counter()
    for text in TEXTS:
        encrypt(text)
    return (time.perf_counter() - begin) * 1000


def first_calls():
    command = [sys.executable, "-c", FIRST_CALLS.format(texts=TEXTS)]
    return float(subprocess.check_output(command, cwd=str(ROOT)))


def measure(rounds):
    key = sm2.PublicKey.parse(sm2.PUBLISHED_KEY)
    stock = CryptSM2(private_key="", public_key="%064x%064x" % key, mode=0)
    stock_times, our_times = [], []
    sm2.encrypt("x")
    for _ in range(rounds):  # interleaved, so that a busy machine slows both
        stock_times.append(timed(lambda text: stock.encrypt(text.encode("utf-8"))))
        our_times.append(timed(sm2.encrypt))
    return {
        "python": platform.python_version(),
        "sm3": "OpenSSL" if "sm3" in hashlib.algorithms_available else "gmssl",
        "rounds": rounds,
        "stock_gmssl_ms": median(stock_times),
        "facecert_warm_ms": median(our_times),
        "ratio": median(stock_times) / median(our_times),
        "facecert_first_ms": median(first_calls() for _ in range(5)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="how often to measure (50)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    figures = measure(options.rounds)
    print("Python %(python)s, SM3 from %(sm3)s, %(rounds)d rounds" % figures)
    print("stock gmssl                     %(stock_gmssl_ms)8.2f ms" % figures)
    print("facecert                        %(facecert_warm_ms)8.2f ms" % figures)
    print("facecert, in a fresh process    %(facecert_first_ms)8.2f ms" % figures)
    print("facecert is faster by a factor of %(ratio).1f" % figures)
    write(options.json, figures)


if __name__ == "__main__":
    main()
