"""The doctor: finds out why this machine cannot open a verification."""

from .checks import CHECKS, examine
from .finding import Case, Finding

__all__ = ["CHECKS", "Case", "Finding", "examine"]
