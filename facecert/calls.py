"""One init or query from end to end: kept in the ledger before and after it is sent."""

from datetime import datetime
from typing import TYPE_CHECKING, Optional, Sequence, Tuple

from . import lifecycle, results
from .answers import Answer
from .callback import Callback
from .lifecycle import Keeper
from .params import ServiceParameters, query_parameters
from .results import InitResult, QueryResult

if TYPE_CHECKING:  # it imports the SDK
    from .gateway import Gateway


def init(
    gateway: "Gateway", parameters: ServiceParameters, ledger: Optional[Keeper]
) -> InitResult:
    """Open a verification. Nothing is sent before the ledger has its row.

    Raises:
        FacecertError: see ``Client.init``.
    """
    order = str(parameters.outer_order_no)

    def read(answer: Answer, sent_at: datetime) -> InitResult:
        return results.read_init(
            answer, outer_order_no=order, expires_at=sent_at + lifecycle.LIFETIME
        )

    if ledger is None:
        return gateway.call(parameters, read)
    ledger.keep_sent(order, scene_id=parameters.scene_id, sent_at=gateway.now())
    try:
        opened = gateway.call(parameters, read)
    except BaseException as error:  # a time-out's signal may strike anywhere
        ledger.keep_opening(order, lifecycle.failed(error))
        raise
    ledger.keep_opening(order, lifecycle.opened(opened))
    return opened


def query(
    gateway: "Gateway",
    parameters: ServiceParameters,
    ledger: Optional[Keeper],
    *,
    outer_order_no: Optional[str] = None,
    claim: Optional[bool] = None
) -> QueryResult:
    """Ask about a verification and keep the answer.

    Args:
        outer_order_no, claim: what a genuine callback has told; see ``Keeper.keep_answer``.

    Raises:
        FacecertError: see ``Client.query``.
    """

    def read(answer: Answer, sent_at: datetime) -> Tuple[QueryResult, datetime]:
        return results.read_query(answer, certify_id=str(parameters.certify_id)), sent_at

    answer, asked_at = gateway.call(parameters, read)
    if ledger is not None:
        ledger.keep_answer(answer, asked_at=asked_at, outer_order_no=outer_order_no, claim=claim)
    return answer


def confirm(
    gateway: "Gateway",
    callback: Callback,
    ledger: Optional[Keeper],
    *,
    secrets: Sequence[str],
    outer_order_no: Optional[str],
    certify_id: Optional[str],
    scene_id: Optional[str]
) -> QueryResult:
    """Check a callback and ask about its verification.

    Raises:
        FacecertError: see ``Client.confirm``.
    """
    callback.check(secrets, outer_order_no, certify_id)
    parameters = query_parameters(callback.certify_id, scene_id=scene_id)
    if not secrets:
        # Nothing proves the order, nor that it is the platform who claims.
        return query(gateway, parameters, ledger)
    order = outer_order_no or callback.outer_order_no
    return query(gateway, parameters, ledger, outer_order_no=order, claim=callback.passed)
