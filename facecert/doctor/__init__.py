"""The doctor: finds out why no verification can be opened from this machine."""

from .checks import CHECKS, examine
from .finding import Case, Finding

__all__ = ["CHECKS", "Case", "Finding", "examine"]
