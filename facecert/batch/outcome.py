"""What becomes of one id of a batch."""

from datetime import datetime
from typing import NamedTuple, Optional

from ..errors import (
    ClockSkew,
    CredentialsError,
    DependencyError,
    FacecertError,
    GatewayError,
    InvalidParameter,
    LedgerError,
    ServiceError,
    SignatureError,
)
from ..results import QueryResult


class Outcome(NamedTuple):
    """What became of one id.

    Attributes:
        certify_id: the id; ``""`` for what cannot be one (it may be a name or a number out of the
            wrong column, and is not repeated).
        answer: the QueryResult, or None.
        error: why there is no answer, or None.
        asked_at: aware UTC datetime just before it was asked; the answer is not older.
        position: the item's place in the input, from 1.
    """

    certify_id: str
    answer: Optional[QueryResult]
    error: Optional[FacecertError]
    asked_at: datetime
    position: int


def is_hopeless(error: Optional[FacecertError]) -> bool:
    """Tell whether an error is not about the id that met it, and will meet the next one too.

    No AccessKey, a wrong one, one without the right; a package or a setting that is wrong, this
    machine's clock; a quota that is used up (402), a service not booked or paid (403) or not there
    (404).
    """
    if isinstance(error, InvalidParameter):
        return error.field != "certify_id"
    if isinstance(error, ServiceError):
        return error.code in (402, 403, 404)
    hopeless = (CredentialsError, DependencyError, SignatureError, ClockSkew, LedgerError)
    if isinstance(error, hopeless):
        return True
    code = str(error.code) if isinstance(error, GatewayError) else ""
    return code.startswith(("Forbidden", "NoPermission"))
