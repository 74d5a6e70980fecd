"""What the tests do with Django on a database server, as a program: ``python … WORK``.

``FACECERT_TEST_DATABASE`` and ``FACECERT_TEST_OPTIONS`` are the database and FACECERT, in JSON. It
prints what became of the work, in JSON.
"""

import io
import json
import logging
import multiprocessing
import os
import sys
import traceback
from datetime import datetime, timedelta, timezone

import django_project

django_project.start()

from django.conf import settings  # noqa: E402
from django.core import checks  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, connections  # noqa: E402

from facecert import BudgetSpent, Throttled  # noqa: E402
from facecert.contrib.django import conf, signals  # noqa: E402
from facecert.contrib.django.models import (  # noqa: E402
    InitCount,
    Verification,
    open_verification,
)

PERSON = {"cert_name": "张三", "cert_no": "330103199001011230"}
_KILL = {
    "postgresql": ("select pg_backend_pid()", "select pg_terminate_backend(%s)"),
    "mysql": ("select connection_id()", "kill %s"),
}


def killed():
    """Kill the connection between request and response, of 50 inits and of 50 queries."""
    which, kill = _KILL[connection.vendor]
    gateway, call = conf.client()._gateway, conf.client()._gateway.call
    connections.databases["other"] = connections.databases["default"]

    def cut(parameters):
        answer = call(parameters)
        with connection.cursor() as cursor:
            cursor.execute(which)
            number = cursor.fetchone()[0]
        with connections["other"].cursor() as cursor:
            cursor.execute(kill, [number])
        return answer

    gateway.call = cut
    told, kept, stored = [], 0, 0
    signals.verified.connect(lambda verification, **kwargs: told.append(1), weak=False)
    for _ in range(50):
        row, opened = open_verification(**PERSON)
        kept += (row.state, row.certify_id) == ("opened", opened.certify_id)
        row.refresh_from_db()
        stored += (row.state, row.certify_id) == ("opened", opened.certify_id)
    print(json.dumps([row.certify_id for row in Verification.objects.all()]), flush=True)
    sys.stdin.readline()  # the test lets them pass meanwhile
    out = io.StringIO()
    call_command("facecert_settle", stdout=out, stderr=out)
    passed = Verification.objects.filter(state="passed", told="passed").count()
    return {"kept": kept, "stored": stored, "passed": passed, "told": len(told)}


def same_order():
    """Sixteen processes open each of 40 order numbers at once; every second was refused before."""
    for turn in range(0, 40, 2):
        past = datetime(2026, 1, 1, tzinfo=timezone.utc)
        Verification.objects.create(
            outer_order_no="order%d" % turn, state="refused", created_at=past, expires_at=past
        )
    meet = multiprocessing.Barrier(16).wait

    def work():
        won = {}
        for turn in range(40):
            meet(120)
            try:
                order = "order%d" % turn
                won[order] = open_verification(outer_order_no=order, **PERSON)[1].certify_id
            except IntegrityError:
                pass
        return won

    won = [item for found in in_processes(work) for item in found.items()]
    rows = {row.outer_order_no: row for row in Verification.objects.all()}
    lost = [order for order, found in won
            if (rows[order].state, rows[order].certify_id) != ("opened", found)]
    return {"won": len(won), "orders": len(dict(won)), "lost": lost}


def budget():
    """Sixteen processes send as many of 100 inits as they are let."""
    settings.FACECERT["PER_DAY"] = 100
    meet = multiprocessing.Barrier(16).wait

    def work():
        sent = spent = 0
        meet(120)
        while spent < 2:
            try:
                open_verification(**PERSON)
                sent += 1
            except BudgetSpent:
                spent += 1
            except Throttled:  # an init that the gateway refused counts
                sent += 1
        return sent

    before = datetime.now(timezone(timedelta(hours=8))).date()
    sent = sum(in_processes(work))
    counts = list(InitCount.objects.values_list("inits", flat=True))
    after = datetime.now(timezone(timedelta(hours=8))).date()
    return {"sent": sent, "counts": counts, "midnight": before != after}


def in_processes(work):
    """Run work in sixteen forked processes, and return what each returned."""
    connections.close_all()
    pipes = []
    for _ in range(16):
        reading, writing = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.write(writing, json.dumps(work()).encode())
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        pipes.append(reading)
    results = []
    for reading in pipes:
        with open(reading, "rb") as pipe:
            results.append(json.loads(pipe.read().decode() or "null"))
    for _ in pipes:
        os.wait()
    return results


def migration():
    """Go back to the first migration, insert rows as it had them, and go forward again."""
    call_command("migrate", "facecert", "0001", verbosity=0)
    sql = (
        "insert into facecert_verification (outer_order_no, certify_id, scene_id, request_id,"
        " state, created_at, expires_at) values (%s, %s, '1', %s, %s, %s, '2026-01-02 00:00:00')"
    )
    with connection.cursor() as cursor:
        for row in [
            ("stolen", "ab", "", "passed", "2026-01-01 00:00:00"),
            ("owner", "ab", "R1", "passed", "2026-01-01 00:00:01"),
            ("lost1", "", "", "sent", "2026-01-01 00:00:02"),
            ("lost2", "", "", "unknown", "2026-01-01 00:00:03"),
            ("other", "cd", "R2", "opened", "2026-01-01 00:00:04"),
        ]:
            cursor.execute(sql, row)
    call_command("migrate", "facecert", verbosity=0)
    rows = Verification.objects.order_by("created_at")
    found = [[row.outer_order_no, row.certify_id, row.told] for row in rows]
    try:
        rows.filter(outer_order_no="lost1").update(certify_id="cd")
        unique = False
    except IntegrityError:
        unique = True
    call_command("makemigrations", "facecert", check=True, dry_run=True, verbosity=0)
    call_command("migrate", "facecert", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from facecert_verification where certify_id = ''")
        back = cursor.fetchone()[0]
    call_command("migrate", "facecert", verbosity=0)
    return {"rows": found, "unique": unique, "back": back}


def myisam():
    """A receiver that raises undoes nothing, and is called again; the system check warns."""
    with connection.cursor() as cursor:
        cursor.execute("alter table facecert_verification engine=MyISAM")
    try:
        tags = [checks.Tags.database]
        try:
            warned = checks.run_checks(tags=tags, databases=["default"])
        except TypeError:  # Django before 3.1
            warned = checks.run_checks(tags=tags)
        states = []

        def broken_once(verification, **kwargs):
            states.append(Verification.objects.get().state)
            if len(states) == 1:
                raise RuntimeError("the shop's own fault")

        signals.verified.connect(broken_once, weak=False)
        row, _ = open_verification(**PERSON)
        print(json.dumps([row.certify_id]), flush=True)
        sys.stdin.readline()
        for _ in range(3):
            try:
                call_command("facecert_settle", stdout=io.StringIO(), stderr=io.StringIO())
            except Exception as error:
                states.append(type(error).__name__)
        row.refresh_from_db()
        ids = [message.id for message in warned if message.id.startswith("facecert")]
        return {"states": states, "told": row.told, "warned": ids}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("alter table facecert_verification engine=InnoDB")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr)
    settings.FACECERT.update(json.loads(os.environ["FACECERT_TEST_OPTIONS"]))
    Verification.objects.all().delete()
    InitCount.objects.all().delete()
    print(json.dumps(globals()[sys.argv[1]]()))
