"""One finding of the doctor, and what every examination is given."""

import re
import threading
from typing import Any, Callable, List, Mapping, NamedTuple, TypeVar

from .. import settings
from ..errors import FacecertError

OK = "ok"
WARNING = "warning"
PROBLEM = "problem"

Result = TypeVar("Result")


class Finding(NamedTuple):
    """What one examination found.

    Attributes:
        subject: what was looked at, in a word: ``"packages"``, ``"dns"``, ``"clock"`` ...
        verdict: ``"ok"``, ``"warning"`` or ``"problem"``.
        words: what was found, and whose fault it is. No secret and no personal data.
        repair: the command or step that repairs it, or ``""``.
    """

    subject: str
    verdict: str
    words: str
    repair: str = ""


class Case(NamedTuple):
    """What is examined: the ``FACECERT_*`` variables, and the clock to hold against others."""

    environ: Mapping[str, str]
    clock: Callable[[], float]

    def setting(self, variable: str) -> Any:
        """Return what a ``FACECERT_*`` variable stands for, None when it is not set.

        Raises:
            InvalidParameter: it holds something impossible.
        """
        read = settings.from_environment({variable: self.environ.get(variable, "")})
        return read.get(settings.VARIABLES[variable][0])

    @property
    def endpoint(self) -> str:
        """The endpoint that the environment names, or else Alibaba Cloud's."""
        return self.setting("FACECERT_ENDPOINT") or settings.DEFAULT_ENDPOINT


def failed(subject: str, error: Exception) -> Finding:
    """Make a finding of an error. Only facecert's own words are fit to be shown."""
    if not isinstance(error, FacecertError):
        words = "This examination itself broke off (%s). Report it to facecert; the others go on."
        return Finding(subject, PROBLEM, words % type(error).__name__)
    words, *repair = re.split(" (?:Repair it|Install them) with: ", str(error))
    return Finding(subject, PROBLEM, words, "".join(repair))


def within(seconds: float, what: Callable[[], Result]) -> Result:
    """Return what a function returns, or raise what it raises, unless that takes too long.

    For what has no time limit of its own, as the system's resolver. It may go on in the
    background, which keeps no process from ending.

    Raises:
        TimeoutError: the time is over.
    """
    results: List[Result] = []
    errors: List[Exception] = []

    def run() -> None:
        try:
            results.append(what())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    for error in errors[:1]:
        raise error
    if not results:
        raise TimeoutError("no answer within %d seconds" % seconds)
    return results[0]
