"""Real-person verification (fin_face_verify) with Alibaba Cloud, from the server's side."""

import logging

from ._version import __version__  # noqa: F401
from .callback import Callback, parse_callback
from .client import Client
from .default import confirm, init, query, wait
from .errors import (
    BadAnswer, BudgetSpent, CallbackError, ClockSkew, ConnectionFailed, CredentialsError,
    DependencyError, FacecertError, GatewayError, InvalidParameter, LedgerError, NoAnswer,
    ServiceError, SignatureError, Throttled,
)  # fmt: skip
from .links import alipay_link
from .official import init_request, query_request, read_init, read_query
from .results import InitResult, QueryResult
from .crypto.sm2 import Ciphertext, encrypt

__all__ = [
    "BadAnswer", "BudgetSpent", "Callback", "CallbackError", "Ciphertext", "Client", "ClockSkew",
    "ConnectionFailed", "CredentialsError", "DependencyError", "FacecertError", "GatewayError",
    "InitResult", "InvalidParameter", "LedgerError", "NoAnswer", "QueryResult", "ServiceError",
    "SignatureError", "Throttled", "alipay_link", "confirm", "encrypt", "init", "init_request",
    "parse_callback", "query", "query_request", "read_init", "read_query", "wait",
]  # fmt: skip

logging.getLogger(__name__).addHandler(logging.NullHandler())
