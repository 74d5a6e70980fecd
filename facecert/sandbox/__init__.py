"""A gateway on this machine that stands in for Alibaba Cloud's. It verifies nobody.

It does what is documented: signature, AccessKey, time and nonce, the rules of every field, one
submission within 30 minutes, and the gateway's own way to refuse. It does not compare faces, keep
anything after it stops, know quotas or bills, and nothing in it was compared with the real service.
"""

try:
    from .exchange import ReceivedRequest
    from .server import Sandbox
except ImportError as error:  # flask is an extra
    from ..errors import DependencyError

    raise DependencyError(
        "The sandbox needs Flask. Install it with: python -m pip install 'facecert[sandbox]'"
    ) from error

__all__ = ["ReceivedRequest", "Sandbox"]
