"""A signed ExecuteRequest, made by the official request class and the official signer.

The only module that imports ``aliyunsdkcore`` and ``aliyunsdksaf``. The SDK's own client is not
used: it puts personal data into log records and exception texts, opens a connection for every
call, drops the causes of failures, and lets the environment's keys win.
"""

import copy
import logging
import os
import random
import time
import warnings
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Callable, ContextManager, Iterator, TypeVar
from urllib.parse import urlencode

from . import answers, retry
from .credentials import Credentials, Snapshot
from ..errors import DependencyError, FacecertError
from ..params import ServiceParameters
from ..results import Answer
from .http import Wire
from .retry import Pace

try:
    with warnings.catch_warnings():
        # core-v3 warns of its own age; an app that makes errors of warnings must start too.
        warnings.simplefilter("ignore")
        from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
        from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
        from aliyunsdkcore.auth.signers.sts_token_signer import StsTokenSigner
        from aliyunsdkcore.request import RpcRequest  # noqa: F401
except Exception as error:
    raise DependencyError(
        "aliyunsdkcore on disk cannot be imported (%s): it is missing, or the files of"
        " aliyun-python-sdk-core and aliyun-python-sdk-core-v3 are mixed, or core-v3 meets Python"
        " 3.12 or later. Repair it with: python -m pip install --force-reinstall --no-deps"
        " aliyun-python-sdk-core" % type(error).__name__
    ) from error

try:
    try:
        # saf 1.0.0 has this one alone, later releases the other one alone.
        from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest
    except ImportError:
        from aliyunsdksaf.request.v20190521.ExecuteRequestRequest import ExecuteRequestRequest
except ImportError as error:
    raise DependencyError(
        "aliyunsdksaf cannot be imported. Repair it with: python -m pip install --force-reinstall"
        " --no-deps aliyun-python-sdk-saf"
    ) from error

SERVICE = "fin_face_verify"
VERSION = "2017-03-31"
REGION_ID = "cn-shanghai"

_log = logging.getLogger("facecert")

Result = TypeVar("Result")


class Gateway:
    """Makes calls: signs each attempt anew, sends it, reads the answer, and tries again if it may.

    Args:
        attempts: how often a call is sent at the most.
    """

    def __init__(self, wire: Wire, credentials: Credentials, attempts: int) -> None:
        self.wire = wire
        self._credentials = credentials
        self._attempts = attempts
        self._now = _utc_now
        self._sleep: Callable[[float], None] = time.sleep
        self._jitter = random.SystemRandom().random
        #: Entered for every attempt, retries too.
        self._turn: Callable[[], ContextManager[None]] = _at_once

    def paced(self, pace: Pace) -> "Gateway":
        """Return one with the same connections and credentials that keeps to a pace."""
        twin = copy.copy(self)
        twin._turn, twin._sleep = pace.turn, pace.sleep
        return twin

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return self._now()

    def call(
        self, parameters: ServiceParameters, read: Callable[[Answer, datetime], Result]
    ) -> Result:
        """Return what ``read`` makes of the answer and of the moment when it was asked for.

        Raises:
            FacecertError: the last attempt's failure.
        """

        def attempt() -> Result:
            try:
                # Signed when it is its turn: timestamp and STS token grow old while it waits.
                with self._turn():
                    snapshot = self._credentials.snapshot()
                    sent_at = self._now()
                    reply = self.wire.post(sign(parameters.json, snapshot))
                private = parameters.private + snapshot.private
                return read(answers.read(reply, private), sent_at)
            except FacecertError as error:
                error.outer_order_no = parameters.outer_order_no
                _log.debug("%s failed: %s", repr(parameters), str(error))
                raise

        return retry.call(
            attempt,
            repeatable=parameters.repeatable,
            attempts=self._attempts,
            sleep=self._sleep,
            jitter=self._jitter,
        )


def sign(service_parameters: str, snapshot: Snapshot) -> bytes:
    """Return the form with every parameter of one request, signed by the SDK's own signer.

    The SDK would leave the common ones in the URL. A signature covers them wherever they travel,
    so all go into the body (as the official Node.js SDK does), and no log of URLs holds a token.
    """
    request = ExecuteRequestRequest()
    request.set_version(VERSION)
    request.set_method("POST")
    request.set_accept_format("JSON")
    request.add_body_params("Service", SERVICE)
    request.add_body_params("ServiceParameters", service_parameters)
    # The SDK's own nonce is made of time, thread and `random`, which forked processes may share.
    request.add_body_params("SignatureNonce", os.urandom(16).hex())
    _, url = _signer(snapshot).sign(REGION_ID, request)
    common = url.partition("?")[2].split("&")
    # It left its own nonce in the URL, and signed ours.
    pairs = [pair for pair in common if not pair.startswith("SignatureNonce=")]
    return "&".join(pairs + [urlencode(request.get_body_params())]).encode("ascii")


def _signer(snapshot: Snapshot) -> Any:
    key = (snapshot.access_key_id, snapshot.access_key_secret)
    if snapshot.security_token:
        return StsTokenSigner(StsTokenCredential(*key, snapshot.security_token))
    return AccessKeySigner(AccessKeyCredential(*key))


@contextmanager
def _at_once() -> Iterator[None]:
    yield


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)
