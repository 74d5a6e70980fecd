"""The doctor's checks of settings, credentials, SM2 and ledger, and the list of all checks."""

import base64
import os
from contextlib import closing, suppress
from typing import Callable, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .. import settings
from ..client import Client
from ..crypto import sm2
from ..errors import ClockSkew, CredentialsError, DependencyError, FacecertError, ServiceError
from ..links import is_loopback
from ..locale import Text, Text as _
from ..redact import mask_number
from ..transport.credentials import ID, SECRET, Credentials
from .finding import OK, PROBLEM, WARNING, Case, Finding, failed, within
from .network import SET_CLOCK, check_clock, check_dns, check_endpoint, check_tls
from .packages import check_packages, check_python

#: Seconds for the credential chain, which may call STS or the metadata of the ECS instance.
PATIENCE = 10.0

#: GB/T 32918.5, annex C: public key, nonce, text, and the ciphertext as C1C2C3.
_EXAMPLE_KEY = (
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
_EXAMPLE_CIPHERTEXT = (
    "BATr/HGOjReYYgQyJo53/rZBXi7eDgc8D09kDs0uFJpz6Fj52B5UMKV7Ntqrj5UKPGTm7mpjCU2ZKDr/dn4STfAhiGyp"
    "icqcfVgIcwfKkwktZR76WZg8GPgJ4mKSPFOuwpXTA4O1TjnWCdFgr8sZCNC9h2Y="
)


def check_settings(case: Case) -> Iterator[Finding]:
    """Check every ``FACECERT_*`` variable by itself, as a Client does."""
    valid = True
    for variable in settings.VARIABLES:
        names = [variable] + ["FACECERT_LEDGER"] * (variable == "FACECERT_PER_DAY")  # goes with it
        try:
            with suppress(DependencyError):  # other checks report it
                Client.from_environment({n: case.environ.get(n, "") for n in names}).close()
        except FacecertError as error:
            valid = False
            words = str(error) if variable in str(error) else "%s: %s" % (variable, error)
            yield Finding("settings", PROBLEM, words + ".", _("correct or unset %s") % variable)
    if valid:
        yield Finding("settings", OK, _("The FACECERT_ variables that are set are valid."))
    if not case.environ.get("FACECERT_SCENE_ID", "").strip():
        words = _("FACECERT_SCENE_ID is not set: pass scene_id to Client or to each call.")
        repair = _("set FACECERT_SCENE_ID to the scene's number from the console")
        yield Finding("settings", WARNING, words, repair)


def check_credentials(case: Case) -> Iterator[Finding]:
    """Check that the standard chain finds an AccessKey, and name its source."""
    repair = _("set %s and %s where the app runs") % (ID, SECRET)
    try:
        snapshot = within(PATIENCE, Credentials().snapshot)
    except CredentialsError as error:
        repair += _(" (systemd and cron read no shell profile), or attach a RAM role")
        yield Finding("credentials", PROBLEM, str(error), repair)
        return
    except TimeoutError:
        words = _("STS, the ECS metadata or ALIBABA_CLOUD_CREDENTIALS_URI gave no response.")
        repair += _("; without ECS metadata: ALIBABA_CLOUD_ECS_METADATA_DISABLED=true")
        yield Finding("credentials", PROBLEM, words, repair)
        return
    words = _("AccessKey id %s, from: %s; no STS token.")
    if snapshot.security_token:
        words = _("AccessKey id %s, from: %s; with an STS token.")
    words %= (mask_number(snapshot.access_key_id), snapshot.source or _("unnamed"))
    yield Finding("credentials", OK, words)


def check_sm2(case: Case) -> Iterator[Finding]:
    """Check that encryption gives the standard's result, and which public key it uses."""
    if sm2_works():
        yield Finding("sm2", OK, _("Encryption gives the result of the standard's example."))
    else:
        words = _("Encryption does not give the standard's result: facecert or gmssl is damaged.")
        repair = "python -m pip install --force-reinstall --no-deps gmssl"
        yield Finding("sm2", PROBLEM, words, repair)
    note = Text()
    if not case.setting("FACECERT_ENCRYPT"):
        note = _(" FACECERT_ENCRYPT is off; this is about facecert.encrypt() only.")
    key = case.setting(sm2.VARIABLE)
    if key is None or key == sm2.published_key():
        yield Finding("sm2", OK, _("The key is the one that the service publishes.") + note)
    elif is_loopback(case.endpoint):
        words = _("The key is not the published one. The sandbox's key cannot be checked.")
        yield Finding("sm2", OK, words + note)
    else:
        words = _(
            "The service publishes another key. Unless it issued this one, encrypted calls end"
            " with 501 系统错误."
        )
        yield Finding("sm2", WARNING, words + note, _("unset %s") % sm2.VARIABLE)


def sm2_works() -> bool:
    """Tell whether encryption gives the ciphertext of the standard's example."""
    key = sm2.PublicKey.parse(_EXAMPLE_KEY)
    sealed = sm2.encrypt_bytes(b"encryption standard", key, _EXAMPLE_NONCE) or b""
    return base64.b64encode(sealed).decode("ascii") == _EXAMPLE_CIPHERTEXT


def check_ledger(case: Case) -> Iterator[Finding]:
    """Check that the ledger in the environment can be read and written."""
    url = case.setting("FACECERT_LEDGER")
    if url is None:
        words = _("FACECERT_LEDGER is not set: store every certify_id yourself.")
        yield Finding("ledger", OK, words)
        return
    from ..ledger.store import Ledger

    with closing(Ledger(url)) as ledger:
        if not ledger.database.is_there:
            words = _("%r does not exist yet; the first init creates it. Check the path.")
            yield Finding("ledger", WARNING, words % ledger.database)
            return
        ledger.check()
        unsettled = sum(1 for entry in ledger.unsettled())
    words = _("%r can be read and written; %d verifications are unsettled.")
    repair = "facecert ledger unsettled" if unsettled else ""
    yield Finding("ledger", OK, words % (ledger.database, unsettled), repair)


def check_call(case: Case) -> Iterator[Finding]:
    """Make one signed query about a verification that does not exist; the refusal is the proof."""
    words = _("A signed query reached the service: key, signature, clock and permission are right.")
    finding = Finding("call", OK, words)
    try:
        with Client(**dict(settings.from_environment(case.environ), attempts=1)) as client:
            if client.query("0" * 32).passed:
                words = _("%s is not the service: an unknown verification counts as passed there.")
                words %= urlsplit(client.endpoint).netloc
                finding = Finding("call", PROBLEM, words, _("correct FACECERT_ENDPOINT"))
    except FacecertError as error:
        if not isinstance(error, ServiceError) or error.code != 400:
            finding = failed("call", error)
        if isinstance(error, ClockSkew):
            finding = finding._replace(repair=SET_CLOCK)
    yield finding


#: The checks, in this order. Each is named ``check_`` and its subject.
CHECKS: Tuple[Callable[[Case], Iterator[Finding]], ...] = (
    check_python, check_packages, check_settings, check_endpoint, check_credentials, check_dns,
    check_tls, check_clock, check_sm2, check_ledger,
)  # fmt: skip


def examine(
    *, call: bool = False, environ: Optional[Mapping[str, str]] = None
) -> Iterator[Finding]:
    """Check this process's environment and yield each finding as soon as it is known.

    A check that fails is a finding too and stops no other check. Nothing personal is sent, and
    without ``call`` no credentials. It may take half a minute when no server responds.

    Args:
        call: also make one signed ``query`` about a verification that does not exist.
        environ: the ``FACECERT_*`` variables; None is this process's environment. Proxy, CA
            bundle and credentials always come from the process's environment.
    """
    case = Case(os.environ if environ is None else environ)
    for check in CHECKS + ((check_call,) if call else ()):
        try:
            yield from check(case)
        except Exception as error:
            yield failed(check.__name__[len("check_"):], error)
