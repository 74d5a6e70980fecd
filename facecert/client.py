"""Client: opens verifications, asks for their outcome, confirms callbacks."""

import copy
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Tuple, Union

from . import lifecycle, params, settings
from .callback import Callback, Secrets, check_secrets, parse_callback
from .transport.credentials import Credentials
from .transport.retry import Pace
from .errors import FacecertError
from .lifecycle import BaseLedger
from .links import is_loopback
from .identity import person
from .redact import forget_frames
from .params import ServiceParameters
from .results import Answer, InitResult, QueryResult, read_init, read_query
from .crypto.sm2 import PublicKey

if TYPE_CHECKING:  # it imports the SDK
    from .transport.gateway import Gateway


class Client:
    """Opens verifications and asks for their outcome. May be shared by threads.

    Args:
        scene_id: the scene's number from the console, a string of digits; or pass it to each call.
        credentials: None for the standard credential chain; or an ``alibabacloud_credentials``
            Client; or anything with ``get_credential()``; or ``(id, secret[, token])``. Asked
            anew for every attempt, so rotating STS tokens simply work.
        endpoint: ``https://host[:port]``; ``http://`` only on this machine (a sandbox).
        encrypt: send name and number encrypted with SM2 (help.aliyun.com 437912).
        sm2_public_key: the service's key, hexadecimal, in any form; None is the published one.
        connect_timeout: seconds, more than 0, at most 600.
        read_timeout: seconds to wait for the next piece of an answer; the same limits.
        attempts: how often a call is sent at the most, 1 to 10. An ``init`` is sent again only
            when it surely was not taken.
        callback_secret: at least 16 characters known to your servers only; several while they are
            being exchanged, the new one first. Then ``init`` adds the callback token and the order
            number, and ``confirm`` checks them.
        ledger: where every verification is kept: a URL for ``Ledger``, or any ``BaseLedger``.

    Raises:
        InvalidParameter: an argument breaks a rule; ``field`` names it.
        CredentialsError: ``credentials`` is of no known kind.
        DependencyError: a package is missing or broken; the message holds the repairing command.
    """

    def __init__(
        self,
        scene_id: Optional[str] = None,
        *,
        credentials: Any = None,
        endpoint: Optional[str] = None,
        encrypt: bool = False,
        sm2_public_key: Union[PublicKey, str, None] = None,
        connect_timeout: float = 5,
        read_timeout: float = 10,
        attempts: int = 3,
        callback_secret: Optional[Secrets] = None,
        ledger: Union[BaseLedger, str, None] = None
    ) -> None:
        from .transport.gateway import Gateway  # here: importing facecert stays cheap
        from .transport.http import Wire

        outer = sys.exc_info()[1]
        try:
            source = Credentials(credentials)
            self._callback_secrets = check_secrets(callback_secret) if callback_secret else ()
            if isinstance(ledger, str):
                from .ledger.store import Ledger

                ledger = Ledger(ledger)
            self.ledger = ledger
        except FacecertError as error:
            forget_frames(error, outer)
            raise error
        finally:
            # A crash report shows this frame's variables.
            del credentials, callback_secret, ledger
        self.scene_id = None if scene_id is None else params.check_scene_id(scene_id)
        self.endpoint = settings.check_endpoint(endpoint or settings.DEFAULT_ENDPOINT)
        self.encrypt = settings.check_truth(encrypt, "encrypt")
        if isinstance(sm2_public_key, str):
            sm2_public_key = PublicKey.parse(sm2_public_key.strip())
        self._sm2_public_key = sm2_public_key
        wire = Wire(
            self.endpoint,
            connect_timeout=settings.check_seconds(connect_timeout, "connect_timeout"),
            read_timeout=settings.check_seconds(read_timeout, "read_timeout"),
        )
        # Last: the default client takes it as the sign that all is set.
        self._gateway = Gateway(wire, source, settings.check_attempts(attempts))

    @classmethod
    def from_environment(cls, environ: Optional[Mapping[str, str]] = None) -> "Client":
        """Make a client from the ``FACECERT_*`` variables; see ``settings.from_environment``."""
        return cls(**settings.from_environment(os.environ if environ is None else environ))

    def init(
        self,
        *,
        cert_name: str,
        cert_no: str,
        scene_id: Optional[str] = None,
        biz_code: str = "FACE",
        outer_order_no: Optional[str] = None,
        return_url: Optional[str] = "",
        callback_url: Optional[str] = None,
        callback_token: Optional[str] = None,
        encrypt: Optional[bool] = None,
        extra: Optional[Mapping[str, Any]] = None
    ) -> InitResult:
        """Open a verification (help.aliyun.com 181863).

        Args:
            cert_name: the person's name as on the document.
            cert_no: the document's number; not only 18-digit ones. A final ``x`` of an
                18-character number is sent as ``X``. Name and number may both be ``Ciphertext``.
            scene_id: instead of the client's.
            biz_code: ``FACE`` (mini-program, H5) or ``FACE_SDK`` (iOS, Android).
            outer_order_no: your order number: 1 to 32 ASCII letters and digits, never used
                before. One is made when it is not given.
            return_url: where the person goes afterwards (an app's own scheme, or empty).
            callback_url: ``https://…`` that the platform calls when the person is done. With
                ``callback_secret`` the order number is put for ``{order}``, or as ``?order=…``.
            callback_token: comes back with the callback; ``callback_secret`` makes it for you.
            encrypt: instead of the client's; what is ``Ciphertext`` stays as it is.
            extra: further fields of ServiceParameters that this release does not know.

        Returns:
            The verification, good for 30 minutes and one submission. Store its ``certify_id``.

        Raises:
            InvalidParameter: nothing was sent; ``field`` names the argument.
            LedgerError: nothing was sent, because the ledger could not be written.
            NoAnswer, BadAnswer, GatewayError, ServiceError: where ``outcome`` is ``"unknown"``, a
                verification may have been opened under the error's ``outer_order_no``.
            FacecertError: any other; nothing was opened.
        """
        outer = sys.exc_info()[1]
        try:
            encrypt = settings.check_truth(self.encrypt if encrypt is None else encrypt, "encrypt")
            parameters = params.init_parameters(
                person(cert_name, cert_no, encrypted=encrypt, public_key=self._sm2_public_key),
                scene_id=self.scene_id if scene_id is None else scene_id,
                biz_code=biz_code,
                outer_order_no=outer_order_no,
                return_url=return_url,
                callback_url=callback_url,
                callback_token=callback_token,
                extra=extra,
                callback_secrets=self._callback_secrets,
                loopback=is_loopback(self.endpoint),
            )
            return _init(self._gateway, parameters, self.ledger)
        except BaseException as error:  # a time-out's signal may strike anywhere
            forget_frames(error, outer)
            raise error
        finally:
            del cert_name, cert_no, scene_id, biz_code, outer_order_no
            del return_url, callback_url, callback_token, extra

    def query(
        self,
        certify_id: str,
        *,
        scene_id: Optional[str] = None,
        enc_token: Optional[str] = None,
        extra: Optional[Mapping[str, Any]] = None
    ) -> QueryResult:
        """Ask whether the person passed (help.aliyun.com 181863).

        Args:
            certify_id: as ``init`` returned it.
            scene_id: the scene used at ``init``, if it is not the client's.
            enc_token: ``PictureKey.enc_token``, for licensed financial customers who get pictures.
            extra: further fields of ServiceParameters that this release does not know.

        Returns:
            ``passed`` is True only for the service's ``"T"``. False also means "not yet done".

        Raises:
            InvalidParameter: nothing was sent; ``field`` names the argument.
            FacecertError: any other; asking again does no harm.
        """
        outer = sys.exc_info()[1]
        try:
            parameters = params.query_parameters(
                certify_id,
                scene_id=self.scene_id if scene_id is None else scene_id,
                enc_token=enc_token,
                extra=extra,
            )
            return _query(self._gateway, parameters, self.ledger)
        except BaseException as error:
            forget_frames(error, outer)
            raise error
        finally:
            del certify_id, scene_id, enc_token, extra

    def confirm(
        self,
        callback: Any,
        *,
        outer_order_no: Optional[str] = None,
        certify_id: Optional[str] = None,
        scene_id: Optional[str] = None
    ) -> QueryResult:
        """Check who a callback is about, then ask the service. Trust the answer, nothing else.

        Args:
            callback: a ``Callback``, or what ``parse_callback`` reads.
            outer_order_no: the order it must be about, if your URL tells (``{order}``).
            certify_id: the id it must be about, as you stored it with the order.
            scene_id: the scene used at ``init``, if it is not the client's.

        Raises:
            CallbackError: it is malformed, its token is missing or wrong, or it is about another
                order or verification. Nothing was asked.
            InvalidParameter: there is neither ``callback_secret`` nor ``certify_id`` to check by.
            FacecertError: the question failed; answer with an error: the platform calls again.
        """
        outer = sys.exc_info()[1]
        try:
            return _confirm(
                self._gateway,
                callback if isinstance(callback, Callback) else parse_callback(callback),
                self.ledger,
                secrets=self._callback_secrets,
                outer_order_no=outer_order_no,
                certify_id=certify_id,
                scene_id=self.scene_id if scene_id is None else scene_id,
            )
        except BaseException as error:
            forget_frames(error, outer)
            raise error
        finally:
            del callback

    def paced(self, pace: Pace) -> "Client":
        """Return this client, connections and all, whose attempts keep to ``pace``."""
        gateway = self._gateway.paced(pace)  # first: it makes the default client be set up
        twin = copy.copy(self)
        twin._gateway = gateway
        return twin

    def close(self) -> None:
        """Close the connections that are not in use. A later call opens new ones."""
        self._gateway.wire.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        known = vars(self).get
        return "<facecert.Client scene_id=%s endpoint=%s>" % (known("scene_id"), known("endpoint"))


