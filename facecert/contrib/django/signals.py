"""The signal that reports the result of a verification."""

from django.dispatch import Signal

#: Sent at least once for each change of the outcome (``failed`` may become ``passed``), with
#: ``verification`` (read ``verification.passed``) and ``answer`` (the ``QueryResult``). Receivers
#: must be idempotent. They run in the transaction that stores the state: if one raises, the state
#: is rolled back (not with MyISAM), the response is 500, and the platform's next call or
#: ``facecert_settle`` sends it again. So change only the database in a receiver, and do the rest
#: (a mail, say) in ``transaction.on_commit``.
verified = Signal()
