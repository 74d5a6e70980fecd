"""URLs: the link into Alipay, the QR code of a ``certify_url``, the endpoint and loopback hosts.

Sources: help.aliyun.com 145726, 146452, 144545.
"""

import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

from .errors import invalid, unimportable
from .redact import LONE_SURROGATE, guarded

#: The only endpoint named for this service (help.aliyun.com 181863).
DEFAULT_ENDPOINT = "https://saf.cn-shanghai.aliyuncs.com"

_OPEN_IN_ALIPAY = "alipays://platformapi/startapp?appId=20000067&url="


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine itself (127.0.0.0/8, ::1 or localhost)."""
    import ipaddress

    with suppress(ValueError):  # of either: no address, or no URL
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


@guarded
def alipay_link(certify_url: str) -> str:
    """Return the link that opens a ``certify_url`` in Alipay, for a browser on the person's phone.

    Raises:
        InvalidParameter: the value is not an http or https URL.
    """
    # JavaScript's encodeURIComponent leaves these characters alone, too.
    return _OPEN_IN_ALIPAY + quote(_checked(certify_url), safe="-_.!~*'()")


def qr_svg(certify_url: str) -> str:
    """Return a QR code of a ``certify_url`` as SVG, for a PC's screen, to be scanned with Alipay.

    The SVG scales with the element around it and can be put into a page unchanged.

    Raises:
        InvalidParameter: the value is not an http or https URL, or has more than 2,953 bytes, the
            limit of a QR code.
        DependencyError: segno is not installed.
    """
    return str(_qr(certify_url).svg_inline(scale=4, border=2, omitsize=True))


def qr_terminal(certify_url: str) -> str:
    """Return a QR code of a ``certify_url`` as lines of text for a terminal; see ``qr_svg``."""
    import io

    text = io.StringIO()
    _qr(certify_url).terminal(out=text, border=2, compact=True)
    return text.getvalue()


def _qr(certify_url: str) -> Any:
    try:
        import segno
    except ImportError as error:
        raise unimportable("QR codes need segno", "segno", error) from error
    url = _checked(certify_url)
    with suppress(ValueError):  # nothing but the length can be wrong here
        return segno.make(url, error="l", micro=False)
    raise invalid("certify_url", "is too long for a QR code")


def _checked(certify_url: str) -> str:
    is_url = isinstance(certify_url, str) and certify_url.startswith(("https://", "http://"))
    if not is_url or re.search(LONE_SURROGATE, certify_url):
        raise invalid("certify_url", "must be what init returned")
    return certify_url
