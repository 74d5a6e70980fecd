"""What the threads of a batch do with one id."""

from datetime import datetime, timezone
from typing import Any, Optional, Tuple, Union

from ..client import Client
from ..errors import FacecertError, InvalidParameter
from ..id_files import check_id
from ..rate import Rate, Stopped
from ..redact import forget_frames
from .outcome import Outcome

try:
    # Its methods are whole: Ctrl-C cannot leave it locked.
    from queue import SimpleQueue
except ImportError:  # Python 3.6
    from queue import Queue as SimpleQueue  # type: ignore[assignment]

#: An id has 32 hexadecimal characters. What is shorter than this may be a name out of the wrong
#: column: it must not travel or be repeated as an id.
_SHORTEST_ID = 20

Item = Union[str, Tuple[str, Optional[str]]]


def check_batch_id(certify_id: Any) -> str:
    """Return what may be the id of a verification, out of any source.

    Raises:
        InvalidParameter: it cannot be one, or looks like a name or a number of something else.
    """
    if isinstance(certify_id, str) and len(certify_id) < _SHORTEST_ID:
        raise InvalidParameter(
            "certify_id is too short. Was the wrong column taken?", field="certify_id"
        )
    return check_id(certify_id)


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
            forget_frames(error)
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
            forget_frames(error)
            failure = error
        return Outcome(certify_id, answer, failure, asked_at, position)


def _read(item: Any) -> Tuple[str, Optional[str]]:
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return check_batch_id(item[0]), item[1]
    return check_batch_id(item), None
