"""Faults: what goes wrong between a client and the service, on demand."""

import json
import random
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from .service import MESSAGES, Answer

REFUSED = "refused"

#: Name -> what happens to the call.
FAULTS = {
    REFUSED: "the port refuses connections for `seconds`",
    "cut": "the call is done, then the connection is cut without a response",
    "no-answer": "the call is done, and no response ever comes",
    "slow": "the call is done, and the response comes after `seconds`",
    "html-502": "the call is done, and a proxy responds HTTP 502 with a page",
    "http-503": "the gateway responds HTTP 503 ServiceUnavailable",
    "throttled": "the gateway responds Throttling.User",
    "echo": "the gateway refuses the call and repeats all parameters in Message",
    "truncated": "the call is done, and half of the response's JSON comes",
    "data-string": "Data is a string that holds JSON",
    "data-null": "the call is done, and Data is null",
    "code-string": "Code is a string",
    "lower-case": "the keys of the response are in lower case",
    "extra-keys": "the response has undocumented keys",
}

CODES = {"code-%d" % code: code for code in MESSAGES if code != 200}
FAULTS.update({name: "the service responds with Code %d" % code for name, code in CODES.items()})


class Refusal(Exception):
    """The gateway refuses a request, with this code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code)  # without the message, which may repeat personal data
        self.code = code
        self.message = message
        self.status = status


class Fault(NamedTuple):
    """The fault that one call meets (an empty name: none). ``on`` is its method; None: both."""

    name: str
    on: Optional[str]
    seconds: float
    healed: threading.Event

    def instead(self, parameters: Mapping[str, str]) -> Optional[Answer]:
        """Return the answer that replaces the call or raise Refusal; None: the call is done."""
        if self.name == "http-503":
            raise Refusal("ServiceUnavailable", "The request has failed temporarily.", 503)
        if self.name == "throttled":
            raise Refusal("Throttling.User", "Request was denied due to user flow control.")
        if self.name == "echo":
            raise Refusal("InvalidParameter.Echo", "Not valid: %s" % dict(parameters))
        code = CODES.get(self.name)
        return None if code is None else (code, MESSAGES[code], None)

    def bend(self, envelope: Dict[str, Any], data_as_text: bool) -> Dict[str, Any]:
        """Return the response's object as the fault changes it, and with Data as JSON text."""
        if self.name == "data-null":
            envelope = dict(envelope, Data=None)
        elif self.name == "code-string":
            envelope = dict(envelope, Code=str(envelope["Code"]))
        elif self.name == "extra-keys":
            data = dict(envelope.get("Data") or {}, subCode="", verifyScore=[0.5, None])
            envelope = dict(envelope, Data=data, Success=True, TraceId={"nested": [1, 2]})
        if (data_as_text or self.name == "data-string") and envelope.get("Data") is not None:
            envelope = dict(envelope, Data=json.dumps(envelope["Data"]))
        if self.name == "lower-case":
            return {key[:1].lower() + key[1:]: value for key, value in envelope.items()}
        return envelope

    def delay(self) -> bool:
        """Delay the response; return True when the connection must be cut instead."""
        if self.name in ("slow", "no-answer"):
            self.healed.wait(self.seconds if self.name == "slow" else None)
        return self.name in ("cut", "no-answer")


NO_FAULT = Fault("", None, 0.0, threading.Event())


class Faults:
    """The faults that wait for calls: counted ones first, then those that are drawn at random."""

    def __init__(self) -> None:
        self._counted: List[Fault] = []
        self._shares: List[Tuple[float, Fault]] = []
        self._healed = threading.Event()
        # Seeded, so that the same calls in the same order meet the same faults.
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def add(
        self, name: str, times: int, share: Optional[float], on: Optional[str], seconds: float
    ) -> None:
        """Let the next ``times`` calls meet a fault, or a share of all later calls."""
        with self._lock:
            fault = Fault(name, on, seconds, self._healed)
            if share is None:
                self._counted += [fault] * times
            elif sum(known for known, _ in self._shares) + share > 1 + 1e-9:
                raise ValueError("the shares of all faults together must not exceed 1")
            else:
                self._shares.append((share, fault))

    def take(self, method: Any) -> Fault:
        """Return the fault that this call meets."""
        with self._lock:
            for fault in self._counted:
                if fault.on in (None, method):
                    self._counted.remove(fault)
                    return fault
            drawn = self._random.random() if self._shares else 1.0
            for share, fault in self._shares:
                if 0 <= drawn < share and fault.on in (None, method):
                    return fault
                drawn -= share
            return NO_FAULT

    def clear(self) -> None:
        """Remove every fault and end every delay."""
        with self._lock:
            self._healed.set()
            self._healed = threading.Event()
            self._counted.clear()
            self._shares.clear()
