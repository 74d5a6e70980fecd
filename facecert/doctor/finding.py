"""Findings of the doctor, and what every check is given."""

import re
import threading
import time
from concurrent.futures import Future, wait
from typing import Any, Callable, Mapping, NamedTuple, TypeVar

from .. import settings
from ..errors import FacecertError
from ..links import DEFAULT_ENDPOINT
from ..locale import Text as _

OK, WARNING, PROBLEM = "ok", "warning", "problem"

Result = TypeVar("Result")


class Finding(NamedTuple):
    """One result of a check, in English, without any secret or personal data.

    Attributes:
        subject: what was checked, in a word: ``"packages"``, ``"dns"``, ``"clock"`` ...
        verdict: ``"ok"``, ``"warning"`` or ``"problem"``.
        words: what was found, and the cause.
        repair: the command or step that repairs it, or ``""``.
    """

    subject: str
    verdict: str
    words: str
    repair: str = ""


class Case(NamedTuple):
    """What is checked: the ``FACECERT_*`` variables, and a clock in seconds since the epoch."""

    environ: Mapping[str, str]
    clock: Callable[[], float] = time.time

    def setting(self, variable: str) -> Any:
        """Return the value of a ``FACECERT_*`` variable or None; raise InvalidParameter."""
        read = settings.from_environment({variable: self.environ.get(variable, "")})
        return read.get(settings.VARIABLES[variable][0])

    @property
    def endpoint(self) -> str:
        """The endpoint in the environment, or Alibaba Cloud's."""
        return self.setting("FACECERT_ENDPOINT") or DEFAULT_ENDPOINT


def failed(subject: str, error: Exception) -> Finding:
    """Return the finding of an error. Only messages of facecert's errors are safe to show."""
    if not isinstance(error, FacecertError):
        words = _("This check failed with %s. Please report it; the other checks go on.")
        return Finding(subject, PROBLEM, words % type(error).__name__)
    cause, *repair = re.split(" (?:Repair|Install)[a-z ]* with: ", str(error))
    return Finding(subject, PROBLEM, "%s: %s" % (type(error).__name__, cause), "".join(repair))


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """Return what a call returns, or raise TimeoutError and leave it to a daemon thread."""
    future: "Future[Result]" = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([future], seconds).done:
        raise TimeoutError("no response within %d seconds" % seconds)
    return future.result()
