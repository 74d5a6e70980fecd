"""fin_face_verify itself: the rules of init and query, and the states of a verification."""

import base64
import json
import os
import re
import threading
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple
from urllib.parse import quote, urlsplit

from ..errors import DependencyError
from ..links import is_loopback
from ..redact import LONE_SURROGATE, mask_name, mask_number
from .keys import KeyPair, PictureLock, decrypt

SERVICE = "fin_face_verify"

#: Seconds in which a verification can be submitted.
LIFETIME = 30 * 60

PENDING = "pending"
PASSED = "passed"
FAILED = "failed"
GIVEN_UP = "given up"
EXPIRED = "expired"

#: Giving up is not a submission.
_OPEN = (PENDING, GIVEN_UP)

#: What the person may do -> the state afterwards.
ACTS = {"pass": PASSED, "fail": FAILED, "give-up": GIVEN_UP}

MESSAGES = {
    200: "OK",
    400: "ServiceParameters参数不合法",
    402: "超出每日调用限额",
    403: "没有开通服务，或服务已到期、已欠费",
    404: "Service参数不合法",
    500: "内部错误",
    501: "系统错误",
}

#: The person's picture: a PNG of one grey pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)

#: Wire name -> the rule of init's field, a regular expression.
_INIT_RULES = {
    "sceneId": r"[0-9]+",
    "outerOrderNo": r"[A-Za-z0-9]{1,32}",
    "bizCode": r"FACE|FACE_SDK",
    "identityType": r"CERT_INFO",
    "certType": r"IDENTITY_CARD",
    "certName": r"(?s).*\S.*",
    "certNo": r"(?s).*\S.*",
    "returnUrl": r"(?s).*",
    "encryptType": r"|SM2",
    "callbackUrl": r"https?://.+",
    "callbackToken": r"(?s).*",
}
_DEFAULTS = {"encryptType": "", "callbackUrl": "https://none", "callbackToken": ""}

#: Code, Message and Data of a response.
Answer = Tuple[int, str, Optional[Dict[str, Any]]]


class Verification:
    """One opened verification. It stores name and number masked only."""

    def __init__(self, fields: Mapping[str, Any], certify_url_base: str, now: float) -> None:
        self.certify_id = os.urandom(16).hex()
        self.ticket = os.urandom(64).hex()
        content = quote(json.dumps({"certifyId": self.certify_id}), safe="")
        page = "%s/gateway.do?biz_content=%s&sign=%s"
        self.certify_url = page % (certify_url_base, content, self.ticket)
        self.outer_order_no = fields["outerOrderNo"]
        self.scene_id = fields["sceneId"]
        self.masked_name = mask_name(fields["certName"])
        self.masked_number = mask_number(fields["certNo"])
        self.return_url = fields["returnUrl"]
        self.callback_url: Optional[str] = fields.get("callbackUrl")
        self.callback_token: Optional[str] = fields.get("callbackToken")
        self.opened_at = now
        self.expires_at = now + LIFETIME
        self.state = PENDING

    @property
    def open(self) -> bool:
        """True until a submission."""
        return self.state in _OPEN

    @property
    def passed(self) -> str:
        """``T``, or ``F``, which also stands for a verification that is not done yet."""
        return "T" if self.state == PASSED else "F"


