"""What the threads of a batch do with one id."""

from datetime import datetime, timezone
from typing import Any, Optional, Tuple, Union

from ..client import Client
from ..errors import FacecertError
from ..params import check_certify_id
from ..transport.retry import Stopped
from .rate import Rate
from ..redact import empty_frames
from .outcome import Outcome

try:
    # Its methods are whole: Ctrl-C cannot leave it locked.
    from queue import SimpleQueue
except ImportError:  # Python 3.6
    from queue import Queue as SimpleQueue  # type: ignore[assignment]

Item = Union[str, Tuple[str, Optional[str]]]


class Desk:
    """Where items and outcomes are put. The threads know it alone, so that a Batch can go."""

    def __init__(self, client: Client, rate: Rate, scene_id: Optional[str]) -> None:
        self.rate = rate
        self.items: "SimpleQueue[Optional[Tuple[int, Item]]]" = SimpleQueue()
        #: Outcomes; a thread's last word is None, or the bug that it met.
        self.outcomes: "SimpleQueue[Union[Outcome, BaseException, None]]" = SimpleQueue()
        self.stopped = False
        self._client = client
        self._scene_id = scene_id

    def work(self) -> None:
        """Be one of the threads."""
        last_word: Optional[BaseException] = None
        try:
            for position, item in iter(self.items.get, None):
                if not self.stopped:
                    self.outcomes.put(self._ask(position, item))
        except Stopped:
            pass
        except BaseException as error:  # carried over to the thread that iterates
            empty_frames(error)
            last_word = error
        self.outcomes.put(last_word)

    def _ask(self, position: int, item: Any) -> Outcome:
        asked_at = datetime.now(timezone.utc)
        certify_id, answer, failure = "", None, None
        try:
            certify_id, scene_id = _read(item)
            answer = self._client.query(certify_id, scene_id=scene_id or self._scene_id)
        except Stopped:
            raise
        except FacecertError as error:
            empty_frames(error)
            failure = error
        return Outcome(certify_id, answer, failure, asked_at, position)


def _read(item: Any) -> Tuple[str, Optional[str]]:
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return check_certify_id(item[0], 20), item[1]
    return check_certify_id(item, 20), None
