"""The standard credential chain, or what the caller passes instead, as one consistent snapshot.

The chain begins with the environment, which is read here: importing ``alibabacloud_credentials``
costs 200 ms and 18 MB in every worker. That package does every other link. Its generations differ:
1.x (and 0.3.6) return a whole credential, 0.3.2 has three getters, and a ``get_credential(config)``
that means something else.
"""

import configparser
import json
import logging
import os
import re
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, Optional, Sequence, Set

from ..errors import CredentialsError, FacecertError, InvalidParameter, unimportable
from ..redact import Private, empty_frames
from ..settings import check_form

ID, SECRET = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
TOKEN = "ALIBABA_CLOUD_SECURITY_TOKEN"

#: Loggers of the package and of its HTTP client that quote signed STS requests and their tokens.
_QUOTING_LOGGERS = (
    "alibabacloud-tea", "credentials", "urllib3.connection", "urllib3.connectionpool",
    "urllib3.util.retry",
)  # fmt: skip

#: Loggers that report every run of the job with which the package refreshes a RAM role's token.
_SCHEDULER_LOGGERS = ("apscheduler.scheduler", "apscheduler.executors.default")

#: Threads that are reading a source. A ``threading.local`` of before a late patch by gevent or
#: eventlet would be one for all greenlets.
_hushed_threads: Set[int] = set()

_CHAIN = (
    "it looked at %s, OIDC (ALIBABA_CLOUD_ROLE_ARN), ~/.aliyun/config.json, the ECS instance's RAM"
    " role, ~/.alibabacloud/credentials.ini and ALIBABA_CLOUD_CREDENTIALS_URI" % ID
)


class Snapshot:
    """AccessKey id, secret and STS token as they belong together at one moment.

    ``source`` is what ``alibabacloud_credentials`` calls the place they came from, if it says so.
    A part that is missing or malformed is a CredentialsError.
    """

    __slots__ = ("access_key_id", "private", "source")

    def __init__(
        self, access_key_id: str, access_key_secret: str, security_token: Optional[str] = None,
        source: Optional[str] = None,
        names: Sequence[str] = ("The AccessKey id", "The AccessKey secret", "The STS token")
    ) -> None:
        self.access_key_id = _printable(access_key_id, names[0])
        secret = _printable(access_key_secret, names[1])
        token = _printable(security_token, names[2]) if security_token else None
        if self.access_key_id.startswith("STS.") and token is None:
            words = "The AccessKey id is temporary (STS), and its token is missing: set %s." % TOKEN
            raise CredentialsError(words)
        #: The texts that must not be shown: the secret and perhaps the STS token.
        self.private = Private(secret, token)
        self.source = source

    @property
    def access_key_secret(self) -> str:
        return str(self.private.value[0])

    @property
    def security_token(self) -> Optional[str]:
        return next(iter(self.private.value[1:]), None)


class Credentials:
    """Reads the source anew for every attempt, so that rotating STS tokens work.

    The source is None for the standard chain, or anything that ``Client(credentials=…)`` takes.
    """

    def __init__(self, source: Any = None) -> None:
        self._chain = source is None
        self._read = None if self._chain else _reader(source)

    def snapshot(self) -> Snapshot:
        """Return the credentials that sign the next attempt, or raise CredentialsError."""
        snapshot = _from_environment() if self._chain else None
        if snapshot is not None:
            return snapshot
        try:
            with _hushed():
                if self._read is None:
                    self._read = _reader(_import_chain()())
                return self._read()
        except FacecertError:
            raise
        except Exception as error:
            # Messages of the chain may quote an STS request, whose URL is signed and has a token.
            empty_frames(error)
            reason = type(error).__name__
        text = "The credentials passed in could not be read (%s)."
        if self._chain:
            text = "The standard credential chain found no AccessKey, or could not reach it (%s): "
            text += ("; ".join(_faults()) or _CHAIN) + "."
        raise CredentialsError(text % reason)


def _from_environment() -> Optional[Snapshot]:
    """Return what the chain's first link finds; with a profile the package decides."""
    names = (ID, SECRET, TOKEN)
    key = [os.environ.get(name, "").strip() for name in names]
    profile = os.environ.get("ALIBABA_CLOUD_PROFILE", "").strip()
    if not all(key[:2]) or profile not in ("", "default"):
        return None
    return Snapshot(key[0], key[1], key[2], "environment variable %s" % ID, names)


