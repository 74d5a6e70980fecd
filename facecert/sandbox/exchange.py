"""One call: what the sandbox received, the fault it met, and the response."""

import json
import uuid
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl

from . import rpc
from .faults import Faults
from .service import Service

#: The status of a response that is not sent: the listener cuts the connection. (nginx's code.)
CUT = 444

_PAGE_502 = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"


class ReceivedRequest(NamedTuple):
    """One call as the sandbox received it. Its repr shows neither parameters nor headers.

    Attributes:
        method: the HTTP method.
        query, form: the parameters of the URL and of the body.
        headers: header names as the client sent them.
        peer: the client's address and port; equal for calls on one connection.
        received_at: seconds since the epoch.
        fault: the fault that the call met, or None.
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
        """The fields of the call, or ``{}`` when they are not a JSON object."""
        text = self.form.get("ServiceParameters") or self.query.get("ServiceParameters") or ""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def __repr__(self) -> str:
        return "<ReceivedRequest %s %s>" % (self.method, self.service_parameters.get("method"))


class Response(NamedTuple):
    """The response to one call; with the status ``CUT`` none is sent."""

    status: int
    content_type: str
    text: str


class Exchange:
    """Passes a call through the gate and the faults to the service, and returns the response."""

    def __init__(self, gate: rpc.Gate, service: Service, clock: Callable[[], float]) -> None:
        self.requests: List[ReceivedRequest] = []
        self.faults = Faults()
        self._gate = gate
        self._service = service
        self._clock = clock

    def answer(
        self, method: str, query: str, form: str, headers: Mapping[str, str], peer: Tuple[str, int]
    ) -> Response:
        """Return the response to one call. ``query`` and ``form`` are still URL-encoded."""
        in_query, in_form = _decode(query), _decode(form)
        request = ReceivedRequest(
            method, dict(in_query), dict(in_form), dict(headers), peer, self._clock()
        )
        fault = self.faults.take(request.service_parameters.get("method"))
        if not rpc.looks_real(dict(in_query + in_form).get("AccessKeyId", "")):
            self.requests.append(request._replace(fault=fault.name or None))
        request_id = str(uuid.uuid4()).upper()
        try:
            parameters = self._gate.check(method, in_query + in_form)
            code, message, data = fault.instead(parameters) or self._service.execute(
                parameters.get("Service", ""), parameters.get("ServiceParameters", "")
            )
        except rpc.Refusal as refusal:
            return _json(
                refusal.status, RequestId=request_id, Code=refusal.code, Message=refusal.message,
                HostId="saf.cn-shanghai.aliyuncs.com",
                Recommend="https://api.aliyun.com/troubleshoot?q=%s" % refusal.code,
            )
        envelope = {"RequestId": request_id, "Message": message, "Code": code}
        if data is not None:
            envelope["Data"] = data
        response = _json(200, **fault.bend(envelope))
        if fault.name == "html-502":
            response = Response(502, "text/html", _PAGE_502)
        elif fault.name == "truncated":
            response = response._replace(text=response.text[: len(response.text) // 2])
        return response._replace(status=CUT) if fault.delay() else response


def _json(status: int, **envelope: Any) -> Response:
    text = json.dumps(envelope, ensure_ascii=False)
    # A parameter that the text repeats may hold bytes that are not UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Response(status, "application/json;charset=utf-8", text)


def _decode(text: str) -> List[Tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
