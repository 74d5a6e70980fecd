"""Many queries: ``query_many``; ``run`` does the same from a file of ids to a file of results."""

from .ids import read_ids
from .many import Batch, BatchItem, query_many
from .rate import Rate
from .shared import SharedRate

__all__ = ["Batch", "BatchItem", "Rate", "SharedRate", "query_many", "read_ids"]
