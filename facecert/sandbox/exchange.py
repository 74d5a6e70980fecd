"""One call from the outside in: what was received, what it met, what it is answered."""

import json
import uuid
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl

from . import faults, rpc
from .faults import Fault, Faults
from .rpc import Gate, Refusal
from .service import Service

HOST_ID = "saf.cn-shanghai.aliyuncs.com"
_PAGE_502 = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"


class ReceivedRequest(NamedTuple):
    """A call as it came in. Its repr shows neither parameters nor headers.

    Attributes:
        method: the HTTP method.
        query, form: the parameters of the URL and of the body.
        headers: names as they came.
        peer: address and port of the other end; the same for calls on one connection.
        received_at: seconds since the epoch.
        fault: what it met, or None.
    """

    method: str
    query: Dict[str, str]
    form: Dict[str, str]
    headers: Dict[str, str]
    peer: Tuple[str, int]
    received_at: float = 0.0
    fault: Optional[str] = None

    @property
    def service_parameters(self) -> Dict[str, Any]:
        """The fields of the call, or ``{}`` where they are not a JSON object."""
        text = self.form.get("ServiceParameters") or self.query.get("ServiceParameters") or ""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def __repr__(self) -> str:
        return "<ReceivedRequest %s %s>" % (self.method, self.service_parameters.get("method"))


class Response(NamedTuple):
    """What is answered, unless ``cut_instead()`` says that the connection is to be cut."""

    status: int
    content_type: str
    text: str
    cut_instead: Callable[[], bool]


class Exchange:
    """Takes a call past the gate and the faults to the service, and its answer back."""

    def __init__(self, gate: Gate, service: Service, clock: Callable[[], float]) -> None:
        self.requests: List[ReceivedRequest] = []
        self.faults = Faults()
        self._gate = gate
        self._service = service
        self._clock = clock

    def answer(
        self,
        method: str,
        query: str,
        form: str,
        headers: Mapping[str, str],
        peer: Tuple[str, int],
    ) -> Response:
        """Answer one call, given as it came: query string and body still encoded."""
        received_at = self._clock()
        query_pairs, form_pairs = _decode(query), _decode(form)
        request = ReceivedRequest(
            method, dict(query_pairs), dict(form_pairs), dict(headers), peer, received_at
        )
        fault = self.faults.take(request.service_parameters.get("method"))
        access_key_id = dict(query_pairs + form_pairs).get("AccessKeyId", "")
        if not rpc.looks_real(access_key_id):
            self.requests.append(request._replace(fault=fault.name if fault else None))
        request_id = str(uuid.uuid4()).upper()
        try:
            parameters = self._gate.check(method, query_pairs + form_pairs)
            outcome = faults.instead(fault, parameters) or self._service.execute(
                parameters.get("Service", ""), parameters.get("ServiceParameters", "")
            )
        except Refusal as refusal:
            return _json(refusal.status, _refused(refusal, request_id))
        code, message, data = outcome
        envelope: Dict[str, Any] = {"RequestId": request_id, "Message": message, "Code": code}
        if data is not None:
            envelope["Data"] = data
        return self._spoilt(fault, _json(200, faults.bend(fault, envelope)))

    def _spoilt(self, fault: Optional[Fault], response: Response) -> Response:
        if fault is None:
            return response
        if fault.name == faults.HTML_502:
            return response._replace(status=502, content_type="text/html", text=_PAGE_502)
        if fault.name == faults.TRUNCATED:
            return response._replace(text=response.text[: len(response.text) // 2])
        return response._replace(cut_instead=fault.hold)


def _refused(refusal: Refusal, request_id: str) -> Dict[str, Any]:
    return {
        "RequestId": request_id,
        "HostId": HOST_ID,
        "Code": refusal.code,
        "Message": refusal.message,
        "Recommend": "https://api.aliyun.com/troubleshoot?q=%s" % refusal.code,
    }


def _json(status: int, envelope: Mapping[str, Any]) -> Response:
    text = json.dumps(envelope, ensure_ascii=False)
    # It may repeat a parameter whose bytes were no UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Response(status, "application/json;charset=utf-8", text, lambda: False)


def _decode(text: str) -> List[Tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