def _init(
    gateway: "Gateway", parameters: ServiceParameters, ledger: Optional[BaseLedger]
) -> InitResult:
    """Open a verification. Nothing is sent before the ledger has its row.

    Raises:
        FacecertError: see ``Client.init``.
    """
    order = str(parameters.outer_order_no)

    def read(answer: Answer, sent_at: datetime) -> InitResult:
        return read_init(
            answer, outer_order_no=order, expires_at=sent_at + lifecycle.LIFETIME
        )

    if ledger is None:
        return gateway.call(parameters, read)
    ledger.keep_sent(order, scene_id=parameters.scene_id, sent_at=gateway.now())
    try:
        opened = gateway.call(parameters, read)
    except BaseException as error:  # a time-out's signal may strike anywhere
        ledger.keep_opening(order, lifecycle.failed(error))
        raise
    ledger.keep_opening(order, lifecycle.opened(opened))
    return opened


def _query(
    gateway: "Gateway",
    parameters: ServiceParameters,
    ledger: Optional[BaseLedger],
    *,
    outer_order_no: Optional[str] = None,
    claim: Optional[bool] = None
) -> QueryResult:
    """Ask about a verification and keep the answer.

    Args:
        outer_order_no, claim: what a genuine callback has told; see ``BaseLedger.keep_answer``.

    Raises:
        FacecertError: see ``Client.query``.
    """

    def read(answer: Answer, sent_at: datetime) -> Tuple[QueryResult, datetime]:
        return read_query(answer, certify_id=str(parameters.certify_id)), sent_at

    answer, asked_at = gateway.call(parameters, read)
    if ledger is not None:
        ledger.keep_answer(answer, asked_at=asked_at, outer_order_no=outer_order_no, claim=claim)
    return answer


def _confirm(
    gateway: "Gateway",
    callback: Callback,
    ledger: Optional[BaseLedger],
    *,
    secrets: Sequence[str],
    outer_order_no: Optional[str],
    certify_id: Optional[str],
    scene_id: Optional[str]
) -> QueryResult:
    """Check a callback and ask about its verification.

    Raises:
        FacecertError: see ``Client.confirm``.
    """
    callback.check(secrets, outer_order_no, certify_id)
    parameters = params.query_parameters(callback.certify_id, scene_id=scene_id)
    if not secrets:
        # Nothing proves the order, nor that it is the platform who claims.
        return _query(gateway, parameters, ledger)
    order = outer_order_no or callback.outer_order_no
    return _query(gateway, parameters, ledger, outer_order_no=order, claim=callback.passed)