def _faults() -> Iterator[str]:
    """Yield what keeps the standard chain from finding an AccessKey, in words."""
    there = [name for name in os.environ if os.environ[name].strip()]
    missing = [name for name in (ID, SECRET) if name not in there]
    present = [name for name in (ID, SECRET, TOKEN) if name in there]
    if missing and present:
        yield "%s is not set, but %s is" % (" and ".join(missing), " and ".join(present))
    for name in sorted(set(there) - {ID, SECRET}):
        if re.match("(ALIYUN|ALICLOUD|ALIBABACLOUD|ALIBABA_CLOUD)_(ACCESS|SECRET)", name):
            yield "%s is not read: set %s and %s" % (name, ID, SECRET)
    ini = os.environ.get("ALIBABA_CLOUD_CREDENTIALS_FILE") or "~/.alibabacloud/credentials.ini"
    config = configparser.ConfigParser()
    for path, read in (("~/.aliyun/config.json", json.loads), (ini, config.read_string)):
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                read(file.read())
            yield "%s has no usable profile: look for its name, its type or mode, its values" % path
        except (OSError, ValueError, configparser.Error) as error:  # the last two quote the file
            if path[0] != "~" or not isinstance(error, FileNotFoundError):
                yield "%s is malformed or cannot be read (%s)" % (path, type(error).__name__)


def _import_chain() -> Any:
    """Import the package's Client without what its import does to the process.

    The import opens two loggers and gives them handlers, one of which prints signed STS requests
    to stderr.
    """
    loggers = [logging.getLogger(name) for name in _QUOTING_LOGGERS[:2]]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    try:
        with warnings.catch_warnings():
            # Its dependencies warn of old Pythons; an app may make errors of warnings.
            warnings.simplefilter("ignore")
            from alibabacloud_credentials.client import Client
    except ImportError as error:
        what = "alibabacloud_credentials cannot be imported"
        raise unimportable(what, "--force-reinstall alibabacloud-credentials", error) from error
    finally:
        for logger, handlers, level in before:
            for handler in set(logger.handlers) - set(handlers):
                logger.removeHandler(handler)
            logger.setLevel(level)
    return Client


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop what this thread logs through the loggers that quote tokens, or of the scheduler."""
    for name in _QUOTING_LOGGERS + _SCHEDULER_LOGGERS:
        logging.getLogger(name).addFilter(_may_be_logged)
    thread = threading.get_ident()
    try:
        _hushed_threads.add(thread)
        yield
    finally:
        _hushed_threads.discard(thread)


def _may_be_logged(record: logging.LogRecord) -> bool:
    if threading.get_ident() in _hushed_threads:
        return False
    # The job runs every minute, in a thread of the scheduler. An app may have jobs of its own.
    routine = record.name in _SCHEDULER_LOGGERS and record.levelno <= logging.INFO
    return not (routine and "RamRoleCredentialsProvider" in str(record.args))


def _printable(value: Any, what: str) -> str:
    fault = "contains a blank or a character that is not ASCII" if value else "is missing"
    fault = "%s %s" % (what, fault)
    try:
        text = check_form(value, what) if isinstance(value, str) else ""
        if re.fullmatch("[!-~]+", text):
            return text
    except InvalidParameter as error:
        fault = str(error)
    raise CredentialsError(fault + ".")


def _reader(source: Any) -> Callable[[], Snapshot]:
    """Return the function that reads a source anew."""
    if isinstance(source, (tuple, list)) and len(source) in (2, 3):
        fixed = Snapshot(*source)
        return lambda: fixed
    import inspect

    with suppress(AttributeError, TypeError, ValueError):
        inspect.signature(source.get_credential).bind()
        return lambda: _whole(source.get_credential())
    if hasattr(source, "get_access_key_secret"):
        return lambda: _piecewise(source)
    signer = getattr(source, "_signer", None)
    if hasattr(signer, "sign"):
        return lambda: _by_signer(signer)
    raise CredentialsError(
        "credentials must be None, (id, secret[, token]), an alibabacloud_credentials Client, an"
        " AcsClient, or have get_credential()."
    )


def _whole(credential: Any) -> Snapshot:
    source = getattr(credential, "provider_name", None) or getattr(credential, "type", None)
    token = getattr(credential, "security_token", None)
    return Snapshot(credential.access_key_id, credential.access_key_secret, token, source)


def _piecewise(source: Any) -> Snapshot:
    """Read three getters again until no refresh came in between."""
    for _ in range(3):
        access_key_id = source.get_access_key_id()
        secret, token = source.get_access_key_secret(), source.get_security_token()
        if source.get_access_key_id() == access_key_id:
            inner = getattr(source, "cloud_credential", None)
            kind = getattr(inner, "credential_type", None)
            return Snapshot(access_key_id, secret, token, kind)
    raise CredentialsError("The credentials changed three times while they were read.")


class _SignedRequest:
    """Stands in for a request, to which an AcsClient's signer passes its credentials.

    The signers of AccessKeys, STS tokens and RAM roles store them in different places, and refresh
    them while they sign.
    """

    key = ("", "")
    token: Optional[str] = None

    def get_style(self) -> str:
        return "RPC"

    def add_query_param(self, name: str, value: str) -> None:
        self.token = value

    def get_url(self, region_id: str, access_key_id: str, secret: str) -> None:
        self.key = (access_key_id, secret)

    get_signed_header = get_url


def _by_signer(signer: Any) -> Snapshot:
    request = _SignedRequest()
    signer.sign("cn-shanghai", request)
    return Snapshot(*request.key, request.token, type(signer).__name__)
