"""Many queries: ``query_many``, and from a file of ids to a file of results (``run``)."""

from .ids import read_ids
from .many import Batch, query_many
from .outcome import Outcome
from .rate import Rate

__all__ = ["Batch", "Outcome", "Rate", "query_many", "read_ids"]
