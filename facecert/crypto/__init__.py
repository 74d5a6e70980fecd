"""SM2 encryption of name and number (``sm2``), and the pictures of ``encToken`` (``pictures``)."""

from .pictures import PictureKey
from .sm2 import PublicKey

__all__ = ["PictureKey", "PublicKey"]
