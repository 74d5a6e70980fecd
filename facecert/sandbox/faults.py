"""What can go wrong between a client and the service, on demand."""

import json
import random
import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .rpc import Refusal
from .service import MESSAGES, Outcome

REFUSED = "refused"
CUT = "cut"
NO_ANSWER = "no-answer"
SLOW = "slow"
HTML_502 = "html-502"
HTTP_503 = "http-503"
THROTTLED = "throttled"
ECHO = "echo"
TRUNCATED = "truncated"
DATA_STRING = "data-string"
DATA_NULL = "data-null"
CODE_STRING = "code-string"
LOWER_CASE = "lower-case"
EXTRA_KEYS = "extra-keys"

#: name -> what happens to the call.
FAULTS = {
    REFUSED: "nobody listens, for `seconds`",
    CUT: "it is done, then the connection is cut without an answer",
    NO_ANSWER: "it is done, and no answer ever comes",
    SLOW: "it is done, and answered after `seconds`",
    HTML_502: "it is done, and a proxy answers HTTP 502 with a page",
    HTTP_503: "the gateway answers HTTP 503 ServiceUnavailable",
    THROTTLED: "the gateway answers Throttling.User",
    ECHO: "the gateway refuses, and repeats all parameters in its Message",
    TRUNCATED: "it is done, and half of the answer's JSON comes",
    DATA_STRING: "Data comes as a string of JSON",
    DATA_NULL: "it is done, and Data comes as null",
    CODE_STRING: "Code comes as a string",
    LOWER_CASE: "the envelope's keys come in lower case",
    EXTRA_KEYS: "keys come that nobody documented",
}

CODES = {"code-%d" % code: code for code in MESSAGES if code != 200}
FAULTS.update({name: "the service answers Code %d" % code for name, code in CODES.items()})


class Fault:
    """A fault that strikes one call."""

    def __init__(self, name: str, on: Optional[str], seconds: float) -> None:
        self.name = name
        self.on = on
        self._seconds = seconds
        self.ended = threading.Event()

    def hold(self) -> bool:
        """Hold the call's answer back as long as it says; True: then cut the connection."""
        if self.name == SLOW:
            self.ended.wait(self._seconds)
        elif self.name == NO_ANSWER:
            self.ended.wait()
        return self.name in (CUT, NO_ANSWER)


class Faults:
    """The faults that wait for their calls, first come, first struck."""

    def __init__(self) -> None:
        self._waiting: List[Fault] = []
        self._striking: List[Fault] = []
        #: (share, method or None, name, seconds)
        self._shares: List[Tuple[float, Optional[str], str, float]] = []
        # The same calls in the same order meet the same faults.
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def add(self, name: str, times: int, on: Optional[str], seconds: float) -> None:
        """Let the next ``times`` calls (of method ``on`` if it is given) meet a fault."""
        with self._lock:
            self._waiting += [Fault(name, on, seconds) for _ in range(times)]

    def add_share(self, name: str, share: float, on: Optional[str], seconds: float) -> None:
        """Let a share of all calls meet a fault from now on, drawn at random."""
        with self._lock:
            if sum(known[0] for known in self._shares) + share > 1 + 1e-9:
                raise ValueError("the shares of all faults together must not exceed 1")
            self._shares.append((share, on, name, seconds))

    def take(self, method: Any) -> Optional[Fault]:
        """Return the fault that strikes this call, if one does."""
        with self._lock:
            fault = self._next(method) or self._drawn(method)
            if fault is not None and fault.name in (SLOW, NO_ANSWER):
                self._striking.append(fault)
            return fault

    def _next(self, method: Any) -> Optional[Fault]:
        for fault in self._waiting:
            if fault.on in (None, method):
                self._waiting.remove(fault)
                return fault
        return None

    def _drawn(self, method: Any) -> Optional[Fault]:
        drawn = self._random.random() if self._shares else 1.0
        for share, on, name, seconds in self._shares:
            if drawn < share:
                return Fault(name, on, seconds) if on in (None, method) else None
            drawn -= share
        return None

    def clear(self) -> None:
        """Let every call through, those that are held up now too."""
        with self._lock:
            for fault in self._striking:
                fault.ended.set()
            self._waiting.clear()
            self._shares.clear()
            self._striking.clear()


def instead(fault: Optional[Fault], parameters: Mapping[str, str]) -> Optional[Outcome]:
    """Turn a call away before it is done: raise the Refusal, or return the answer instead."""
    if fault is None:
        return None
    if fault.name == HTTP_503:
        raise Refusal("ServiceUnavailable", 503, "The request has failed temporarily.")
    if fault.name == THROTTLED:
        raise Refusal("Throttling.User", 400, "Request was denied due to user flow control.")
    if fault.name == ECHO:
        raise Refusal("InvalidParameter.Echo", 400, "Not valid: %s" % dict(parameters))
    code = CODES.get(fault.name)
    return None if code is None else (code, MESSAGES[code], None)


def bend(fault: Optional[Fault], envelope: Dict[str, Any]) -> Dict[str, Any]:
    """Return the envelope as the fault makes it."""
    name = fault.name if fault else ""
    if name == DATA_STRING:
        return dict(envelope, Data=json.dumps(envelope.get("Data")))
    if name == DATA_NULL:
        return dict(envelope, Data=None)
    if name == CODE_STRING:
        return dict(envelope, Code=str(envelope["Code"]))
    if name == LOWER_CASE:
        return {key[:1].lower() + key[1:]: value for key, value in envelope.items()}
    if name == EXTRA_KEYS:
        data = dict(envelope.get("Data") or {}, subCode="", verifyScore=[0.5, None])
        return dict(envelope, Data=data, Success=True, TraceId={"nested": [1, 2]})
    return envelope
