"""A signed ExecuteRequest, made by the official request class and the official signer.

The only module that imports ``aliyunsdkcore`` and ``aliyunsdksaf``. The SDK's own client is not
used: it puts personal data into log records and exception texts, opens a connection for every
call, drops the causes of failures, and prefers the environment's keys.
"""

import copy
import logging
import os
import random
import time
import warnings
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any, Callable, ContextManager, Tuple
from urllib.parse import urlencode

from ..errors import DependencyError, FacecertError, unimportable
from ..params import ServiceParameters
from ..redact import guarded
from . import answers, retry
from .credentials import Credentials, Snapshot
from .http import Form, Http
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
        # saf 1.0.0 has only this class, later releases have only the other one.
        from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest
    except ImportError:
        from aliyunsdksaf.request.v20190521.ExecuteRequestRequest import ExecuteRequestRequest
except ImportError as error:
    _install = "--force-reinstall --no-deps aliyun-python-sdk-saf"
    raise unimportable("aliyunsdksaf cannot be imported", _install, error) from error

SERVICE = "fin_face_verify"
VERSION = "2017-03-31"
REGION_ID = "cn-shanghai"

_log = logging.getLogger("facecert")


class Gateway:
    """Signs each attempt of a call anew, sends it, reads the response, and retries if allowed."""

    def __init__(self, http: Http, credentials: Credentials, attempts: int) -> None:
        self.http = http
        self._credentials = credentials
        self._attempts = attempts
        self.now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
        # ``time.sleep`` is looked up late, because gevent or eventlet may replace it.
        self._sleep: Callable[[float], None] = lambda seconds: time.sleep(seconds)
        self._jitter = random.SystemRandom().random
        #: Entered for every attempt, retries included; an ExitStack waits for nothing.
        self._turn: Callable[[], ContextManager[Any]] = ExitStack

    def paced(self, pace: Pace) -> "Gateway":
        """Return a gateway with the same connections and credentials that keeps to a pace."""
        twin = copy.copy(self)
        twin._turn, twin._sleep = pace.turn, pace.sleep
        return twin

    def sleep(self, seconds: float) -> None:
        """Wait between two calls; a pace may end the wait with ``Stopped``."""
        self._sleep(seconds)

    def call(self, parameters: ServiceParameters) -> Tuple[Any, datetime]:
        """Return the result of a call, and when its last attempt was sent."""

        def attempt() -> Tuple[Any, datetime]:
            try:
                return self._send(parameters)
            except FacecertError as error:
                error.add_evidence(outer_order_no=parameters.outer_order_no or None)
                _log.debug("%s failed: %s", repr(parameters), str(error))
                raise

        return retry.call(attempt, repeatable=parameters.repeatable, attempts=self._attempts,
                          sleep=self._sleep, jitter=self._jitter)

    @guarded
    def _send(self, parameters: ServiceParameters) -> Tuple[Any, datetime]:
        # Signed after the wait, because timestamp and STS token grow old meanwhile.
        with self._turn():
            snapshot = self._credentials.snapshot()
            sent_at = self.now()
            response = self.http.post(sign(parameters, snapshot))
        answer = answers.read(response, parameters.private + snapshot.private)
        return parameters.read(answer, sent_at), sent_at


def official_request(service_parameters: str) -> Any:
    """Return the official ``ExecuteRequestRequest`` for a POST with everything in the body."""
    request = ExecuteRequestRequest()
    request.set_version(VERSION)
    request.set_method("POST")
    request.set_accept_format("JSON")
    request.add_body_params("Service", SERVICE)
    request.add_body_params("ServiceParameters", service_parameters)
    return request


def sign(parameters: ServiceParameters, snapshot: Snapshot) -> Form:
    """Return the form with every parameter of one request, signed by the SDK's own signer.

    The SDK would leave the common parameters in the URL. A signature covers them wherever they
    are sent, so all go into the body (as the official Node.js SDK does), and no URL holds a token.
    """
    request = official_request(parameters.json)
    # The SDK's own nonce is made of time, thread and `random`, which forked processes may share.
    request.add_body_params("SignatureNonce", os.urandom(16).hex())
    try:
        _, url = _signer(snapshot).sign(REGION_ID, request)
    except ValueError as error:
        raise DependencyError(
            "This host refuses MD5 (FIPS mode), and aliyunsdkcore makes a nonce with it for every"
            " request, though facecert sends its own. Nothing was sent. Allow MD5 for this process,"
            " or send from another host."
        ) from error
    common = url.partition("?")[2].split("&")
    # The signer left the SDK's nonce in the URL, but signed the one in the body.
    pairs = [pair for pair in common if not pair.startswith("SignatureNonce=")]
    return Form("&".join(pairs + [urlencode(request.get_body_params())]).encode("ascii"))


def _signer(snapshot: Snapshot) -> Any:
    key = (snapshot.access_key_id, snapshot.access_key_secret)
    if snapshot.security_token:
        return StsTokenSigner(StsTokenCredential(*key, snapshot.security_token))
    return AccessKeySigner(AccessKeyCredential(*key))
