"""The official request, for an app that keeps its own ``AcsClient``, and what comes back.

::

    request = facecert.init_request(cert_name=name, cert_no=number, scene_id="1000000006")
    opened = facecert.read_init(client.do_action_with_exception(request), request)

``Client`` does these two steps with facecert's own transport, retries and ledger in between.
"""

import json
from datetime import datetime, timezone
from typing import Any, Mapping, Union

from . import params
from .crypto.sm2 import PublicKey
from .errors import FacecertError
from .identity import Person
from .params import ServiceParameters
from .redact import guarded
from .results import InitResult, QueryResult

ResponseBody = Union[str, bytes, Mapping[str, Any]]


@guarded
def init_request(
    *, cert_name: str, cert_no: str, scene_id: str, encrypt: bool = False,
    sm2_public_key: Union[PublicKey, str, None] = None, check_digit: bool = True, **fields: Any
) -> Any:
    """Return the official ``ExecuteRequestRequest`` of an ``init``: POST, everything in the body.

    Arguments are those of ``Client.init``; ``sm2_public_key``, ``check_digit`` those of ``Client``.

    Raises:
        InvalidParameter: a field breaks a rule; ``field`` names it.
        DependencyError: the SDK cannot be imported.
    """
    who = Person(cert_name, cert_no, encrypted=encrypt, public_key=sm2_public_key,
                 check_digit=check_digit)
    return _request(params.init_parameters(who, scene_id=scene_id, **fields))


@guarded
def query_request(certify_id: str, *, scene_id: str, **fields: Any) -> Any:
    """Return the official ``ExecuteRequestRequest`` of a ``query``: POST, everything in the body.

    Arguments are those of ``Client.query``; raises as ``init_request``.
    """
    return _request(params.query_parameters(certify_id, scene_id=scene_id, **fields))


@guarded
def read_init(response: ResponseBody, request: Any = None) -> InitResult:
    """Read the response to an ``init_request``; ``expires_at`` is counted from this call.

    Args:
        response: JSON text, bytes or a dict, as ``do_action_with_exception`` returns it.
        request: the request. Without it ``outer_order_no`` is empty, and texts of the service are
            withheld by their form alone, without a comparison with the private values.

    Raises:
        ServiceError, GatewayError, BadAnswer: see ``Client.init``.
    """
    return _read(response, request, "init")  # type: ignore[no-any-return]


@guarded
def read_query(response: ResponseBody, request: Any = None) -> QueryResult:
    """Read the response to a ``query_request``; arguments and errors as of ``read_init``."""
    return _read(response, request, "query")  # type: ignore[no-any-return]


def _request(parameters: ServiceParameters) -> Any:
    from .transport.gateway import official_request

    request = official_request(parameters.json)
    request.facecert_parameters = parameters
    return request


def _read(response: ResponseBody, request: Any, method: str) -> Any:
    from .transport import answers, retry

    unknown = ServiceParameters({"method": method, "sceneId": ""})
    parameters = getattr(request, "facecert_parameters", unknown)
    text = json.dumps(response) if isinstance(response, Mapping) else response
    body = text.encode("utf-8") if isinstance(text, str) else text
    try:
        answer = answers.read(answers.Response(200, body), parameters.private)
        return parameters.read(answer, datetime.now(timezone.utc))
    except FacecertError as error:
        retry.judge(error, parameters.repeatable)
        error.add_evidence(outer_order_no=parameters.outer_order_no or None)
        raise
