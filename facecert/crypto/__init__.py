"""Encryption: SM2 for name and number (``sm2``), encToken and its pictures (``pictures``)."""

from .pictures import PictureKey
from .sm2 import PublicKey

__all__ = ["PictureKey", "PublicKey"]
