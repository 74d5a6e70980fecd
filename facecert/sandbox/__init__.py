"""A gateway on this machine that stands in for Alibaba Cloud's. It verifies nobody.

It does what is documented: signature, AccessKey, time and nonce, the rules of every field, one
submission within 30 minutes, and the gateway's own way to refuse. It does not compare faces, keep
anything after it stops, know quotas or bills, and nothing in it was compared with the real service.
"""

from .exchange import ReceivedRequest
from .server import Sandbox

__all__ = ["ReceivedRequest", "Sandbox"]
