"""Many queries: see ``query_many``; ``run.run_batch`` goes from a file to a file."""

from .many import Batch, query_many
from .outcome import Outcome

__all__ = ["Batch", "Outcome", "query_many"]
