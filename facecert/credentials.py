"""The standard credential chain, or what the caller gives instead, as one consistent snapshot.

The only module that imports ``alibabacloud_credentials``; its two generations differ: 1.x (and
0.3.6) hand out a whole credential, 0.3.2 has three getters, and a ``get_credential(config)`` that
means something else.
"""

import logging
import sys
from typing import Any, Callable, List, Optional, Tuple

from .errors import CredentialsError, DependencyError, FacecertError
from .redact import forget_frames

#: Loggers that the packages below open up and give a handler when they are imported.
_NOISY_LOGGERS = ("alibabacloud-tea", "credentials")

_TRIED = (
    "looked at ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (with"
    " ALIBABA_CLOUD_SECURITY_TOKEN for STS), OIDC (ALIBABA_CLOUD_ROLE_ARN), the profiles in"
    " ~/.aliyun/config.json and ~/.alibabacloud/credentials.ini, the ECS instance's RAM role, and"
    " ALIBABA_CLOUD_CREDENTIALS_URI"
)


class Snapshot:
    """AccessKey id, secret and STS token as they belong together at one moment."""

    __slots__ = ("access_key_id", "access_key_secret", "security_token")

    def __init__(
        self, access_key_id: str, access_key_secret: str, security_token: Optional[str] = None
    ) -> None:
        for value in (access_key_id, access_key_secret):
            if not isinstance(value, str) or not value.strip():
                raise CredentialsError("The credentials hold no AccessKey id or no secret.")
        self.access_key_id = access_key_id.strip()
        self.access_key_secret = access_key_secret.strip()
        self.security_token = security_token or None

    def __repr__(self) -> str:
        return "<Snapshot with STS token>" if self.security_token else "<Snapshot>"

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
        self._take = None if source is None else _reader(source)

    def __repr__(self) -> str:
        return "<Credentials>"

    def snapshot(self) -> Snapshot:
        """Return what to sign the next attempt with.

        Raises:
            CredentialsError: nothing usable was found, or the source failed.
            DependencyError: ``alibabacloud_credentials`` cannot be imported.
        """
        chain = self._take is None
        outer = sys.exc_info()[1]
        try:
            if self._take is None:
                self._take = _reader(_standard_chain())
            return self._take()
        except FacecertError:
            raise
        except Exception as error:
            # The chain's words may quote an STS request, whose URL is signed and holds a token.
            forget_frames(error, outer)
            reason = type(error).__name__
        raise CredentialsError(
            "The standard credential chain found no AccessKey (%s): %s. Set one of them."
            % (reason, _TRIED)
            if chain
            else "The credentials that were passed in could not be read (%s)." % reason
        )


def _reader(source: Any) -> Callable[[], Snapshot]:
    if isinstance(source, (tuple, list)):
        if len(source) not in (2, 3):
            raise CredentialsError("credentials must be (id, secret) or (id, secret, token).")
        fixed = Snapshot(*source)
        return lambda: fixed
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
    )


def _piecewise(source: Any) -> Snapshot:
    """Read three getters until they did not straddle a refresh."""
    for _ in range(3):
        access_key_id = source.get_access_key_id()
        secret, token = source.get_access_key_secret(), source.get_security_token()
        if source.get_access_key_id() == access_key_id:
            return Snapshot(access_key_id, secret, token)
    raise CredentialsError("The credentials changed three times while they were read.")


def _standard_chain() -> Any:
    before = {name: _state(name) for name in _NOISY_LOGGERS}
    try:
        from alibabacloud_credentials.client import Client
    except ImportError as error:
        raise DependencyError(
            "alibabacloud_credentials cannot be imported. Repair it with:"
            " python -m pip install --force-reinstall alibabacloud-credentials"
        ) from error
    finally:
        for name, (handlers, level) in before.items():
            _restore(logging.getLogger(name), handlers, level)
    return Client()


def _state(name: str) -> Tuple[List[logging.Handler], int]:
    logger = logging.getLogger(name)
    return list(logger.handlers), logger.level


def _restore(logger: logging.Logger, handlers: List[logging.Handler], level: int) -> None:
    """Undo what the import did to a logger: its handler prints signed STS requests to stderr."""
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)
    logger.setLevel(level)
