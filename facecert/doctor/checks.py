"""The doctor: finds out why nobody can be verified from this machine, without anybody's data.

Nothing is printed here; ``facecert doctor`` does that.
"""

import base64
import os
import time
from typing import Callable, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .. import settings
from ..crypto import sm2
from ..links import is_loopback
from ..callback import check_secrets
from ..transport.credentials import Credentials
from ..errors import ClockSkew, CredentialsError, FacecertError, InvalidParameter, ServiceError
from .finding import OK, PROBLEM, WARNING, Case, Finding, failed, within
from .packages import check_packages, check_python
from .network import SET_CLOCK, check_clock, check_dns, check_tls
from ..redact import mask_number

__all__ = ["CHECKS", "Case", "Finding", "examine"]

#: No verification has it.
NOBODYS_CERTIFY_ID = "0" * 32

#: Seconds for the credential chain, which may ask STS or the ECS instance's metadata.
PATIENCE = 10.0

_ID, _SECRET, _TOKEN = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
)  # fmt: skip

#: GB/T 32918.5, annex C: public key, nonce, text, and the ciphertext as C1C2C3.
_EXAMPLE_KEY = (
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
_EXAMPLE_TEXT = b"encryption standard"
_EXAMPLE_CIPHERTEXT = (
    "BATr/HGOjReYYgQyJo53/rZBXi7eDgc8D09kDs0uFJpz6Fj52B5UMKV7Ntqrj5UKPGTm7mpjCU2ZKDr/dn4STfAhiGyp"
    "icqcfVgIcwfKkwktZR76WZg8GPgJ4mKSPFOuwpXTA4O1TjnWCdFgr8sZCNC9h2Y="
)

Check = Callable[[Case], Iterator[Finding]]


def check_settings(case: Case) -> Iterator[Finding]:
    """The ``FACECERT_*`` variables, each by itself; the proxy and the CA bundle."""
    wrong = False
    for variable in settings.VARIABLES:
        try:
            value = case.setting(variable)
            if variable == "FACECERT_CALLBACK_SECRET" and value is not None:
                check_secrets(value)
        except FacecertError as error:
            wrong = True
            words = str(error) if variable in str(error) else "%s: %s" % (variable, error)
            yield Finding("settings", PROBLEM, words + ".", "correct or unset %s" % variable)
    if not wrong:
        yield Finding("settings", OK, "What is set of the FACECERT_ variables can be used.")
    if not case.environ.get("FACECERT_SCENE_ID", "").strip():
        yield Finding(
            "settings",
            WARNING,
            "FACECERT_SCENE_ID is not set: the app must pass scene_id to Client or to every call.",
            "set FACECERT_SCENE_ID to the scene's number from the console",
        )


def check_endpoint(case: Case) -> Iterator[Finding]:
    """Who is asked, and through which proxy and with which CA bundle."""
    endpoint = case.endpoint
    if endpoint == settings.DEFAULT_ENDPOINT:
        yield Finding("endpoint", OK, "%s, Alibaba Cloud's." % endpoint)
    else:
        kind = "on this machine, a sandbox" if is_loopback(endpoint) else "another host"
        words = "%s is %s: this is not Alibaba Cloud."
        yield Finding("endpoint", WARNING, words % (endpoint, kind), "unset FACECERT_ENDPOINT")
    from ..transport.connect import ca_variable, proxy_address, tls_context

    proxy = proxy_address(endpoint)
    if proxy:
        words = "The connection goes through the proxy %s, from HTTPS_PROXY or ALL_PROXY." % proxy
        yield Finding("endpoint", OK, words)
    # Reads the CA bundle; raises what names the variable.
    tls_context()
    variable = ca_variable()
    if variable:
        yield Finding("endpoint", OK, "Certificates are judged by the bundle in %s." % variable)


def check_credentials(case: Case) -> Iterator[Finding]:
    """Whether the standard chain finds an AccessKey, and where."""
    legacy = os.environ.get("ALIYUN_ACCESS_KEY_ID")
    if legacy:
        yield Finding(
            "credentials",
            WARNING,
            "ALIYUN_ACCESS_KEY_ID is set; neither facecert nor the standard chain reads it.",
            "set %s and %s instead" % (_ID, _SECRET),
        )
    try:
        snapshot = within(PATIENCE, Credentials().snapshot)
    except CredentialsError as error:
        yield Finding(
            "credentials",
            PROBLEM,
            str(error),
            "set %s and %s where the app runs (systemd and cron read no shell profile), or attach"
            " a RAM role" % (_ID, _SECRET),
        )
        return
    except TimeoutError:
        words = "The standard chain was still looking after %d seconds: STS, ECS metadata or" % (
            PATIENCE
        )
        words += " ALIBABA_CLOUD_CREDENTIALS_URI do not answer."
        yield Finding(
            "credentials",
            PROBLEM,
            words,
            "set %s and %s, or let this machine reach what it asks; where there is no ECS"
            " metadata: ALIBABA_CLOUD_ECS_METADATA_DISABLED=true" % (_ID, _SECRET),
        )
        return
    source = snapshot.source or "unnamed"
    if os.environ.get(_ID, "").strip() == snapshot.access_key_id:
        source = "environment variable %s" % _ID
    words = "AccessKey id %s, from: %s; %s STS token." % (
        mask_number(snapshot.access_key_id), source, "with an" if snapshot.security_token else "no"
    )  # fmt: skip
    if snapshot.security_token is None and (
        snapshot.access_key_id.startswith("STS.")
        or (source.endswith(_ID) and os.environ.get(_TOKEN, "").strip())
    ):
        words += " It is a temporary one, and its token did not come along: it is not set, or the"
        words += " installed alibabacloud-credentials is too old to read it."
        repair = "set %s, and: python -m pip install --upgrade alibabacloud-credentials" % _TOKEN
        yield Finding("credentials", PROBLEM, words, repair)
    else:
        yield Finding("credentials", OK, words)


def check_sm2(case: Case) -> Iterator[Finding]:
    """Whether encryption does what the standard prints, and with whose key."""
    if sm2_works():
        yield Finding("sm2", OK, "Encryption yields the standard's own example.")
    else:
        words = "Encryption does not yield the standard's example: facecert or gmssl is damaged."
        repair = "python -m pip install --force-reinstall --no-deps gmssl"
        yield Finding("sm2", PROBLEM, words, repair)
    try:
        used = "" if case.setting("FACECERT_ENCRYPT") else (
            " (FACECERT_ENCRYPT is off, so only what the app encrypts itself is concerned.)"
        )  # fmt: skip
    except InvalidParameter:
        used = ""  # settings names it
    unset = "unset %s" % sm2.VARIABLE
    try:
        key = case.setting(sm2.VARIABLE)
    except InvalidParameter as error:
        yield Finding("sm2", PROBLEM, "The key cannot be used: %s.%s" % (error, used), unset)
        return
    if key is None or key == sm2.published_key():
        yield Finding("sm2", OK, "The key is the one that the service publishes." + used)
    elif is_loopback(case.endpoint):
        words = "The key is not the published one. Whether it is this sandbox's cannot be judged"
        yield Finding("sm2", OK, words + " from here." + used)
    else:
        words = "%s is other than the key that the service publishes: if the service answers 501"
        words += " 系统错误, this is why. Right only if it gave you one of your own."
        yield Finding("sm2", WARNING, words % sm2.VARIABLE + used, unset)


def sm2_works() -> bool:
    """Tell whether the standard's example (GB/T 32918.5, annex C) gives the printed ciphertext."""
    key = sm2.PublicKey.parse(_EXAMPLE_KEY)
    sealed = sm2.encrypt_bytes(_EXAMPLE_TEXT, key, _EXAMPLE_NONCE) or b""
    return base64.b64encode(sealed).decode("ascii") == _EXAMPLE_CIPHERTEXT


def check_ledger(case: Case) -> Iterator[Finding]:
    """Whether the ledger can be read and written, if there is one."""
    url = case.setting("FACECERT_LEDGER")
    if url is None:
        words = "FACECERT_LEDGER is not set: the app itself has to store every certify_id."
        yield Finding("ledger", OK, words)
        return
    from ..ledger.store import Ledger

    ledger = Ledger(url)
    if not ledger.database.is_there:
        words = "%r is not there yet; the first init makes it. Is the path right?"
        yield Finding("ledger", WARNING, words % ledger.database)
        return
    try:
        ledger.check()
        look_after = sum(1 for entry in ledger.unsettled())
    finally:
        ledger.close()
    words = "%r can be read and written; %d verifications are unsettled." % (
        ledger.database, look_after
    )  # fmt: skip
    yield Finding("ledger", OK, words, "facecert ledger unsettled" if look_after else "")


def check_call(case: Case) -> Iterator[Finding]:
    """One signed question about a verification that does not exist: the refusal tells."""
    from ..client import Client

    words = "A signed query came through: key, signature, clock and permission are fine."
    arguments = dict(settings.from_environment(case.environ), attempts=1)
    try:
        with Client(**arguments) as client:
            if client.query(NOBODYS_CERTIFY_ID).passed:
                words = "%s says that a verification which cannot exist was passed: it is not the"
                words = words % urlsplit(client.endpoint).netloc + " service."
                yield Finding("call", PROBLEM, words, "correct FACECERT_ENDPOINT")
                return
    except ServiceError as error:
        if error.code != 400:
            yield Finding("call", PROBLEM, "%s: %s" % (type(error).__name__, error))
            return
    except FacecertError as error:
        finding = failed("call", error)
        yield finding._replace(repair=SET_CLOCK) if isinstance(error, ClockSkew) else finding
        return
    yield Finding("call", OK, words)


#: What is examined, in this order. Each is named ``check_`` and its subject.
CHECKS: Tuple[Check, ...] = (
    check_python,
    check_packages,
    check_settings,
    check_endpoint,
    check_credentials,
    check_dns,
    check_tls,
    check_clock,
    check_sm2,
    check_ledger,
)


def examine(
    *,
    call: bool = False,
    environ: Optional[Mapping[str, str]] = None,
    clock: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """Examine this process's surroundings and yield what is found, as it is found.

    An examination that breaks off is a finding too and stops no other. Nothing personal is sent;
    without ``call`` no credentials either. It may take half a minute where nothing answers.

    Args:
        call: also make one signed ``query`` about a verification that does not exist.
        environ: where ``FACECERT_*`` variables are looked up; None is this process's environment.
            Proxy, CA bundle and credentials are always looked up in the latter, as always.
        clock: this machine's time in seconds since the epoch.
    """
    case = Case(os.environ if environ is None else environ, clock)
    for check in CHECKS + ((check_call,) if call else ()):
        try:
            yield from check(case)
        except Exception as error:
            broken_off = failed(check.__name__[len("check_"):], error)
        else:
            continue
        yield broken_off
