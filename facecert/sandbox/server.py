"""Sandbox: start and stop it, order faults, submit verifications, read what it received."""

import ssl
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ..client import Client
from ..errors import unimportable
from ..settings import from_environment
from .callbacks import Caller, CallbackTry
from .faults import FAULTS, REFUSED
from .rpc import AccessKey, Exchange, Gate, ReceivedRequest, looks_real
from .service import ACTS, LIFETIME, Service, Verification

SCENE_ID = "1000000006"


class Sandbox:
    """A gateway on a port of this machine; a context manager that starts and stops it.

    Args:
        port: 0 takes a free one.
        scene_id, access_key_id, access_key_secret: what clients must use.
        clock: returns the time in seconds since the epoch; for tests of what expires.
        ssl_context: serve HTTPS with it.
        data_as_text: Data is JSON text, as the official .NET and Tea models declare it.
        person: ``"pass"``, ``"fail"`` or ``"give-up"``: the sandbox plays the person of every
            verification. Callbacks and redirects come as if the page had been used.
        after: seconds from an ``init`` to what the person does, 0 to 1,800.

    Raises:
        ValueError: ``access_key_id`` looks like a real one; no such person; ``after`` is outside
            its limits.
        DependencyError: Flask is not installed.
    """

    def __init__(
        self, *, port: int = 0, scene_id: str = SCENE_ID,
        access_key_id: str = "sandbox-access-key-id",
        access_key_secret: str = "sandbox-access-key-secret",
        clock: Callable[[], float] = time.time, ssl_context: Optional[ssl.SSLContext] = None,
        data_as_text: bool = False, person: Optional[str] = None, after: float = 1.0
    ) -> None:
        try:
            # Imported here, so that the error below says how Flask is installed.
            from .listener import Listener, create_application
        except ImportError as error:
            raise unimportable("The sandbox needs Flask", "flask", error) from error
        if person not in (None,) + tuple(ACTS) or not 0 <= after <= LIFETIME:
            raise ValueError("person must be %s; after 0 to %d" % (", ".join(ACTS), LIFETIME))
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.scene_id = scene_id
        self._gate = Gate(clock)
        self._service = Service(scene_id, clock)
        self._exchange = Exchange(self._gate, self._service, data_as_text)
        #: Every call since the start or the last reset, refused calls too.
        self.requests: List[ReceivedRequest] = self._exchange.requests
        self._caller = Caller()
        #: Every attempt to call the app back since the start or the last reset.
        self.callbacks: List[CallbackTry] = self._caller.tries
        self._service.submitted = self._caller.call
        #: certify_id -> the timer of the played person; REFUSED -> that of the end of this fault.
        self._timers: Dict[str, threading.Timer] = {}
        if person is not None:
            self._service.opened = lambda it: self._later(
                it.certify_id, after, self._service.act, it.certify_id, person
            )
        application = create_application(self, self._exchange, self._service)
        self._listener = Listener(application, port, clock, ssl_context)
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

    def start(self) -> "Sandbox":
        """Listen; calls can be made as soon as this returns."""
        self._listener.open()
        self._service.certify_url_base = self.endpoint
        return self

    def stop(self) -> None:
        """Cut every connection and free the port."""
        self._exchange.faults.clear()
        self._cancel(*self._timers)
        self._caller.stop()
        self._listener.close()

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
        if not self._service.act(certify_id, "pass" if passed else "fail"):
            raise ValueError("The verification expired, was submitted before, or is unknown.")

    def wait_for_person(self, certify_id: str) -> bool:
        """Wait until the played person has acted; return False when the sandbox plays none."""
        timer = self._timers.get(certify_id)
        if timer is not None:
            timer.join()
        return timer is not None

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
            with self._lock:
                # Before the listener closes, because the timer of an earlier order opens it.
                self._cancel(REFUSED)
                self._listener.close()
                self._later(REFUSED, seconds, self._listener.open)
        else:
            self._exchange.faults.add(fault, times, share, on, seconds)

    def heal(self) -> None:
        """End every fault, delays under way too."""
        self._exchange.faults.clear()
        with self._lock:
            if self._cancel(REFUSED):
                self._listener.open()

    def reset(self) -> None:
        """Forget verifications, nonces, received calls and faults; AccessKeys stay."""
        self.heal()
        self._cancel(*self._timers)
        self._service.reset()
        self._gate.forget_nonces()
        self.requests.clear()
        self.callbacks.clear()

    def _later(self, name: str, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        """Call a function after a while, in place of what was ordered under the same name."""
        with self._lock:
            self._cancel(name)
            self._timers[name] = timer = threading.Timer(seconds, function, args)
            timer.daemon = True
            timer.start()

    def _cancel(self, *names: str) -> bool:
        """Cancel timers, or wait for what they began; tell whether there was one."""
        with self._lock:
            timers = [self._timers.pop(name) for name in names if name in self._timers]
            for timer in timers:
                timer.cancel()
                timer.join()
            return bool(timers)
