#!/bin/sh
# A job for cron: query what the ledger waits for, then list what needs attention.
#
#     FACECERT_LEDGER=verifications.db sh nightly.sh FOLDER
#
# The results go to FOLDER. cron mails what is printed: the list, and errors. The exit status is 0
# when there is nothing to do, 1 when the list is not empty, else the code of facecert query.
set -u
results=$1/pending-$(date +%Y%m%d-%H%M%S).jsonl

facecert query --ledger-pending --output "$results" >/dev/null
code=$?
case $code in
    0) ;;
    4) echo "Some ids have no answer yet. The next run queries them again." >&2 ;;
    *) exit $code ;;
esac
facecert ledger unsettled
