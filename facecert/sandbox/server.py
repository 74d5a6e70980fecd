"""Sandbox: started in this process, stopped, told what to do, asked what it received."""

import ssl
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ..client import Client
from ..errors import DependencyError
from . import faults, rpc
from .callbacks import Caller, CallbackTry
from .exchange import Exchange, ReceivedRequest
from .service import Service, Verification

ACCESS_KEY_ID = "sandbox-access-key-id"
ACCESS_KEY_SECRET = "sandbox-access-key-secret"
SCENE_ID = "1000000006"


class Sandbox:
    """A gateway on a port of this machine; a context manager that starts and stops it.

    Args:
        port: 0 takes a free one.
        scene_id, access_key_id, access_key_secret, security_token: what clients must use.
        clock: returns the time as seconds since the epoch; for tests of what expires.
        ssl_context: serve HTTPS with it.

    Raises:
        ValueError: ``access_key_id`` looks like a real one.
        DependencyError: Flask is not installed.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        scene_id: str = SCENE_ID,
        access_key_id: str = ACCESS_KEY_ID,
        access_key_secret: str = ACCESS_KEY_SECRET,
        security_token: Optional[str] = None,
        clock: Callable[[], float] = time.time,
        ssl_context: Optional[ssl.SSLContext] = None
    ) -> None:
        try:
            # Here and not above: pytest imports this module in every suite, with Flask or without.
            from .listener import Listener
            from .pages import create_application
        except ImportError as error:
            raise DependencyError(
                "The sandbox needs Flask. Install it with: python -m pip install flask"
            ) from error

        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.security_token = security_token
        self.scene_id = scene_id
        self._gate = rpc.Gate(clock)
        self._service = Service(scene_id, clock)
        self._exchange = Exchange(self._gate, self._service, clock)
        self._caller = Caller()
        self._service.submitted = self._caller.call
        application = create_application(self, self._exchange, self._service, clock)
        self._listener = Listener(application, port, clock, ssl_context)
        self._door = threading.RLock()
        self._reopening: Optional[threading.Timer] = None
        self.allow(access_key_id, access_key_secret, security_token)

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
        """The RSA key for ``PictureKey.generate``, as Base64; every sandbox has its own."""
        return self._service.picture_lock().public_key

    @property
    def environment(self) -> Dict[str, str]:
        """The variables that lead ``Client.from_environment()`` of any program here."""
        variables = {
            "FACECERT_ENDPOINT": self.endpoint,
            "FACECERT_SCENE_ID": self.scene_id,
            "FACECERT_SM2_PUBLIC_KEY": self.sm2_public_key,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.access_key_secret,
        }
        if self.security_token:
            variables["ALIBABA_CLOUD_SECURITY_TOKEN"] = self.security_token
        return variables

    @property
    def requests(self) -> List[ReceivedRequest]:
        """Every call since the start or the last reset, refused ones too."""
        return self._exchange.requests

    def start(self) -> "Sandbox":
        """Listen; returns once calls can be made."""
        self._listener.open()
        self._service.certify_url_base = self.endpoint
        return self

    def stop(self) -> None:
        """Cut every connection and free the port."""
        self._exchange.faults.clear()
        self._caller.stop()
        with self._door:
            self._leave_door()
            self._listener.close()

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def client(self, **arguments: Any) -> Client:
        """Return a Client set up for this sandbox; ``arguments`` go before."""
        credentials = (self.access_key_id, self.access_key_secret, self.security_token)
        ours = {
            "scene_id": self.scene_id,
            "credentials": credentials,
            "endpoint": self.endpoint,
            "sm2_public_key": self.sm2_public_key,
        }
        return Client(**dict(ours, **arguments))

    def allow(self, access_key_id: str, secret: str, security_token: Optional[str] = None) -> None:
        """Know one more AccessKey (with an STS token: only together with it)."""
        if rpc.looks_real(access_key_id):
            raise ValueError(
                "This AccessKey id looks like a real one. The sandbox takes invented ones only;"
                " keep real keys away from test programs."
            )
        self._gate.access_keys[access_key_id] = rpc.AccessKey(secret, security_token)

    def revoke(self, access_key_id: str) -> None:
        """Disable an AccessKey, or let its STS token run out."""
        key = self._gate.access_keys[access_key_id]
        self._gate.access_keys[access_key_id] = key._replace(active=False)

    def complete(self, certify_id: str, passed: bool = True) -> None:
        """Do what the person does in Alipay.

        Raises:
            KeyError: no such verification.
            ValueError: it is expired, or was submitted before.
        """
        if not self._service.submit(certify_id, passed):
            raise ValueError("The verification is expired or was submitted before.")

    @property
    def callbacks(self) -> List[CallbackTry]:
        """Every try to call the app back since the start or the last reset."""
        return self._caller.tries

    def wait_for_callbacks(self, seconds: float = 5.0) -> bool:
        """Wait until nobody is being called back; False when the time was too short."""
        return self._caller.wait(seconds)

    def is_submitted(self, certify_id: str) -> bool:
        """Tell whether the person did it, passed or not."""
        return self._service.is_submitted(certify_id)

    def verifications(self) -> List[Verification]:
        """Return what was opened, the newest first."""
        return self._service.newest_first()

    def fail(
        self,
        fault: str,
        *,
        times: int = 1,
        share: Optional[float] = None,
        on: Optional[str] = None,
        seconds: float = 2.0
    ) -> None:
        """Let the next calls go wrong.

        Args:
            fault: a name from ``facecert.sandbox.faults.FAULTS``.
            times: how many calls it strikes, 1 to 10,000.
            share: instead of ``times``: strike this share of all calls, 0.01 for one in a hundred,
                until ``heal()``; drawn at random, in every sandbox the same.
            on: ``"init"`` or ``"query"``; None strikes either.
            seconds: how long ``slow`` takes, and how long nobody listens with ``refused``
                (which strikes at once and knows neither ``times``, ``share`` nor ``on``).

        Raises:
            ValueError: no such fault or method, or a number out of its limits.
        """
        if fault not in faults.FAULTS or on not in (None, "init", "query"):
            raise ValueError("no such fault; there are: %s" % ", ".join(sorted(faults.FAULTS)))
        if not 1 <= times <= 10000:
            raise ValueError("times must be 1 to 10000")
        if not 0 <= seconds <= 3600:
            raise ValueError("seconds must be 0 to 3600")
        if share is not None and not 0 < share <= 1:
            raise ValueError("share must be more than 0 and at most 1")
        if fault == faults.REFUSED:
            with self._door:
                self._leave_door()
                self._listener.close()
                self._reopening = threading.Timer(seconds, self._reopen)
                self._reopening.daemon = True
                self._reopening.start()
        elif share is not None:
            self._exchange.faults.add_share(fault, share, on, seconds)
        else:
            self._exchange.faults.add(fault, times, on, seconds)

    def heal(self) -> None:
        """End every fault, those under way too."""
        self._exchange.faults.clear()
        with self._door:
            if self._leave_door():
                self._listener.open()

    def reset(self) -> None:
        """Forget verifications, nonces, received calls and faults; keys stay."""
        self.heal()
        self._service.reset()
        self._gate.forget_nonces()
        self._exchange.requests.clear()
        self._caller.tries.clear()

    def _leave_door(self) -> bool:
        """Forget a reopening; tell whether there was one."""
        waiting, self._reopening = self._reopening, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None

    def _reopen(self) -> None:
        with self._door:
            # Unless somebody was faster than the timer's cancelling.
            if self._reopening is threading.current_thread():
                self._reopening = None
                self._listener.open()
