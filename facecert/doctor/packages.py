"""The doctor's look at what is installed: Python, the packages, and whose ``aliyunsdkcore`` it is.

``aliyun-python-sdk-core`` and ``aliyun-python-sdk-core-v3`` install the same import package.
Whichever is unpacked last overwrites the other's files, and pip does not notice.
"""

import importlib
import importlib.util
import pathlib
import re
import sys
import warnings
from typing import Iterator, Optional

from .._version import __version__
from .finding import OK, PROBLEM, WARNING, Case, Finding

CORE = "aliyun-python-sdk-core"
CORE_V3 = "aliyun-python-sdk-core-v3"

#: What facecert cannot do without: distribution -> import package.
NEEDED = {
    "aliyun-python-sdk-saf": "aliyunsdksaf",
    "alibabacloud-credentials": "alibabacloud_credentials",
    "gmssl": "gmssl",
    "urllib3": "urllib3",
    "certifi": "certifi",
    "cryptography": "cryptography",
}
EXTRAS = ("click", "tqdm", "segno", "flask", "SQLAlchemy", "Django")

#: What signs: if these cannot be imported, nothing else of ``aliyunsdkcore`` matters.
_SIGNER = ("aliyunsdkcore.auth.signers.sts_token_signer", "aliyunsdkcore.request")

#: The newest Python that facecert is tested with.
NEWEST_PYTHON = (3, 13)

_LEAVE_CORE = (
    "python -m pip uninstall -y %s && python -m pip install --force-reinstall --no-deps %s"
    % (CORE_V3, CORE)
)
_INSTALL = "python -m pip install "


def check_python(case: Case) -> Iterator[Finding]:
    """Which interpreter this is, and which facecert."""
    words = "Python %d.%d.%d at %s, facecert %s." % (
        sys.version_info[:3] + (sys.executable or "an unknown place", __version__)
    )
    if sys.version_info[:2] > NEWEST_PYTHON:
        words += " facecert is tested with 3.6 to %d.%d; this one is newer." % NEWEST_PYTHON
        yield Finding("python", WARNING, words, "use Python %d.%d" % NEWEST_PYTHON)
    else:
        yield Finding("python", OK, words)


def check_packages(case: Case) -> Iterator[Finding]:
    """Which packages there are, and whether the request can be made and signed with them."""
    versions = {name: _version(name) for name in (CORE, CORE_V3, *NEEDED, *EXTRAS)}
    there = ["%s %s" % (name, version) for name, version in versions.items() if version]
    words = "Installed: %s." % (", ".join(there) or "none of them")
    without = [name for name in EXTRAS if not versions[name]]
    if without:
        words += " Not installed, and needed for extras only: %s." % ", ".join(without)
    yield Finding("packages", OK, words)
    missing = [name for name, module in NEEDED.items() if not versions[name] and not _found(module)]
    if missing:
        words = "Missing: %s. facecert stands on them." % ", ".join(missing)
        yield Finding("packages", PROBLEM, words, _INSTALL + " ".join(missing))
    serves = all(_imports(module) for module in _SIGNER)
    yield _core(versions[CORE], versions[CORE_V3], serves)
    if serves and not missing:
        # What is left: the packages' metadata is there, and their files are not.
        from ..transport import gateway  # noqa: F401


def _core(core: Optional[str], core_v3: Optional[str], serves: bool) -> Finding:
    """Tell whose the import package ``aliyunsdkcore`` is, and whether it serves."""
    on_disk = _core_on_disk()
    both = core is not None and core_v3 is not None
    if serves and not both:
        return Finding("packages", OK, "aliyunsdkcore %s can be imported." % (on_disk or "(?)"))
    if both:
        words = "%s %s and %s %s are both installed: the same import package. On disk is %s" % (
            CORE, core, CORE_V3, core_v3, _owner(on_disk, core, core_v3),
        )  # fmt: skip
        if not serves:
            return Finding(
                "packages", PROBLEM, words + "; it cannot be imported: the two are mixed, or"
                " core-v3 meets Python 3.12 or later.", _LEAVE_CORE,
            )  # fmt: skip
        words += ", and it can be imported. pip leaves it so before Python 3.12; it serves until"
        words += " one of the two is uninstalled or updated. The repair leaves one whole copy"
        words += " (pip check then misses core-v3; facecert does not)."
        return Finding("packages", WARNING, words, _LEAVE_CORE)
    if core_v3 is not None and sys.version_info >= (3, 12):
        words = "%s %s alone is installed; it cannot be imported on Python 3.12 or later."
        return Finding("packages", PROBLEM, words % (CORE_V3, core_v3), _LEAVE_CORE)
    if core is None and core_v3 is None and on_disk is None:
        words = "Neither %s nor %s is installed: nothing can be signed." % (CORE, CORE_V3)
        return Finding("packages", PROBLEM, words, _INSTALL + CORE)
    words = "aliyunsdkcore %s is on disk and cannot be imported: files are missing, or mixed."
    return Finding("packages", PROBLEM, words % (on_disk or "(of no known version)"), _LEAVE_CORE)


def _owner(on_disk: Optional[str], core: Optional[str], core_v3: Optional[str]) -> str:
    if on_disk is not None and core != core_v3:
        for name, version in ((CORE, core), (CORE_V3, core_v3)):
            if version == on_disk:
                return "%s's %s" % (name, version)
    return "%s, and whose that is cannot be told" % (on_disk or "no known version")


def _imports(module: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except Exception:  # a broken package may raise anything
        return False
    return True


def _core_on_disk() -> Optional[str]:
    """Return ``aliyunsdkcore.__version__`` without importing it: that may be what fails."""
    found = _found("aliyunsdkcore")
    if found is None:
        return None
    text = found.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"""^__version__\s*=\s*["']([0-9A-Za-z.+-]+)["']""", text, re.M)
    return match.group(1) if match else None


def _found(module: str) -> Optional[pathlib.Path]:
    """Return the file that importing a package would run first, if there is one."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # somebody put something else into sys.modules
        return None
    return pathlib.Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _version(distribution: str) -> Optional[str]:
    """Return the version that is installed according to its metadata, if that can be read."""
    try:
        metadata = importlib.import_module("importlib.metadata")
    except ImportError:
        return _version_by_setuptools(distribution)
    try:
        return str(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return None


def _version_by_setuptools(distribution: str) -> Optional[str]:
    """The same on Python 3.6 and 3.7, which read no metadata by themselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            resources = importlib.import_module("pkg_resources")
    except ImportError:
        return None
    found = resources.working_set.by_key.get(distribution.lower())
    return None if found is None else str(found.version)
