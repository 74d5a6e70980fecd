"""How many verifications visitors may open: each one costs money, and anyone can fill in the form.

``SHOP_LIMITS`` in the settings says where the counts are: ``memory://`` is for one process.
"""

import ipaddress

from django.conf import settings
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

SESSION = parse("10/hour")
ADDRESS = parse("50/day")
EVERYBODY = parse("1000/day")

storage = storage_from_string(settings.SHOP_LIMITS)  # old releases' limiters only refer to it
limiter = FixedWindowRateLimiter(storage)


def take(session, request):
    """Count one verification, or return False: session, address or day has no more."""
    # In this order, so that what is refused to one visitor uses up nothing of the others'.
    return (
        limiter.hit(SESSION, "session", session)
        and limiter.hit(ADDRESS, "address", network(client_address(request)))
        and limiter.hit(EVERYBODY, "everybody")
    )


def client_address(request):
    """Return the address that the outermost of ``SHOP_PROXIES`` proxies has seen.

    Each proxy appends what it sees to X-Forwarded-For; what is further left, the visitor wrote.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if 0 < settings.SHOP_PROXIES <= len(hops):
        return hops[-settings.SHOP_PROXIES].strip()
    return request.META.get("REMOTE_ADDR", "")


def network(address):
    """Return what one visitor has: an IPv4 address, or 64 bits of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"  # all of them together, because a visitor may have invented it
    ip = getattr(ip, "ipv4_mapped", None) or ip
    prefix = 64 if ip.version == 6 else 32
    return str(ipaddress.ip_network("%s/%d" % (ip, prefix), strict=False))
