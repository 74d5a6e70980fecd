"""The doctor's checks of Python and of the packages.

``aliyun-python-sdk-core`` and ``aliyun-python-sdk-core-v3`` install the same import package. The
one that pip unpacks last overwrites files of the other, and pip does not notice.
"""

import importlib
import importlib.util
import pathlib
import re
import sys
import warnings
from contextlib import suppress
from typing import Any, Iterator, List, Optional

from .._version import __version__
from ..locale import Text as _
from .finding import OK, PROBLEM, WARNING, Case, Finding

CORE = "aliyun-python-sdk-core"
CORE_V3 = "aliyun-python-sdk-core-v3"

#: What facecert needs beside either core: distribution -> import package.
NEEDED = {
    "aliyun-python-sdk-saf": "aliyunsdksaf", "gmssl": "gmssl",
    "alibabacloud-credentials": "alibabacloud_credentials",
}  # fmt: skip

#: Distribution -> the extra that needs it.
EXTRAS = {
    "click": "cli", "tqdm": "cli", "segno": "cli", "flask": "sandbox", "blinker": "flask",
    "SQLAlchemy": "ledger", "Django": "django", "cryptography": "pictures",
}  # fmt: skip

#: Distribution -> the oldest release that works, as in setup.cfg.
OLDEST = {
    "aliyun-python-sdk-core-v3": "2.8.2", "alibabacloud-credentials": "0.0.4", "click": "7.0",
    "flask": "0.12", "SQLAlchemy": "1.4", "Django": "1.11",
}  # fmt: skip

#: The modules that sign; facecert uses nothing else of ``aliyunsdkcore``.
_SIGNER = ("aliyunsdkcore.auth.signers.sts_token_signer", "aliyunsdkcore.request")

NEWEST_PYTHON = (3, 13)  # that facecert is tested with
_INSTALL = "python -m pip install "


def check_python(case: Case) -> Iterator[Finding]:
    """Check the version of Python."""
    where = sys.executable or _("an unknown path")
    words = _("Python %d.%d.%d at %s, facecert %s.") % (*sys.version_info[:3], where, __version__)
    if sys.version_info[:2] > NEWEST_PYTHON:
        words += _(" facecert is tested with 3.6 to %d.%d; this Python is newer.") % NEWEST_PYTHON
        yield Finding("python", WARNING, words, _("use Python %d.%d") % NEWEST_PYTHON)
    else:
        yield Finding("python", OK, words)


def check_packages(case: Case) -> Iterator[Finding]:
    """Check that the packages are installed and can make and sign a request."""
    versions = {name: _version(name) for name in (CORE, CORE_V3, *NEEDED, *EXTRAS)}
    there = ["%s %s" % (name, version) for name, version in versions.items() if version]
    words = _("Installed: %s.") % (", ".join(there) or _("none of the packages"))
    without = ["%s (%s)" % (name, EXTRAS[name]) for name in EXTRAS if not versions[name]]
    if without:
        words += _(" Not installed, for extras only: %s.") % ", ".join(without)
    yield Finding("packages", OK, words)
    for name, oldest in OLDEST.items():
        found = versions[name]
        if found and _numbers(found) < _numbers(oldest):
            words = _("%s %s is too old: facecert needs %s or later.") % (name, found, oldest)
            verdict = PROBLEM
            if name in EXTRAS:
                words += _(" This is about its extra %s only.") % EXTRAS[name]
                verdict = WARNING
            yield Finding("packages", verdict, words, '%s"%s>=%s"' % (_INSTALL, name, oldest))
    missing = [name for name, module in NEEDED.items() if not versions[name] and not _file(module)]
    if missing:
        words = _("Missing: %s. facecert needs them for every call.")
        yield Finding("packages", PROBLEM, words % ", ".join(missing), _INSTALL + " ".join(missing))
    signs = all(_import(module) for module in _SIGNER)
    yield _core(versions[CORE], versions[CORE_V3], signs)
    if signs and not missing:
        # Raises a DependencyError for a package with metadata but without files.
        from ..transport import gateway  # noqa: F401


def _core(core: Optional[str], core_v3: Optional[str], signs: bool) -> Finding:
    """Tell which distribution the files of ``aliyunsdkcore`` are from, and whether they work."""
    repair = "python -m pip uninstall -y %s && " % CORE_V3
    repair += _INSTALL + "--force-reinstall --no-deps " + CORE
    # Read and not imported, because the import may fail.
    file = _file("aliyunsdkcore")
    text = pathlib.Path(file).read_text(encoding="utf-8", errors="replace") if file else ""
    match = re.search(r"""^__version__\s*=\s*["']([0-9A-Za-z.+-]+)["']""", text, re.M)
    known = match.group(1) if match else _("(unknown version)")
    if core and core_v3:
        owners = {core: CORE, core_v3: CORE_V3} if core != core_v3 else {}
        names = (CORE, core, CORE_V3, core_v3)
        words = _("%s %s and %s %s are both installed, as the same import package.") % names
        owner = owners.get(known, _("unknown distribution"))
        words += _(" On disk is %s of %s, ") % (known, owner)
        if signs:
            words += _(
                "and it can be imported. It works until pip uninstalls or updates one of them."
                " After the repair pip check reports core-v3 missing; facecert works without."
            )
            return Finding("packages", WARNING, words, repair)
        words += _("and it cannot be imported: its files are mixed, or Python is 3.12 or later.")
    elif signs:
        return Finding("packages", OK, _("aliyunsdkcore %s can be imported.") % known)
    elif core_v3 and sys.version_info >= (3, 12):
        words = _("%s alone is installed; it cannot be imported on Python 3.12 or later.") % CORE_V3
    elif not core and not core_v3 and file is None:
        words = _("Neither %s nor %s is installed, so no request can be signed.") % (CORE, CORE_V3)
        repair = _INSTALL + CORE
    else:
        words = _("aliyunsdkcore %s is on disk and cannot be imported: files are missing or mixed.")
        words %= known
    return Finding("packages", PROBLEM, words, repair)


def _import(module: str) -> Any:
    """Return a module, or None when it cannot be imported."""
    with suppress(Exception), warnings.catch_warnings():  # a broken package may raise anything
        warnings.simplefilter("ignore")
        return importlib.import_module(module)
    return None


def _file(module: str) -> Optional[str]:
    """Return the path of an import package's ``__init__.py``, if there is one."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # sys.modules holds something else under this name
        return None
    return spec.origin if spec and spec.has_location else None


def _numbers(version: str) -> List[int]:
    """Return the numbers of a release for a comparison; 7, 7.0 and 7.0.0 are equal."""
    release = re.sub(r"[^0-9.].*", "", version)
    return [int(part) for part in re.sub(r"(\.0)*\.?$", "", release).split(".") if part]


def _version(distribution: str) -> Optional[str]:
    """Return the version of a distribution by its metadata, or None."""
    metadata = _import("importlib.metadata")
    if metadata is None:  # Python 3.6 and 3.7, where setuptools reads metadata
        resources = _import("pkg_resources")
        found = resources and resources.working_set.by_key.get(distribution.lower())
        return str(found.version) if found else None
    try:
        return str(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return None
