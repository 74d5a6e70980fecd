"""The standard credential chain, or what the caller gives instead, as one consistent snapshot.

The generations of ``alibabacloud_credentials`` differ: 1.x (and 0.3.6) hand out a whole credential,
0.3.2 has three getters, and a ``get_credential(config)`` that means something else.
"""

import logging
import re
import sys
import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

from ..errors import CredentialsError, FacecertError
from ..redact import forget_frames

#: Loggers that quote signed STS requests and their tokens when something fails.
_QUOTING_LOGGERS = (
    "alibabacloud-tea", "credentials", "urllib3.connection", "urllib3.connectionpool",
    "urllib3.util.retry",
)  # fmt: skip

_this_thread = threading.local()

_TRIED = (
    "looked at ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (with"
    " ALIBABA_CLOUD_SECURITY_TOKEN for STS), OIDC (ALIBABA_CLOUD_ROLE_ARN), the profiles in"
    " ~/.aliyun/config.json and ~/.alibabacloud/credentials.ini, the ECS instance's RAM role, and"
    " ALIBABA_CLOUD_CREDENTIALS_URI"
)


class Snapshot:
    """AccessKey id, secret and STS token as they belong together at one moment.

    ``source`` is what ``alibabacloud_credentials`` calls the place they came from, if it tells.
    """

    __slots__ = ("access_key_id", "access_key_secret", "security_token", "source")

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        security_token: Optional[str] = None,
        source: Optional[str] = None,
    ) -> None:
        self.access_key_id = _printable(access_key_id, "AccessKey id")
        self.access_key_secret = _printable(access_key_secret, "AccessKey secret")
        self.security_token = _printable(security_token, "STS token") if security_token else None
        self.source = source

    def __repr__(self) -> str:
        return "<Snapshot>"

    @property
    def private(self) -> Tuple[str, ...]:
        """What must not be shown anywhere."""
        return (self.access_key_secret, self.security_token or "")


class Credentials:
    """Asks the source anew for every attempt, so that rotating STS tokens simply work.

    Args:
        source: None for the standard chain; or an ``alibabacloud_credentials`` Client of either
            generation; or anything with ``get_credential()``; or ``(id, secret[, token])``.
    """

    def __init__(self, source: Any = None) -> None:
        self._chain = source is None
        fixed = isinstance(source, (tuple, list))
        self._fixed = _fixed(source) if fixed else None
        self._take = None if source is None or fixed else _reader(source)

    def __repr__(self) -> str:
        return "<Credentials>"

    def snapshot(self) -> Snapshot:
        """Return what to sign the next attempt with.

        Raises:
            CredentialsError: nothing usable was found, or the source failed.
            DependencyError: ``alibabacloud_credentials`` cannot be imported.
        """
        if self._fixed is not None:
            return self._fixed
        outer = sys.exc_info()[1]
        try:
            with _hushed():
                if self._take is None:
                    from .credential_chain import Client

                    self._take = _reader(Client())
                return self._take()
        except FacecertError:
            raise
        except Exception as error:
            # The chain's words may quote an STS request, whose URL is signed and holds a token.
            forget_frames(error, outer)
            reason = type(error).__name__
        raise CredentialsError(
            "The standard credential chain found no AccessKey, or could not reach what it found"
            " (%s). It %s." % (reason, _TRIED)
            if self._chain
            else "The credentials that were passed in could not be read (%s)." % reason
        )


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop what this thread logs through the loggers that quote tokens."""
    for name in _QUOTING_LOGGERS:
        logging.getLogger(name).addFilter(_may_be_logged)
    _this_thread.hushed = True
    try:
        yield
    finally:
        _this_thread.hushed = False


def _may_be_logged(record: logging.LogRecord) -> bool:
    return not getattr(_this_thread, "hushed", False)


def _printable(value: Any, what: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch("[!-~]+", text):
        raise CredentialsError("The %s is missing, or has characters that none has." % what)
    return text


def _fixed(source: Sequence[Any]) -> Snapshot:
    if len(source) not in (2, 3):
        raise CredentialsError("credentials must be (id, secret) or (id, secret, token).")
    return Snapshot(*source)


def _reader(source: Any) -> Callable[[], Snapshot]:
    if _hands_out_whole(source):
        return lambda: _whole(source.get_credential())
    if hasattr(source, "get_access_key_secret"):
        return lambda: _piecewise(source)
    raise CredentialsError(
        "credentials must be None, (id, secret[, token]), an alibabacloud_credentials Client, or"
        " have get_credential()."
    )


def _hands_out_whole(source: Any) -> bool:
    import inspect

    try:
        inspect.signature(source.get_credential).bind()
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def _whole(credential: Any) -> Snapshot:
    return Snapshot(
        credential.access_key_id,
        credential.access_key_secret,
        getattr(credential, "security_token", None),
        getattr(credential, "provider_name", None) or getattr(credential, "type", None),
    )


def _piecewise(source: Any) -> Snapshot:
    """Read three getters until they did not straddle a refresh."""
    for _ in range(3):
        access_key_id = source.get_access_key_id()
        secret, token = source.get_access_key_secret(), source.get_security_token()
        if source.get_access_key_id() == access_key_id:
            inner = getattr(source, "cloud_credential", None)
            kind = getattr(inner, "credential_type", None)
            return Snapshot(access_key_id, secret, token, kind)
    raise CredentialsError("The credentials changed three times while they were read.")
