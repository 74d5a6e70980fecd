"""The ledger: a durable record of every init, and the monthly bill beside it. Needs SQLAlchemy."""

from .schema import Entry  # first, because it says how to install SQLAlchemy
from .bill import Bill
from .store import Ledger

__all__ = ["Bill", "Entry", "Ledger"]
