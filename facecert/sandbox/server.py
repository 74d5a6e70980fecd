"""Sandbox: start and stop it, order faults, submit verifications, read what it received."""

import ssl
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ..client import Client
from ..errors import DependencyError
from ..settings import from_environment
from .callbacks import Caller, CallbackTry
from .faults import FAULTS, REFUSED
from .rpc import AccessKey, Exchange, Gate, ReceivedRequest, looks_real
from .service import Service, Verification

SCENE_ID = "1000000006"


class Sandbox:
    """A gateway on a port of this machine; a context manager that starts and stops it.

    Args:
        port: 0 takes a free one.
        scene_id, access_key_id, access_key_secret: what clients must use.
        clock: returns the time in seconds since the epoch; for tests of what expires.
        ssl_context: serve HTTPS with it.
        data_as_text: Data is JSON text, as the official .NET and Tea models declare it.

    Raises:
        ValueError: ``access_key_id`` looks like a real one.
        DependencyError: Flask is not installed.
    """

    def __init__(
        self, *, port: int = 0, scene_id: str = SCENE_ID,
        access_key_id: str = "sandbox-access-key-id",
        access_key_secret: str = "sandbox-access-key-secret",
        clock: Callable[[], float] = time.time, ssl_context: Optional[ssl.SSLContext] = None,
        data_as_text: bool = False
    ) -> None:
        try:
            # Imported here, because pytest imports this module even where Flask is missing.
            from .listener import Listener
            from .pages import create_application
        except ImportError as error:
            message = "The sandbox needs Flask. Install it with: python -m pip install flask"
            raise DependencyError(message) from error
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.scene_id = scene_id
        self._gate = Gate(clock)
        self._service = Service(scene_id, clock)
        self._exchange = Exchange(self._gate, self._service, clock, data_as_text)
        self._caller = Caller()
        #: Every attempt to call the app back since the start or the last reset.
        self.callbacks: List[CallbackTry] = self._caller.tries
        self._service.submitted = self._caller.call
        application = create_application(
            self, self._exchange, self._service, clock, lambda host: self._listener.is_own(host)
        )
        self._listener = Listener(application, port, clock, ssl_context)
        #: Opens the listener again after the fault ``refused``.
        self._reopening: Optional[threading.Timer] = None
        self._lock = threading.RLock()
        self.allow(access_key_id, access_key_secret)

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:port``, for ``Client(endpoint=…)`` or FACECERT_ENDPOINT."""
        if not self._listener.port:
            raise RuntimeError("the sandbox has no address before it is started")
        return self._listener.base_url

    @property
    def sm2_public_key(self) -> str:
        """The key for ``encrypt=True``; every sandbox has its own."""
        return self._service.sm2_keys.public_key_hex

    @property
    def picture_public_key(self) -> str:
        """The RSA key for ``PictureKey.generate``, as Base64; it needs the extra ``pictures``."""
        return self._service.picture_lock().public_key

    @property
    def environment(self) -> Dict[str, str]:
        """The variables that make ``Client.from_environment()`` of any program use the sandbox."""
        return {
            "FACECERT_ENDPOINT": self.endpoint,
            "FACECERT_SCENE_ID": self.scene_id,
            "FACECERT_SM2_PUBLIC_KEY": self.sm2_public_key,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.access_key_secret,
        }

    @property
    def requests(self) -> List[ReceivedRequest]:
        """Every call since the start or the last reset, refused calls too."""
        return self._exchange.requests

    def start(self) -> "Sandbox":
        """Listen; calls can be made as soon as this returns."""
        self._listener.open()
        self._service.certify_url_base = self.endpoint
        return self

    def stop(self) -> None:
        """Cut every connection and free the port."""
        self._exchange.faults.clear()
        self._caller.stop()
        self._close()

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def client(self, **arguments: Any) -> Client:
        """Return a Client of this sandbox; ``arguments`` override its settings."""
        credentials = (self.access_key_id, self.access_key_secret)
        settings = dict(from_environment(self.environment), credentials=credentials)
        return Client(**dict(settings, **arguments))

    def allow(self, access_key_id: str, secret: str, security_token: Optional[str] = None) -> None:
        """Accept one more AccessKey, or an STS token; ValueError for an id like a real one."""
        if looks_real(access_key_id):
            raise ValueError("This AccessKey id looks like a real one. Invent one for tests.")
        self._gate.access_keys[access_key_id] = AccessKey(secret, security_token)

    def revoke(self, access_key_id: str) -> None:
        """Disable an AccessKey, or let its STS token expire."""
        key = self._gate.access_keys[access_key_id]
        self._gate.access_keys[access_key_id] = key._replace(active=False)

    def complete(self, certify_id: str, passed: bool = True) -> None:
        """Submit a verification, as the person does in Alipay; ValueError when it is too late."""
        if not self._service.submit(certify_id, passed):
            raise ValueError("The verification expired or was submitted before.")

    def wait_for_callbacks(self, seconds: float = 5.0) -> bool:
        """Wait until no callback is under way; return False when that takes longer."""
        return self._caller.wait(seconds)

    def is_submitted(self, certify_id: str) -> bool:
        """Tell whether the person submitted the verification, passed or not."""
        verification = self._service.find(certify_id)
        return verification is not None and not verification.open

    def verifications(self) -> List[Verification]:
        """Return the verifications, the newest first."""
        return self._service.newest_first()

    def fail(
        self, fault: str, *, times: int = 1, share: Optional[float] = None,
        on: Optional[str] = None, seconds: float = 2.0
    ) -> None:
        """Let the next calls fail.

        Args:
            fault: a name from ``facecert.sandbox.faults.FAULTS``.
            times: how many calls meet the fault, 1 to 10,000.
            share: instead of ``times``, the share of all calls that meet the fault until
                ``heal()``: 0.01 for one in a hundred. Drawn at random, equally in every sandbox.
            on: ``"init"`` or ``"query"``; None for both.
            seconds: the delay of ``slow``, and how long ``refused`` lasts, 0 to 3,600.
                ``refused`` begins at once and ignores ``times``, ``share`` and ``on``.

        Raises:
            ValueError: no such fault or method, or a number outside its limits.
        """
        if fault not in FAULTS or on not in (None, "init", "query"):
            raise ValueError("no such fault; there are: %s" % ", ".join(sorted(FAULTS)))
        if not 1 <= times <= 10000:
            raise ValueError("times must be 1 to 10000")
        if not 0 <= seconds <= 3600:
            raise ValueError("seconds must be 0 to 3600")
        if share is not None and not 0 < share <= 1:
            raise ValueError("share must be more than 0 and at most 1")
        if fault == REFUSED:
            self._close(seconds)
        else:
            self._exchange.faults.add(fault, times, share, on, seconds)

    def heal(self) -> None:
        """End every fault, delays under way too."""
        self._exchange.faults.clear()
        self._reopen(self._reopening)

    def reset(self) -> None:
        """Forget verifications, nonces, received calls and faults; AccessKeys stay."""
        self.heal()
        self._service.reset()
        self._gate.forget_nonces()
        self._exchange.requests.clear()
        self.callbacks.clear()

    def _close(self, seconds: Optional[float] = None) -> None:
        """Close the listener; with ``seconds`` it opens again after them."""
        with self._lock:
            if self._reopening is not None:
                self._reopening.cancel()
                self._reopening = None
            self._listener.close()
            if seconds is not None:
                self._reopening = timer = threading.Timer(seconds, lambda: self._reopen(timer))
                timer.daemon = True
                timer.start()

    def _reopen(self, timer: Optional[threading.Timer]) -> None:
        with self._lock:
            # A timer that ``stop()`` or another fault replaced meanwhile does nothing.
            if timer is not None and timer is self._reopening:
                timer.cancel()
                self._reopening = None
                self._listener.open()
