"""The signal that tells the site what became of a verification."""

from django.dispatch import Signal

#: Sent once for each verification, when it is known whether the person passed, with
#: ``verification`` (the ``Verification``: ask ``verification.passed``) and ``answer`` (the
#: ``QueryResult``). Receivers run in the transaction that stores the state: if one raises, the
#: state goes back, the platform gets a 500 and calls again. So do in it what the database can
#: take back, and the rest (a mail, say) in ``transaction.on_commit``.
verified = Signal()
