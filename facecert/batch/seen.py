"""The ids that are done, kept on disk: a batch of a million needs no memory for them."""

import sqlite3

from ..errors import FacecertError


class OutputFailed(FacecertError):
    """The results cannot be written. The lines that are in the file are whole."""


class Seen:
    """A set of ids kept on disk, in a temporary database that goes with the process.

    For one thread.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA cache_size = -2000",  # KiB
            "CREATE TABLE seen (certify_id TEXT PRIMARY KEY) WITHOUT ROWID",
            "BEGIN",
        ):
            self._database.execute(statement)

    def add(self, certify_id: str) -> bool:
        """Add an id; False: it was there already.

        Raises:
            OutputFailed: there is no space for the temporary database.
        """
        try:
            done = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (certify_id,))
        except sqlite3.OperationalError as error:
            raise OutputFailed(
                "The temporary database of ids failed: %s. SQLITE_TMPDIR says where it is." % error
            ) from error
        return done.rowcount == 1

    def close(self) -> None:
        """Give the disk space back."""
        self._database.close()