class Service:
    """Executes the calls that passed the gateway; ``scene_id`` is the only scene."""

    def __init__(self, scene_id: str, clock: Callable[[], float]) -> None:
        self.scene_id = scene_id
        self.certify_url_base = ""
        self.sm2_keys = KeyPair.generate()
        #: Called with every new verification, and with every one after its submission.
        self.opened: Callable[[Verification], None] = lambda verification: None
        self.submitted: Callable[[Verification], None] = lambda verification: None
        self.clock = clock
        self._lock = threading.Lock()
        self._verifications: Dict[str, Verification] = {}
        self._order_numbers: Set[str] = set()
        self._picture_lock: Optional[PictureLock] = None

    def execute(self, service: str, service_parameters: str) -> Answer:
        """Return Code, Message and Data for one call."""
        if service != SERVICE:
            return 404, MESSAGES[404], None
        fields = read_fields(service_parameters)
        if fields.get("method") not in ("init", "query"):
            return _not_valid("method" if fields else "ServiceParameters")
        return self._init(fields) if fields["method"] == "init" else self._query(fields)

    def picture_lock(self) -> PictureLock:
        """Return the RSA key pair, made at the first call because that may take a second."""
        with self._lock:
            if self._picture_lock is None:
                self._picture_lock = PictureLock()
            return self._picture_lock

    def act(self, certify_id: str, act: str) -> bool:
        """Do what the person does, one of ``ACTS``; return False when it is too late.

        Who gives up may return until the verification expires; a submission is final.
        """
        with self._lock:
            verification = self.find(certify_id)
            if verification is None or self.state(verification) not in _OPEN:
                return False
            verification.state = ACTS[act]
            # Inside the lock, because a thread that sees the new state may wait for the callback.
            if not verification.open:
                self.submitted(verification)
            return True

    def state(self, verification: Verification) -> str:
        """Return a verification's state now, which is ``EXPIRED`` after 30 open minutes."""
        late = verification.open and self.clock() >= verification.expires_at
        return EXPIRED if late else verification.state

    def find(self, certify_id: str) -> Optional[Verification]:
        """Return a verification, or None."""
        return self._verifications.get(certify_id)

    def newest_first(self) -> List[Verification]:
        """Return all verifications, the newest first."""
        with self._lock:
            return list(self._verifications.values())[::-1]

    def reset(self) -> None:
        """Forget every verification."""
        with self._lock:
            self._verifications.clear()
            self._order_numbers.clear()

    def _init(self, fields: Dict[str, Any]) -> Answer:
        if fields.get("encryptType") == "SM2":
            try:
                for name in ("certName", "certNo"):
                    fields[name] = decrypt(fields.get(name, ""), self.sm2_keys.private_key)
            except ValueError:
                return 501, MESSAGES[501], None
        wrong = _wrong_init_field(fields)
        if wrong or fields["sceneId"] != self.scene_id:
            return _not_valid(wrong or "sceneId")
        with self._lock:
            if fields["outerOrderNo"] in self._order_numbers:
                return _not_valid("outerOrderNo")
            self._order_numbers.add(fields["outerOrderNo"])
            verification = Verification(fields, self.certify_url_base, self.clock())
            self._verifications[verification.certify_id] = verification
        self.opened(verification)
        data = {"certifyId": verification.certify_id, "certifyUrl": verification.certify_url}
        return 200, MESSAGES[200], data

    def _query(self, fields: Mapping[str, Any]) -> Answer:
        verification = self.find(str(fields.get("certifyId")))
        if verification is None:
            return _not_valid("certifyId")
        if fields.get("sceneId") != verification.scene_id:
            return _not_valid("sceneId")
        data = {"passed": verification.passed, "identityInfo": "", "materialInfo": ""}
        if "encToken" in fields:
            try:
                picture = self.picture_lock().encrypt(PICTURE, fields["encToken"])
            except (TypeError, ValueError, DependencyError):
                return _not_valid("encToken")
            # The documentation names no field for pictures; materialInfo is the sandbox's choice.
            data["materialInfo"] = base64.b64encode(picture).decode("ascii")
        return 200, MESSAGES[200], data


def read_fields(text: str) -> Dict[str, Any]:
    """Return ServiceParameters as a dict; ``{}`` when the text is not a JSON object."""
    fields = None
    with suppress(ValueError, RecursionError):
        fields = json.loads(text)
    return fields if isinstance(fields, dict) else {}


def _wrong_init_field(fields: Mapping[str, Any]) -> Optional[str]:
    """Return the wire name of the first field that breaks its rule."""
    fields = dict(_DEFAULTS, **fields)
    for name, rule in _INIT_RULES.items():
        value = fields.get(name)
        if not isinstance(value, str) or re.search(LONE_SURROGATE, value):
            return name
        if not re.fullmatch(rule, value):
            return name
    url, allowed = fields["callbackUrl"], None
    with suppress(ValueError):
        # As documented, and http:// on this machine, because the sandbox is there too.
        allowed = urlsplit(url).hostname and (url.startswith("https://") or is_loopback(url))
    return None if allowed else "callbackUrl"


def _not_valid(field: str) -> Answer:
    hint = ' must be a string. Send "" for none' if field == "returnUrl" else ""
    return 400, "%s: %s%s" % (MESSAGES[400], field, hint), None
