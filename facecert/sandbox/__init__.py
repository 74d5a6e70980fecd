"""A gateway on this machine that stands in for Alibaba Cloud's. It verifies no real person.

The sandbox follows the documentation: signature, AccessKey, timestamp, nonce, the rules of every
field, one submission within 30 minutes, the gateway's error bodies. It compares no faces, stores
nothing after it stops, and has no quotas. Its behaviour was never compared with the real service.
"""

from .rpc import ReceivedRequest
from .server import Sandbox

__all__ = ["ReceivedRequest", "Sandbox"]
