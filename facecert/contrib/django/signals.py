"""The signal that reports the result of a verification."""

from django.dispatch import Signal

#: Sent once for each verification, when its result is final, with ``verification`` (read
#: ``verification.passed``) and ``answer`` (the ``QueryResult``). Receivers run in the transaction
#: that stores the state: if one raises, the state is rolled back, the response is 500, and the
#: platform calls again. So change only the database in a receiver, and do the rest (a mail, say)
#: in ``transaction.on_commit``.
verified = Signal()
