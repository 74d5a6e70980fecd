"""The ledger: a durable record of every init, and the monthly bill beside it. Needs SQLAlchemy."""

from .bill import Bill
from .schema import Entry
from .store import Ledger

__all__ = ["Bill", "Entry", "Ledger"]
