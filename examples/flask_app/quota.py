"""How many verifications visitors may open: each one costs money, and anyone can fill in the form.

The counts are in this process's memory. ``redis://…`` in place of ``memory://`` is for several.
"""

import ipaddress

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

SESSION = parse("10/hour")
ADDRESS = parse("50/day")
EVERYBODY = parse("1000/day")


class Quota:
    def __init__(self):
        self._storage = storage_from_string("memory://")  # old releases' limiters only refer to it
        self._limiter = FixedWindowRateLimiter(self._storage)

    def take(self, session, address):
        """Count one verification, or return False: session, address or day has no more."""
        # In this order, so that what is refused to one visitor uses up nothing of the others'.
        return (
            self._limiter.hit(SESSION, "session", session)
            and self._limiter.hit(ADDRESS, "address", network(address))
            and self._limiter.hit(EVERYBODY, "everybody")
        )


def network(address):
    """Return what one visitor has: an IPv4 address, or 64 bits of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"  # all of them together, because a visitor may have invented it
    ip = getattr(ip, "ipv4_mapped", None) or ip
    prefix = 64 if ip.version == 6 else 32
    return str(ipaddress.ip_network("%s/%d" % (ip, prefix), strict=False))
