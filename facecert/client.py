"""Client: opens verifications, queries them, confirms callbacks."""

import copy
import logging
import os
from datetime import datetime, timedelta
from typing import Any, Callable, Mapping, Optional, Union

from . import lifecycle, params, settings
from .callback import Callback, Secrets, check_secrets, parse_callback
from .crypto.sm2 import PublicKey
from .errors import DependencyError, FacecertError, LedgerError, invalid
from .identity import Person
from .lifecycle import BaseLedger
from .links import DEFAULT_ENDPOINT
from .redact import Hidden, Private, guarded
from .results import InitResult, QueryResult
from .transport.retry import Pace

_log = logging.getLogger(__name__)

#: Seconds between two queries of ``wait``: the first pause, its growth, the longest pause.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 2.0, 1.5, 15.0


class Client:
    """Opens verifications and queries them. May be shared by threads.

    Args:
        scene_id: the scene's number from the console, a string of digits; or pass it to each call.
        credentials: None for the standard credential chain; or an ``alibabacloud_credentials``
            Client; or any object with ``get_credential()``; or an ``AcsClient`` of the official
            SDK; or ``(id, secret[, token])``. Read anew for every attempt, so rotating STS tokens
            work.
        endpoint: ``https://host[:port]``; ``http://`` only on this machine (a sandbox).
        encrypt: send name and number encrypted with SM2 (help.aliyun.com 437912).
        sm2_public_key: the service's key, see ``PublicKey.parse``; None is the published one.
        connect_timeout: seconds to connect, more than 0, at most 600. All addresses of the
            endpoint, a proxy and the TLS handshake share them.
        read_timeout: seconds for the whole response; the same limits.
        attempts: how often a call is sent at most, 1 to 10. An ``init`` is sent again only when
            the earlier attempt was surely not taken.
        callback_secret: at least 16 characters that only your servers know; several during a
            rotation, the new one first, separated by blanks or as a list. Then ``init`` adds the
            callback token and the order number, and ``confirm`` checks them.
        ledger: the record of every verification: a URL or path for ``Ledger``, or any
            ``BaseLedger``.
        per_day: how many inits are sent on one day of China (UTC+8) at most. The ledger counts
            them, so ``ledger`` must be a URL; to a ``Ledger`` of your own give it yourself.
        check_digit: False sends 18-digit numbers whose check digit (GB 11643) is wrong.

    Raises:
        InvalidParameter: an argument breaks a rule; ``field`` names it.
        CredentialsError: ``credentials`` has an unknown type.
        DependencyError: a package is missing or broken; the message holds the repairing command.
    """

    @guarded
    def __init__(
        self, scene_id: Optional[str] = None, *, credentials: Any = None,
        endpoint: Optional[str] = None, encrypt: bool = False,
        sm2_public_key: Union[PublicKey, str, None] = None, connect_timeout: float = 5,
        read_timeout: float = 10, attempts: int = 3, callback_secret: Optional[Secrets] = None,
        ledger: Union[BaseLedger, str, "os.PathLike[str]", None] = None,
        per_day: Optional[int] = None, check_digit: bool = True
    ) -> None:
        hidden = Hidden((credentials, callback_secret, ledger))
        del credentials, callback_secret, ledger  # before the SDK is imported
        # Imported here, so that importing facecert stays cheap.
        from .transport.credentials import Credentials
        from .transport.gateway import Gateway
        from .transport.http import Http

        credentials, callback_secret, ledger = hidden.take()
        source = Credentials(credentials)
        self._callback_secrets = check_secrets(callback_secret) if callback_secret else Private()
        del credentials, callback_secret  # before code of other packages runs
        if isinstance(ledger, (str, os.PathLike)):
            ledger = open_ledger(os.fspath(ledger), per_day)
        elif per_day is not None:
            raise invalid("per_day", "needs a ledger that counts: Client(ledger=URL, per_day=N)")
        elif ledger is not None and not hasattr(ledger, "keep_sent"):
            raise invalid("ledger", "must be a URL, a path or a BaseLedger")
        self.ledger = ledger
        del ledger
        self.scene_id = None if scene_id is None else params.check_scene_id(scene_id)
        self.endpoint = settings.check_endpoint(endpoint or DEFAULT_ENDPOINT)
        self.encrypt = settings.check_truth(encrypt, "encrypt")
        self.check_digit = settings.check_truth(check_digit, "check_digit")
        self._sm2_public_key = None if sm2_public_key is None else PublicKey.parse(sm2_public_key)
        connect_timeout = settings.check_seconds(connect_timeout, "connect_timeout")
        read_timeout = settings.check_seconds(read_timeout, "read_timeout")
        http = Http(self.endpoint, connect_timeout=connect_timeout, read_timeout=read_timeout)
        attempts = settings.check_whole(attempts, "attempts", settings.MOST_ATTEMPTS)
        # Last, because the default client takes it as the sign that everything is set.
        self._gateway = Gateway(http, source, attempts)

    @classmethod
    @guarded
    def from_environment(cls, environ: Optional[Mapping[str, str]] = None) -> "Client":
        """Make a client from the ``FACECERT_*`` variables; see ``settings.from_environment``."""
        return cls(**settings.from_environment(os.environ if environ is None else environ))

    @guarded
    def init(
        self, *, cert_name: str, cert_no: str, scene_id: Optional[str] = None,
        biz_code: str = "FACE", outer_order_no: Optional[str] = None,
        return_url: Optional[str] = "", callback_url: Optional[str] = None,
        callback_token: Optional[str] = None, encrypt: Optional[bool] = None,
        extra: Optional[Mapping[str, Any]] = None
    ) -> InitResult:
        """Open a verification (help.aliyun.com 181863).

        Args:
            cert_name: the person's name as on the document.
            cert_no: the document's number; not only 18-digit ones. It is sent in ASCII, without
                blanks; a final ``x`` of 18 characters as ``X``. Both may be ``Ciphertext``.
            scene_id: overrides the client's.
            biz_code: ``FACE`` (mini-program, H5) or ``FACE_SDK`` (iOS, Android).
            outer_order_no: your order number: 1 to 32 ASCII letters and digits, never used
                before. None generates one.
            return_url: where the person goes afterwards (an app's own scheme, or empty).
            callback_url: ``https://…`` that the platform calls when the person is done. The order
                number replaces ``{order}``; with ``callback_secret`` it else becomes ``?order=…``.
            callback_token: comes back with the callback; ``callback_secret`` makes it for you.
            encrypt: overrides the client's; a ``Ciphertext`` stays as it is.
            extra: further fields of ServiceParameters that this release does not know.

        Returns:
            The verification, valid for 30 minutes and one submission. Store its ``certify_id``.

        Raises:
            InvalidParameter: nothing was sent; ``field`` names the argument.
            LedgerError: nothing was sent, because the ledger could not be written.
            BudgetSpent: nothing was sent, because ``per_day`` inits were sent today.
            NoAnswer, BadAnswer, GatewayError, ServiceError: where ``outcome`` is ``"unknown"``, a
                verification may have been opened under the error's ``outer_order_no``.
            FacecertError: any other; nothing was opened.
        """
        encrypt = settings.check_truth(self.encrypt if encrypt is None else encrypt, "encrypt")
        parameters = params.init_parameters(
            Person(cert_name, cert_no, encrypted=encrypt, public_key=self._sm2_public_key,
                   check_digit=self.check_digit),
            scene_id=self.scene_id if scene_id is None else scene_id, biz_code=biz_code,
            outer_order_no=outer_order_no, return_url=return_url, callback_url=callback_url,
            callback_token=callback_token, extra=extra, callback_secrets=self._callback_secrets,
            endpoint=self.endpoint,
        )
        # From here on code of other packages runs, and log handlers may list this frame.
        del cert_name, cert_no, callback_url, callback_token, extra
        ledger, order = self.ledger, parameters.outer_order_no
        if ledger is not None:
            ledger.keep_sent(order, scene_id=parameters.scene_id, sent_at=self._gateway.now())
        try:
            opened: InitResult = self._gateway.call(parameters)[0]
        except BaseException as error:  # a timeout's signal may strike anywhere
            if ledger is not None:
                ledger.keep_opening(order, lifecycle.failed(error))
            raise
        if ledger is not None:
            ledger.keep_opening(order, lifecycle.opened(opened))
        return opened

    @guarded
    def query(
        self, certify_id: str, *, scene_id: Optional[str] = None, enc_token: Optional[str] = None,
        extra: Optional[Mapping[str, Any]] = None
    ) -> QueryResult:
        """Query whether the person passed (help.aliyun.com 181863).

        Args:
            certify_id: as ``init`` returned it.
            scene_id: the scene used at ``init``, if it is not the client's.
            enc_token: ``PictureKey.enc_token``, for licensed financial customers who get pictures.
            extra: further fields of ServiceParameters that this release does not know.

        Returns:
            ``passed`` is True only for the service's ``"T"``. False also means "not yet done".

        Raises:
            InvalidParameter: nothing was sent; ``field`` names the argument.
            FacecertError: any other; the same query may be sent again without harm.
        """
        scene_id = self.scene_id if scene_id is None else scene_id
        parameters = params.query_parameters(certify_id, scene_id=scene_id, enc_token=enc_token,
                                             extra=extra)
        del enc_token, extra
        return self._query(parameters)

    @guarded
    def wait(
        self, certify_id: str, *, seconds: Optional[float] = None,
        expires_at: Optional[datetime] = None, scene_id: Optional[str] = None,
        report: Callable[[Union[QueryResult, FacecertError]], Any] = lambda news: None
    ) -> Optional[QueryResult]:
        """Query until the result is final, with pauses that grow from 2 to 15 seconds.

        "Not passed" is final 5 minutes after ``expires_at``, or when the ledger has ``failed``
        from a genuine callback. The thread is blocked meanwhile: this is for scripts.

        Args:
            certify_id: as ``init`` returned it.
            seconds: the caller's limit, 0 or more; then one last query is sent. None: no limit.
            expires_at: as ``init`` returned it; a later time than 30 minutes from now counts as
                that. None: as the ledger has it, or 30 minutes from now.
            scene_id: the scene used at ``init``, if it is not the client's.
            report: called with every result, and with every error after which the wait goes on.

        Returns:
            The final result; None when the limit came first.

        Raises:
            InvalidParameter: nothing was sent; ``field`` names the argument.
            FacecertError: an error that is not ``retryable``, or that of the last query.
        """
        params.check_certify_id(certify_id)
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds >= 0):
            raise invalid("seconds", "must be a number of seconds, 0 or more, or None")
        if expires_at is not None and getattr(expires_at, "tzinfo", None) is None:
            raise invalid("expires_at", "must be a datetime with a time zone, as init returned it")
        now, row = self._gateway.now(), self._row(certify_id)
        latest = now + lifecycle.LIFETIME
        expires_at = min(expires_at or getattr(row, "expires_at", latest), latest)
        end = expires_at + lifecycle.GRACE
        if seconds is not None:
            end = min(end, now + timedelta(seconds=min(seconds, 3600)))
        pause = FIRST_PAUSE
        while True:
            asked_at, wait = self._gateway.now(), pause
            news: Union[QueryResult, FacecertError]
            try:
                news = self.query(certify_id, scene_id=scene_id)
            except FacecertError as error:
                if asked_at >= end or not error.retryable:
                    raise
                news, wait = error, max(wait, error.retry_after or 0.0)
            report(news)
            if isinstance(news, QueryResult):
                state = getattr(self._row(certify_id), "state", lifecycle.OPENED)
                state = lifecycle.decide(state, news, asked_at=asked_at, expires_at=expires_at)
                if news.passed or state == lifecycle.FAILED:
                    return news
                if asked_at >= end:
                    return None
            left = (end - self._gateway.now()).total_seconds()
            self._gateway.sleep(max(0.0, min(wait, left)))
            pause = min(pause * GROWTH, LONGEST_PAUSE)

    @guarded
    def confirm(
        self, callback: Any, *, outer_order_no: Optional[str] = None,
        certify_id: Optional[str] = None, scene_id: Optional[str] = None
    ) -> QueryResult:
        """Check which order a callback is about, then query. Trust the result, nothing else.

        Args:
            callback: a ``Callback``, or what ``parse_callback`` reads.
            outer_order_no: the order it must be about, if your URL names it (``{order}``).
            certify_id: the id it must be about, as you stored it with the order.
            scene_id: the scene used at ``init``, if it is not the client's.

        Raises:
            CallbackError: it is malformed, its token is missing or wrong, or it is about another
                order or verification. No query was sent.
            InvalidParameter: there is neither ``callback_secret`` nor ``certify_id`` to check by.
            FacecertError: the query failed; answer with an error, so that the platform calls again.
        """
        claim = self.read_callback(callback, outer_order_no, certify_id)
        del callback
        # With a secret the token has proven the order, and that the platform sent the claim.
        proven = bool(self._callback_secrets)
        if proven and self.ledger is not None:
            self.ledger.keep_claim(str(outer_order_no or claim.outer_order_no), claim.certify_id)
        scene_id = self.scene_id if scene_id is None else scene_id
        parameters = params.query_parameters(claim.certify_id, scene_id=scene_id)
        return self._query(parameters, claim=claim.passed if proven else None)

    @guarded
    def read_callback(
        self, callback: Any, outer_order_no: Optional[str] = None, certify_id: Optional[str] = None
    ) -> Callback:
        """Check which order a callback is about, without a query; see ``confirm``."""
        claim = callback if isinstance(callback, Callback) else parse_callback(callback)
        claim.check(self._callback_secrets, outer_order_no, certify_id, self.endpoint)
        return claim

    def paced(self, pace: Pace) -> "Client":
        """Return this client, connections included, whose attempts keep to ``pace``."""
        gateway = self._gateway.paced(pace)  # first, because it sets up the default client
        twin = copy.copy(self)
        twin._gateway = gateway
        return twin

    def close(self) -> None:
        """Close the connections that are not in use. A later call opens new ones."""
        self._gateway.http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        known = vars(self).get
        return "<facecert.Client scene_id=%s endpoint=%s>" % (known("scene_id"), known("endpoint"))

    def _row(self, certify_id: str) -> Any:
        """Return the ledger's row of a verification, or None."""
        # A ledger of the user's own class may lack ``find``.
        find = getattr(self.ledger, "find", lambda certify_id: None)
        try:
            return find(certify_id)
        except LedgerError as error:
            _log.error("%s The wait goes on without it.", error)
            return None

    def _query(
        self, parameters: params.ServiceParameters, claim: Optional[bool] = None
    ) -> QueryResult:
        """Send a query and store its result in the ledger; see ``BaseLedger.keep_answer``."""
        result, asked_at = self._gateway.call(parameters)
        if self.ledger is not None:
            self.ledger.keep_answer(result, asked_at=asked_at, claim=claim)
        return result  # type: ignore[no-any-return]


def open_ledger(url: str, per_day: Optional[int]) -> BaseLedger:
    """Return the ``Ledger`` with this URL, without a connection; see ``Ledger`` for what it raises.

    DependencyError: its folder was not copied along.
    """
    try:
        from .ledger import Ledger
    except ModuleNotFoundError as error:
        if not str(error.name).startswith(__package__):
            raise
        raise DependencyError(
            "Client(ledger=URL) needs the folder facecert/ledger, which was not copied along. Copy"
            " it, or pass an object of your own (facecert.lifecycle.BaseLedger)."
        ) from error
    return Ledger(url, per_day=per_day)
