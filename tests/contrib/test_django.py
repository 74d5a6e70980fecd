import importlib
import io
import logging
import re
import sqlite3
import sys
import threading
import unittest
from datetime import timedelta

import pytest
from conftest import NAME, NUMBER
from strikes import struck

import facecert
from facecert.callback import make_token
from facecert.sandbox import service

pytest.importorskip("django", reason="Django is an extra")

import django_project  # noqa: E402

django_project.start()

import django  # noqa: E402
from django.core import checks  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import (  # noqa: E402
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.test import Client, RequestFactory, override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.translation import override  # noqa: E402

from facecert.contrib.django import (  # noqa: E402
    admin, conf, models as django_models, signals, views
)  # fmt: skip
from facecert.contrib.django.models import (  # noqa: E402
    InitCount,
    ModelLedger,
    Verification,
    open_verification,
)

SECRET = "a-secret-of-sixteen-and-more"
HERE = "http://127.0.0.1"  # tokens take all loopback hosts and ports as one
PUBLIC = "https://shop.example"


@pytest.fixture
def options(sandbox):
    """FACECERT for the sandbox; nothing waits between attempts."""
    options = {
        "SCENE_ID": sandbox.scene_id,
        "ENDPOINT": sandbox.endpoint,
        "ACCESS_KEY": (sandbox.access_key_id, sandbox.access_key_secret),
        "CALLBACK_SECRET": SECRET,
        "PUBLIC_URL": PUBLIC,
        "READ_TIMEOUT": 2,
    }
    with override_settings(FACECERT=options):
        conf.client()._gateway._sleep = lambda seconds: None
        yield options
        connections.close_all()
    Verification.objects.all().delete()
    connections.close_all()


@pytest.fixture
def heard():
    """What the signal told: (state, passed) of each time."""
    heard = []

    def receiver(sender, verification, answer, **kwargs):
        heard.append((verification.state, answer.passed))

    signals.verified.connect(receiver)
    yield heard
    signals.verified.disconnect(receiver)


@pytest.fixture
def opened(options, person):
    return open_verification(**person)[0]


def genuine(row, passed="T", **changed):
    fields = {
        "certifyId": row.certify_id,
        "passed": passed,
        "CallbackToken": make_token(SECRET, row.outer_order_no, HERE),
    }
    return {name: value for name, value in dict(fields, **changed).items() if value is not None}


def deliver(order, fields, method="get", **arguments):
    return getattr(Client(**arguments), method)("/facecert/callback/%s/" % order, fields)


def state_of(row):
    return Verification.objects.get(pk=row.pk).state


def test_opening_stores_the_row_and_sends_our_callback_url(sandbox, options, person):
    row, opened = open_verification(return_url="", **person)
    assert (row.state, row.certify_id) == ("opened", opened.certify_id)
    assert (row.scene_id, row.request_id) == (sandbox.scene_id, opened.request_id)
    assert row.expires_at == opened.expires_at and row.decided_at is None
    assert not row.final and not row.passed and not row.expired
    fields = sandbox.requests[-1].service_parameters
    assert fields["callbackUrl"] == "%s/facecert/callback/%s/" % (PUBLIC, row.outer_order_no)
    assert fields["callbackToken"] == make_token(SECRET, row.outer_order_no, HERE)


def test_the_row_is_committed_before_anything_is_sent(options, person, monkeypatch):
    seen = []

    def look(parameters):
        with sqlite3.connect(connection.settings_dict["NAME"]) as other:
            sql = "select state from facecert_verification where outer_order_no = ?"
            seen.extend(other.execute(sql, [parameters.outer_order_no]).fetchall())
        other.close()
        raise facecert.NoAnswer("cut off")

    monkeypatch.setattr(conf.client()._gateway, "call", look)
    with pytest.raises(facecert.NoAnswer):
        open_verification(outer_order_no="order1", **person)
    assert seen == [("sent",)]
    assert Verification.objects.get(outer_order_no="order1").state == "unknown"


@pytest.mark.parametrize(
    "fault, error, state",
    [
        ("http-503", facecert.GatewayError, "unknown"),
        ("cut", facecert.NoAnswer, "unknown"),
        ("throttled", facecert.Throttled, "refused"),
    ],
)
def test_an_init_that_fails_is_remembered(sandbox, options, person, fault, error, state):
    sandbox.fail(fault, times=3)
    with pytest.raises(error):
        open_verification(outer_order_no="order1", **person)
    assert Verification.objects.get().state == state
    sandbox.heal()


def test_what_was_not_sent_leaves_no_row(options, person):
    for wrong in (
        dict(person, cert_name=""),
        dict(person, outer_order_no="a-b"),
        dict(person, outer_order_no="x" * 33),
        dict(person, outer_order_no=NUMBER),
    ):
        with pytest.raises(facecert.InvalidParameter):
            open_verification(**wrong)
    assert not Verification.objects.exists()


def test_an_order_number_that_was_refused_may_be_used_again(sandbox, options, person):
    sandbox.fail("throttled", times=3)
    with pytest.raises(facecert.Throttled):
        open_verification(outer_order_no="order1", **person)
    row, opened = open_verification(outer_order_no="order1", **person)
    assert (row.state, row.certify_id) == ("opened", opened.certify_id)
    assert Verification.objects.count() == 1


def test_the_table_is_a_ledger_for_any_client(sandbox, options, person, heard):
    with sandbox.client(ledger=ModelLedger()) as client:
        opened = client.init(outer_order_no="order1", **person)
        client.query(opened.certify_id)
        assert Verification.objects.get().state == "opened" and heard == []
        sandbox.complete(opened.certify_id)
        client.query(opened.certify_id)
    assert Verification.objects.get().state == "passed" and heard == [("passed", True)]


def test_bug_a_replica_that_lags_lost_what_was_opened(sandbox, options, person, monkeypatch):
    from django.db import router

    monkeypatch.setattr(router, "db_for_read", lambda model, **hints: "a replica")
    row, opened = open_verification(outer_order_no="order1", **person)
    assert (row.state, row.certify_id) == ("opened", opened.certify_id)


def test_an_order_number_opens_once(sandbox, opened, person):
    sandbox.requests.clear()
    with pytest.raises(IntegrityError):
        open_verification(outer_order_no=opened.outer_order_no, **person)
    assert sandbox.requests == [] and state_of(opened) == "opened"


def test_without_a_public_url_nobody_is_called_back(sandbox, options, person):
    with override_settings(FACECERT=dict(options, PUBLIC_URL="")):
        open_verification(**person)
    assert "callbackUrl" not in sandbox.requests[-1].service_parameters


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("passes", [True, False])
def test_a_genuine_callback_settles(sandbox, opened, heard, method, passes):
    sandbox.complete(opened.certify_id, passed=passes)
    fields = genuine(opened, "T" if passes else "F")
    answer = deliver(opened.outer_order_no, fields, method, enforce_csrf_checks=True)
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    row = Verification.objects.get(pk=opened.pk)
    assert (row.passed, row.final) == (passes, True)
    assert abs(row.decided_at - timezone.now()) < timedelta(minutes=1)
    assert heard == [("passed" if passes else "failed", passes)]


def test_the_service_is_believed_not_the_callback(sandbox, opened, heard):
    sandbox.complete(opened.certify_id)
    assert deliver(opened.outer_order_no, genuine(opened, "F")).status_code == 200
    assert state_of(opened) == "passed" and heard == [("passed", True)]


def test_a_pass_that_the_service_does_not_know_yet_is_final_in_no_direction(
    sandbox, opened, heard
):
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    assert state_of(opened) == "opened" and heard == []
    sandbox.complete(opened.certify_id)
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert state_of(opened) == "passed"


def forgeries(row, other):
    yield "no token", genuine(row, CallbackToken=None)
    yield "empty token", genuine(row, CallbackToken="")
    yield "wrong token", genuine(row, CallbackToken="x" * 27)
    token = make_token(SECRET, other.outer_order_no, HERE)
    yield "another order's token", genuine(row, CallbackToken=token)
    yield "another order's callback", genuine(other)
    yield "another order named", genuine(row, order=other.outer_order_no)
    yield "another verification", genuine(row, certifyId=other.certify_id)
    yield "no verification", genuine(row, certifyId=None)
    yield "passed repeated", genuine(row, passed=["T", "F"])
    yield "passed in two cases", genuine(row, PASSED="F")
    yield "token too long", genuine(row, CallbackToken="x" * 600)
    yield "nothing", {}


@pytest.mark.parametrize("method", ["get", "post"])
def test_forged_callbacks_change_nothing_and_are_not_asked_about(
    sandbox, opened, person, heard, method
):
    other, _ = open_verification(**person)
    sandbox.complete(opened.certify_id)  # so that asking would say "passed"
    sandbox.requests.clear()
    before = list(Verification.objects.values())
    for what, fields in forgeries(opened, other):
        assert deliver(opened.outer_order_no, fields, method).status_code == 403, what
    assert list(Verification.objects.values()) == before
    assert sandbox.requests == [] and heard == []


def test_post_with_a_parameter_in_the_url_too_must_have_the_same_value(sandbox, opened, heard):
    url = "/facecert/callback/%s/?passed=T" % opened.outer_order_no
    assert Client().post(url, genuine(opened, "F")).status_code == 403
    url += "&certifyId=%s" % opened.certify_id
    sandbox.complete(opened.certify_id)
    assert Client().post(url, genuine(opened)).status_code == 200
    token = {"CallbackToken": make_token(SECRET, opened.outer_order_no, HERE)}
    assert Client().post(url, token).status_code == 200


def test_bug_a_callback_settled_another_order_as_failed(sandbox, opened, person, heard):
    other, _ = open_verification(**person)
    order = opened.outer_order_no
    forged = genuine(opened, "F", certifyId=other.certify_id, order=order)
    with sandbox.client(ledger=ModelLedger(), callback_secret=SECRET) as client:
        with pytest.raises(facecert.CallbackError):
            client.confirm(forged)
    # Nor when the response to init was lost, so that the order has no certify_id of its own.
    Verification.objects.filter(pk=opened.pk).update(certify_id=None)
    sandbox.complete(other.certify_id)
    sandbox.requests.clear()
    for passed in "TF":
        assert deliver(order, dict(forged, passed=passed)).status_code == 403
    assert sandbox.requests == []
    opened.refresh_from_db()
    assert (opened.certify_id, state_of(opened), state_of(other)) == (None, "opened", "opened")
    assert heard == []


def test_an_id_that_another_row_takes_at_the_same_moment_is_refused(
    opened, person, monkeypatch
):
    other, _ = open_verification(**person)
    taken = other.certify_id
    Verification.objects.update(certify_id=None)
    work_in_transaction = django_models.again_if_lost

    def late(database, work):
        Verification.objects.filter(pk=other.pk).update(certify_id=taken)
        return work_in_transaction(database, work)

    monkeypatch.setattr(django_models, "again_if_lost", late)
    with pytest.raises(facecert.CallbackError):
        ModelLedger().keep_claim(opened.outer_order_no, taken)
    opened.refresh_from_db()
    assert opened.certify_id is None


def test_a_replay_after_expiry_verifies_nobody(sandbox, opened, heard):
    Verification.objects.update(expires_at=timezone.now() - timedelta(minutes=6))
    opened.refresh_from_db()
    assert opened.expired and opened.refresh()
    assert state_of(opened) == "failed" and heard == [("failed", False)]
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert state_of(opened) == "failed" and len(heard) == 1
    assert sandbox.requests[-1].service_parameters["method"] == "query"  # "passed" is news


def test_bug_a_forged_callback_left_its_id_when_the_client_could_not_be_made(
    sandbox, options, heard
):
    """Its settle would have turned somebody else's pass into the attacker's."""
    mine = Verification.objects.create(
        outer_order_no="mine",
        scene_id=sandbox.scene_id,
        state="unknown",
        expires_at=timezone.now() + timedelta(minutes=30),
    )
    forged = {"certifyId": "cd" * 16, "passed": "T"}
    with override_settings(FACECERT=dict(options, ACCESS_KEY=object())):
        assert deliver("mine", forged).status_code == 503
        assert deliver("mine", dict(forged, CallbackToken="x" * 27)).status_code == 503
    mine.refresh_from_db()
    assert mine.certify_id is None and heard == []


def test_without_a_secret_no_callback_changes_anything(sandbox, opened, options, heard):
    with override_settings(FACECERT=dict(options, CALLBACK_SECRET=None)):
        for passed in "TF":
            fields = {"certifyId": opened.certify_id, "passed": passed}
            assert deliver(opened.outer_order_no, fields).status_code == 503
    assert state_of(opened) == "opened" and heard == []


def test_bug_two_secrets_in_a_string_refused_every_callback_in_flight(sandbox, opened, options):
    sandbox.complete(opened.certify_id)
    both = "the-new-secret-of-today " + SECRET
    with override_settings(FACECERT=dict(options, CALLBACK_SECRET=both)):
        assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert state_of(opened) == "passed"


def test_bug_a_token_of_the_sandbox_was_good_in_production(sandbox, opened, options):
    with override_settings(FACECERT=dict(options, ENDPOINT=None)):
        assert deliver(opened.outer_order_no, genuine(opened)).status_code == 403
    with override_settings(FACECERT=dict(options, ENDPOINT="ftp://x")):
        assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    assert state_of(opened) == "opened"


def test_where_nobody_listens_nothing_is_settled(sandbox, opened, monkeypatch):
    sandbox.complete(opened.certify_id)
    monkeypatch.setattr(signals.verified, "receivers", [])
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    assert state_of(opened) == "opened"


def test_a_body_that_is_no_callback_is_not_read(opened):
    url = "/facecert/callback/%s/" % opened.outer_order_no
    assert Client().post(url, dict(genuine(opened), more="x" * 9000)).status_code == 413


def test_keys_are_hidden_on_djangos_debug_page(opened):
    from django.views import debug

    safe = getattr(debug, "get_safe_settings", None)
    safe = safe or debug.SafeExceptionReporterFilter().get_safe_settings
    shown = repr(safe()["FACECERT"])
    assert "sandbox-access-key" not in shown and SECRET not in shown


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"CREDENTIALS"}, {"CALLBACK_SECERT"}, {"sandbox-access-key-secret"}, list, str]
)
def test_bug_a_wrong_facecert_was_mailed_to_the_admins(options, person, wrong, debug):
    """Django's reports list all settings, and hide values by the names of their keys alone."""
    from django.test import RequestFactory
    from django.views.debug import ExceptionReporter

    secret = options["ACCESS_KEY"][1]
    facecert_ = list(options.items()) if wrong is list else repr(options)
    if isinstance(wrong, set):
        facecert_ = dict(options, **{key: [secret, SECRET] for key in wrong})
    with override_settings(FACECERT=facecert_, DEBUG=debug):
        for _ in range(2):  # what is hidden is wrong still
            with pytest.raises(ImproperlyConfigured) as caught:
                open_verification(**person)
            # The first frame is this one.
            info = type(caught.value), caught.value, caught.value.__traceback__.tb_next
            reporter = ExceptionReporter(RequestFactory().get("/"), *info)
            page = reporter.get_traceback_text() + reporter.get_traceback_html()
            assert "FACECERT" in page
            assert not any(text in page for text in (secret, SECRET, NUMBER))


def test_one_receivers_trouble_keeps_no_other_verification_waiting(sandbox, opened, heard):
    other, _ = open_verification(cert_name="李四", cert_no="330103199001011230")
    for row in (opened, other):
        sandbox.complete(row.certify_id)

    def trouble(sender, verification, **kwargs):
        if verification.pk == opened.pk:
            raise KeyError("the app's own")

    signals.verified.connect(trouble)
    try:
        with pytest.raises(CommandError):
            call_command("facecert_settle", stdout=io.StringIO(), stderr=io.StringIO())
    finally:
        signals.verified.disconnect(trouble)
    assert state_of(other) == "passed" and state_of(opened) == "opened"


@pytest.mark.parametrize("order", ["nosuchorder", "a-b", "x" * 33, "a%0A", "a%00"])
def test_an_order_without_a_row_is_not_found(options, order):
    token = make_token(SECRET, order, HERE)
    fields = {"certifyId": "ab" * 16, "passed": "T", "CallbackToken": token}
    assert deliver(order, fields).status_code == 404


@pytest.mark.parametrize("method", ["put", "delete", "head", "patch"])
def test_other_methods_are_refused(opened, method):
    assert deliver(opened.outer_order_no, genuine(opened), method).status_code == 405


def test_delivered_three_times_the_signal_fires_once(sandbox, opened, heard):
    sandbox.complete(opened.certify_id)
    for _ in range(3):
        assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert heard == [("passed", True)]


def in_threads(count, work):
    barrier, results = threading.Barrier(count), []

    def run():
        try:
            barrier.wait(10)
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_delivered_at_the_same_instant_the_signal_fires_once(sandbox, opened, heard, monkeypatch):
    sandbox.complete(opened.certify_id)
    asked = threading.Barrier(4)
    query = conf.client().query

    def all_at_once(*args, **kwargs):
        answer = query(*args, **kwargs)
        asked.wait(60)  # nobody settles before everybody has asked
        return answer

    monkeypatch.setattr(conf.client(), "query", all_at_once)
    order = opened.outer_order_no
    results = in_threads(4, lambda: deliver(order, genuine(opened)).status_code)
    assert results == [200] * 4
    assert heard == [("passed", True)] and state_of(opened) == "passed"


def test_it_comes_before_the_answer_of_init_was_stored(
    sandbox, options, person, heard, monkeypatch
):
    gateway, call = conf.client()._gateway, conf.client()._gateway.call

    def answered_late(parameters):
        opened, sent_at = call(parameters)
        if parameters.method == "query":
            return opened, sent_at
        sandbox.complete(opened.certify_id)
        row = Verification.objects.get(outer_order_no=opened.outer_order_no)
        assert (row.state, row.certify_id) == ("sent", None)
        row.certify_id = opened.certify_id  # of this object alone
        assert deliver(row.outer_order_no, genuine(row)).status_code == 200
        return opened, sent_at

    monkeypatch.setattr(gateway, "call", answered_late)
    row, opened = open_verification(**person)
    assert (row.state, row.certify_id) == ("passed", opened.certify_id)
    assert row.request_id == opened.request_id and heard == [("passed", True)]


def test_it_comes_though_the_answer_of_init_was_lost(
    sandbox, options, person, heard, monkeypatch
):
    call = conf.client()._gateway.call

    def lost(parameters):
        call(parameters)
        raise facecert.NoAnswer("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(conf.client()._gateway, "call", lost)
        with pytest.raises(facecert.NoAnswer):
            open_verification(**person)
    row = Verification.objects.get()
    assert (row.state, row.certify_id) == ("unknown", None)
    row.certify_id = sandbox.verifications()[0].certify_id
    sandbox.complete(row.certify_id)
    assert deliver(row.outer_order_no, genuine(row)).status_code == 200
    row = Verification.objects.get()
    assert (row.state, row.certify_id) == ("passed", sandbox.verifications()[0].certify_id)


def test_it_comes_while_the_gateway_is_down(sandbox, opened, heard):
    sandbox.complete(opened.certify_id)
    sandbox.fail("http-503", times=3)
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    assert state_of(opened) == "opened" and heard == []
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert heard == [("passed", True)]


def test_the_gateway_is_down_for_longer_than_the_platform_tries(sandbox, opened, heard):
    # Not even the id is known: init's answer was lost, too.
    Verification.objects.update(certify_id=None, state="unknown")
    sandbox.complete(opened.certify_id)
    sandbox.fail("http-503", times=12)
    for _ in range(3):
        assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="1 could not be settled"):
        call_command("facecert_settle", stdout=out, stderr=err)
    assert "1 asked, 0 settled" in out.getvalue() and opened.outer_order_no in err.getvalue()
    call_command("facecert_settle", stdout=out, stderr=err)
    assert "1 asked, 1 settled" in out.getvalue()
    assert state_of(opened) == "passed" and heard == [("passed", True)]


def test_asking_without_a_callback_takes_not_passed_as_final_only_in_the_end(opened, heard):
    assert not opened.refresh() and state_of(opened) == "opened"
    # Our 30 minutes began before the service's: there is a grace.
    Verification.objects.update(expires_at=timezone.now() - timedelta(minutes=4))
    opened.refresh_from_db()
    assert opened.expired and not opened.refresh()
    Verification.objects.update(expires_at=timezone.now() - timedelta(minutes=5))
    opened.refresh_from_db()
    assert opened.refresh() and state_of(opened) == "failed"
    assert opened.refresh() and heard == [("failed", False)]


def test_a_receiver_that_raises_makes_the_platform_call_again(sandbox, opened, heard):
    def broken(**kwargs):
        raise RuntimeError("the shop's own fault")

    sandbox.complete(opened.certify_id)
    signals.verified.connect(broken)
    try:
        with pytest.raises(RuntimeError):  # Django makes it a 500; its test client shows it
            deliver(opened.outer_order_no, genuine(opened))
        if django.VERSION >= (3, 0):  # the first whose test client can be told not to
            answer = deliver(opened.outer_order_no, genuine(opened), raise_request_exception=False)
            assert answer.status_code == 500
    finally:
        signals.verified.disconnect(broken)
    assert state_of(opened) == "opened"
    del heard[:]
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert state_of(opened) == "passed" and heard == [("passed", True)]


@pytest.fixture
def atomic_requests(options):
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_with_atomic_requests_the_callback_view_is_in_no_transaction(
    sandbox, opened, heard, atomic_requests, monkeypatch
):
    query, inside = conf.client().query, []

    def noted(*args, **kwargs):
        inside.append(connection.in_atomic_block)
        return query(*args, **kwargs)

    monkeypatch.setattr(conf.client(), "query", noted)
    sandbox.complete(opened.certify_id)
    sandbox.fail("http-503", times=3)
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 503
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert inside == [False, False] and heard == [("passed", True)]


def test_with_atomic_requests_the_view_that_opens_must_be_outside(options, atomic_requests):
    with pytest.raises(RuntimeError):
        Client().get("/careless/?fail")
    assert not Verification.objects.exists()  # opened and billed, and nobody knows
    with pytest.raises(RuntimeError):
        Client().get("/careful/?fail")
    assert Verification.objects.get().state == "opened"
    Verification.objects.all().delete()
    order = Client().get("/careless/").content.decode()  # without a failure it is there
    assert Verification.objects.get().outer_order_no == order


def test_inside_a_transaction_a_failed_init_leaves_the_transaction_usable(
    sandbox, options, person
):
    sandbox.fail("http-503", times=3)
    with transaction.atomic():
        with pytest.raises(facecert.GatewayError):
            open_verification(**person)
        assert Verification.objects.get().state == "unknown"


def test_without_time_zones(sandbox, options, person):
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Shanghai"):
        row, opened = open_verification(**person)
        assert timezone.is_naive(row.expires_at) and not row.expired
        assert timezone.make_aware(row.expires_at) == opened.expires_at
        sandbox.complete(row.certify_id)
        assert deliver(row.outer_order_no, genuine(row)).status_code == 200
        assert state_of(row) == "passed"


def test_makemigrations_finds_nothing_to_do(options):
    for setting in ("django.db.models.AutoField", "django.db.models.BigAutoField"):
        with override_settings(DEFAULT_AUTO_FIELD=setting):
            call_command("makemigrations", "facecert", check=True, dry_run=True, verbosity=0)
            with override("zh-hans"):
                call_command("makemigrations", "facecert", check=True, dry_run=True, verbosity=0)


def test_the_migration_makes_the_table_and_takes_it_away(options):
    call_command("migrate", "facecert", "zero", verbosity=0)
    assert "facecert_verification" not in connection.introspection.table_names()
    call_command("migrate", "facecert", verbosity=0)
    assert "facecert_verification" in connection.introspection.table_names()


def found(deploy=True, **changed):
    good = {
        "SCENE_ID": "1000000006",
        "CALLBACK_SECRET": SECRET,
        "PUBLIC_URL": PUBLIC,
    }
    with override_settings(FACECERT=dict(good, **changed)):
        messages = checks.run_checks(tags=["facecert"], include_deployment_checks=deploy)
    return sorted(message.id for message in messages)


def test_the_system_checks():
    sandboxed = "http://127.0.0.1:8001"
    assert found() == []
    assert found(SCENE_ID=None) == found(SCENE_ID="") == ["facecert.W001"]
    for secret in (None, "", "x" * 15, ["x" * 16, "short"], "x" * 16 + " short", 5, []):
        assert found(CALLBACK_SECRET=secret) == ["facecert.E001"]
    assert found(CALLBACK_SECRET=["x" * 16, "y" * 16]) == []
    assert found(PUBLIC_URL=None) == ["facecert.W002"]
    assert found(PUBLIC_URL=None, deploy=False) == []
    with override_settings(DEBUG=True):
        assert found(ENDPOINT=sandboxed, PUBLIC_URL="http://127.0.0.1:8000") == []
        assert found(ENDPOINT=sandboxed, PUBLIC_URL="http://shop.example") == ["facecert.E002"]
    with override_settings(DEBUG=False):
        assert found(ENDPOINT=sandboxed) == ["facecert.W003"]
        assert found(ENDPOINT=sandboxed, deploy=False) == []


@pytest.mark.parametrize(
    "key, value",
    [
        ("SCENE_ID", "my scene"),
        ("SCENE_ID", True),
        ("PER_DAY", 0),
        ("PER_DAY", True),
        ("PER_DAY", 10 ** 10),
        ("READ_TIMEOUT", "soon"),
        ("CONNECT_TIMEOUT", object()),
        ("ATTEMPTS", "0"),
        ("ENCRYPT", "perhaps"),
        ("SM2_PUBLIC_KEY", "04" * 65),
        ("ENDPOINT", "http://saf.example"),
        ("ENDPOINT", "https://[::1"),
        ("CALLBACK_SECRET", SECRET.encode()),
        ("ACCESS_KEY", (None, None)),
        ("ACCESS_KEY", object()),
        ("PUBLIC_URL", "http://shop.example"),
        ("PUBLIC_URL", "http://127.0.0.1:8000"),  # beside the real service
        ("PUBLIC_URL", "shop.example/?a=b"),
        ("PUBLIC_URL", "https://[::1"),
    ],
)
def test_bug_a_wrong_setting_was_told_to_a_customer(key, value, person):
    assert found(deploy=False, **{key: value}) == ["facecert.E002"]
    with override_settings(FACECERT={"CALLBACK_SECRET": SECRET, "PUBLIC_URL": PUBLIC, key: value}):
        messages = checks.run_checks(tags=["facecert"])
        words = str([one for one in messages if one.id == "facecert.E002"])
    assert (key if key != "ACCESS_KEY" else "credentials") in words or "AccessKey" in words
    assert SECRET not in words
    if key == "PUBLIC_URL" and "127.0.0.1" in str(value):
        assert "ENDPOINT" in words


def test_bug_numbers_and_texts_followed_other_rules_than_the_environment(options):
    texts = {"SCENE_ID": 1000000006, "READ_TIMEOUT": "5", "CONNECT_TIMEOUT": " 1.5 ",
             "ATTEMPTS": "2", "ENCRYPT": "1", "PER_DAY": "7"}  # fmt: skip
    assert found(deploy=False, **dict(options, **texts)) == []
    with override_settings(FACECERT=dict(options, **texts)):
        client = conf.client()
        assert (client.scene_id, client.encrypt, conf.per_day()) == ("1000000006", True, 7)
        http = client._gateway.http
        assert (http._connect_timeout, http._read_timeout) == (1.5, 5.0)


def test_an_endpoint_in_the_environment_that_is_ignored_is_a_warning(monkeypatch):
    monkeypatch.setenv("FACECERT_ENDPOINT", "http://127.0.0.1:8180")
    assert found() == ["facecert.W006"]
    assert found(ENDPOINT="http://127.0.0.1:8180", deploy=False) == []


def test_a_callback_view_that_is_not_in_the_urlconf_is_an_error():
    with override_settings(ROOT_URLCONF="shop.urls"):
        assert found() == ["facecert.E003"]
        assert found(PUBLIC_URL=None, deploy=False) == []


def test_bug_cron_settled_where_nobody_listens(sandbox, opened, monkeypatch):
    """An app whose AppConfig.ready never ran was never told."""
    sandbox.complete(opened.certify_id)
    sandbox.requests.clear()
    monkeypatch.setattr(signals.verified, "receivers", [])
    signals.verified.sender_receivers_cache.clear()
    with pytest.raises(CommandError) as caught:
        call_command("facecert_settle")
    assert "INSTALLED_APPS" in str(caught.value)
    assert sandbox.requests == [] and state_of(opened) == "opened"
    assert found() == ["facecert.W004", "facecert.W006"]  # the sandbox is in the environment


def test_bug_logged_in_customers_only_refused_the_service(sandbox, opened, heard):
    from django.conf import settings

    if django.VERSION >= (5, 1):
        login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        with override_settings(MIDDLEWARE=settings.MIDDLEWARE + [login]):
            assert Client().get("/").status_code == 302
            sandbox.complete(opened.certify_id)
            assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    from facecert.contrib.django.views import callback

    assert callback.login_required is False


def test_a_page_below_the_public_url_has_the_sites_prefix_once(options):
    from django.urls import set_script_prefix

    set_script_prefix("/app/")
    try:
        for public in (PUBLIC, PUBLIC + "/app", PUBLIC + "/app/"):
            with override_settings(FACECERT=dict(options, PUBLIC_URL=public)):
                assert conf.public_url("/app/back/1/") == PUBLIC + "/app/back/1/"
                assert conf.callback_url() == PUBLIC + "/app/facecert/callback/{order}/"
    finally:
        set_script_prefix("/")


def test_check_deploy_shows_them(capsys):
    wrong = {"ENDPOINT": "http://127.0.0.1:1"}
    with override_settings(FACECERT=wrong, DEBUG=False):
        with pytest.raises(Exception) as caught:  # an error among them ends the command
            call_command("check", deploy=True)
    shown = str(caught.value) + "".join(capsys.readouterr())
    for number in ("W001", "W002", "W003", "E001"):
        assert "(facecert.%s)" % number in shown


def test_settings_that_facecert_does_not_know():
    for wrong in ({"SCENE": "1"}, {"scene_id": "1"}, ["SCENE_ID"], {5: 5}):
        with override_settings(FACECERT=wrong):
            with pytest.raises(ImproperlyConfigured) as caught:
                conf.client()
            assert "SCENE_ID" in str(caught.value) or isinstance(wrong, list)


def test_one_client_until_the_settings_change(options):
    first = conf.client()
    assert conf.client() is first
    with override_settings(LANGUAGE_CODE="en"):
        assert conf.client() is first
    changed = dict(
        options, SCENE_ID="77", ATTEMPTS=1, CONNECT_TIMEOUT=1, ENCRYPT=True, SM2_PUBLIC_KEY=None
    )
    with override_settings(FACECERT=changed):
        assert conf.client() is not first
        assert (conf.client().scene_id, conf.client().encrypt) == ("77", True)
    assert conf.client().scene_id == options["SCENE_ID"]


def test_the_callback_url_has_its_place_for_the_order(options):
    assert conf.callback_url() == PUBLIC + "/facecert/callback/{order}/"
    with override_settings(FACECERT=dict(options, PUBLIC_URL=PUBLIC + "/")):
        assert conf.callback_url() == PUBLIC + "/facecert/callback/{order}/"


def test_the_admin_shows_and_does_nothing_else(opened):
    from django.contrib.auth.models import User

    User.objects.all().delete()
    user = User.objects.create_superuser("boss", "boss@shop.example", "password")
    client = Client()
    client.force_login(user)
    base = "/admin/facecert/verification/"
    assert opened.outer_order_no in client.get(base).content.decode()
    day = opened.created_at
    for found, asked in (
        (True, {"q": opened.outer_order_no}), (True, {"q": opened.certify_id}),
        (True, {"state__exact": "opened", "created_at__year": day.year}),
        (False, {"q": "another"}), (False, {"state__exact": "passed"}),
        (False, {"created_at__year": day.year - 1}),
    ):  # fmt: skip
        page = client.get(base, asked).content.decode()
        assert ("%d/change/" % opened.pk in page) is found, asked
    page = client.get("%s%d/change/" % (base, opened.pk))
    assert page.status_code == 200 and opened.certify_id in page.content.decode()
    assert not re.search('name="(_save|state|certify_id)"', page.content.decode())
    for path in ("add/", "%d/delete/" % opened.pk):
        assert client.get(base + path).status_code == 403
        assert client.post(base + path, {"post": "yes"}).status_code == 403
    fields = {"state": "passed", "outer_order_no": opened.outer_order_no}
    assert client.post("%s%d/change/" % (base, opened.pk), fields).status_code == 403
    action = {"action": "delete_selected", "_selected_action": opened.pk, "post": "yes"}
    client.post(base, action)
    assert state_of(opened) == "opened"
    User.objects.all().delete()


def test_nothing_personal_is_kept(sandbox, options, person, caplog):
    caplog.set_level(logging.DEBUG)
    row, _ = open_verification(**person)
    sandbox.complete(row.certify_id)
    deliver(row.outer_order_no, genuine(row))
    sandbox.fail("http-503", times=3)
    with pytest.raises(facecert.GatewayError) as caught:
        open_verification(**person)
    frame = caught.value.__traceback__
    while frame:
        if "facecert/contrib" in frame.tb_frame.f_code.co_filename:
            assert NUMBER not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
    names = {field.name for field in Verification._meta.get_fields()}
    assert names == {
        "id", "outer_order_no", "certify_id", "scene_id", "request_id", "state", "created_at",
        "expires_at", "decided_at", "told",
    }  # fmt: skip
    kept = repr(list(Verification.objects.values())) + caplog.text
    kept += "".join(repr(vars(record)) for record in caplog.records)
    with open(connection.settings_dict["NAME"], "rb") as file:
        kept += file.read().decode("utf-8", "replace")
    for private in (NAME, NUMBER, make_token(SECRET, row.outer_order_no, HERE), SECRET):
        assert private not in kept


class Lost:
    """The database's connection, lost while the gateway responds.

    ``closes`` is how often it must be closed before the database is there again.
    """

    def __init__(self, monkeypatch, closes=1):
        self.closes, self.down, real = closes, False, connections["default"]
        call, cursor, close = conf.client()._gateway.call, real.cursor, real.close

        def respond(parameters):
            try:
                return call(parameters)
            finally:
                self.down = self.closes > 0

        def broken(*args, **kwargs):
            if self.down:
                raise OperationalError("server closed the connection unexpectedly")
            return cursor(*args, **kwargs)

        def closed():
            self.closes -= 1
            self.down = self.down and self.closes > 0
            close()

        monkeypatch.setattr(conf.client()._gateway, "call", respond)
        monkeypatch.setattr(real, "cursor", broken)
        monkeypatch.setattr(real, "close", closed)


def test_bug_a_connection_lost_between_requests_failed_the_next_one(
    sandbox, opened, person, monkeypatch, heard
):
    """A MySQL server closes connections that were idle, and the site keeps them for longer."""
    sandbox.complete(opened.certify_id)
    lost = Lost(monkeypatch)
    lost.down = True
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    assert state_of(opened) == "passed" and len(heard) == 1
    lost.closes, lost.down = 1, True
    assert open_verification(**person)[0].state == "opened"


def test_bug_a_connection_lost_while_the_gateway_answered_left_the_row_sent(
    sandbox, options, person, monkeypatch, caplog
):
    lost = Lost(monkeypatch)
    row, opened = open_verification(outer_order_no="order1", **person)
    assert lost.closes == 0 and not lost.down and caplog.text == ""
    assert (row.state, row.certify_id) == ("opened", opened.certify_id)
    row.refresh_from_db()
    assert (row.state, row.request_id) == ("opened", opened.request_id)
    lost.closes = 1
    sandbox.fail("http-503", times=3)
    with pytest.raises(facecert.GatewayError):
        open_verification(outer_order_no="order2", **person)
    assert Verification.objects.get(outer_order_no="order2").state == "unknown"


def test_bug_the_databases_trouble_after_the_answer_took_the_answer_away(
    sandbox, options, person, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        lost = Lost(patch, closes=99)
        row, opened = open_verification(outer_order_no="order1", **person)
        assert lost.down
        assert "certify_id %s" % opened.certify_id in caplog.text and "order1" in caplog.text
        assert caplog.records[-1].levelname == "ERROR"
        known = (row.outer_order_no, row.state, row.certify_id, row.request_id, row.expires_at)
        assert known == ("order1", "opened", opened.certify_id, opened.request_id,
                         opened.expires_at)  # fmt: skip
        assert row.scene_id == sandbox.scene_id and row.pk
    assert state_of(row) == "sent"
    err = io.StringIO()
    call_command("facecert_settle", stdout=io.StringIO(), stderr=err)
    assert state_of(row) == "sent" and err.getvalue() == ""  # init may be under way
    Verification.objects.update(expires_at=timezone.now() - timedelta(minutes=6))
    call_command("facecert_settle", stdout=io.StringIO(), stderr=err)
    assert state_of(row) == "unknown" and err.getvalue().startswith("order1: ")
    call_command("facecert_settle", stdout=io.StringIO(), stderr=err)
    assert err.getvalue().count("order1") == 1


def test_inside_a_transaction_a_lost_connection_loses_the_row_and_not_the_result(
    options, person, monkeypatch, caplog
):
    with transaction.atomic():
        lost = Lost(monkeypatch, closes=99)
        row, opened = open_verification(outer_order_no="order1", **person)
        assert (lost.closes, row.certify_id) == (99, opened.certify_id)
        assert "certify_id %s" % opened.certify_id in caplog.text
        lost.down = False


def test_an_id_that_another_row_has_does_not_lose_the_result(
    options, opened, person, monkeypatch, caplog
):
    gateway, call = conf.client()._gateway, conf.client()._gateway.call

    def repeated(parameters):
        result, sent_at = call(parameters)
        twin = dict(result.as_dict(), certify_id=opened.certify_id)
        return facecert.InitResult.from_dict(twin), sent_at

    monkeypatch.setattr(gateway, "call", repeated)
    row, result = open_verification(outer_order_no="order1", **person)
    assert result.certify_id == row.certify_id == opened.certify_id
    assert "IntegrityError" in caplog.text and "order1" in caplog.text


def test_a_timeouts_signal_after_the_response_leaves_the_ids_in_the_log(
    sandbox, options, person, monkeypatch, caplog
):
    def struck(*args):
        raise KeyboardInterrupt

    # Two of keep_sent, and the first of keep_opening.
    works = [django_models.again_if_lost, django_models.again_if_lost, struck]
    monkeypatch.setattr(django_models, "again_if_lost", lambda *args: works.pop(0)(*args))
    with pytest.raises(KeyboardInterrupt):
        open_verification(outer_order_no="order1", **person)
    assert "certify_id %s" % sandbox.verifications()[0].certify_id in caplog.text


def test_bug_settling_ended_with_the_connection(sandbox, opened, person, heard, monkeypatch):
    other, _ = open_verification(**person)
    for row in (opened, other):
        sandbox.complete(row.certify_id)
    lost = Lost(monkeypatch)
    out = io.StringIO()
    call_command("facecert_settle", stdout=out, stderr=out)
    assert lost.closes == 0 and "2 asked, 2 settled" in out.getvalue()
    assert state_of(opened) == state_of(other) == "passed" and len(heard) == 2


def test_bug_a_result_of_query_was_lost_with_the_connection(
    sandbox, opened, monkeypatch, caplog
):
    sandbox.complete(opened.certify_id)
    client = conf.client()
    monkeypatch.setattr(client, "ledger", ModelLedger())
    with monkeypatch.context() as patch:
        Lost(patch, closes=99)
        assert client.query(opened.certify_id).passed
        assert opened.certify_id in caplog.text
    assert state_of(opened) == "opened"


def test_bug_a_pass_after_a_stored_failure_was_not_believed(sandbox, opened, heard):
    for passed in (False, True):
        sandbox.verifications()[0].state = service.PASSED if passed else service.FAILED
        for _ in range(2):
            fields = genuine(opened, "T" if passed else "F")
            assert deliver(opened.outer_order_no, fields).status_code == 200
    opened.refresh_from_db()
    assert (opened.state, opened.told) == ("passed", "passed")
    assert heard == [("failed", False), ("passed", True)]


def test_replays_of_a_settled_callback_are_answered_without_a_query(sandbox, opened, heard):
    sandbox.complete(opened.certify_id)
    assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
    sandbox.requests.clear()
    for passed in "TF":
        assert deliver(opened.outer_order_no, genuine(opened, passed)).status_code == 200
    assert sandbox.requests == [] and len(heard) == 1


@pytest.mark.parametrize("again", ["callback", "cron"])
def test_bug_without_transactions_a_receiver_that_raised_was_not_called_again(
    sandbox, opened, heard, monkeypatch, again
):
    """As with MyISAM: the state stays though the receiver raised."""
    from contextlib import contextmanager

    @contextmanager
    def none(**kwargs):
        yield

    def broken(**kwargs):
        raise RuntimeError("the shop's own fault")

    monkeypatch.setattr(transaction, "atomic", none)
    sandbox.complete(opened.certify_id)
    signals.verified.connect(broken)
    try:
        with pytest.raises(RuntimeError):
            deliver(opened.outer_order_no, genuine(opened))
    finally:
        signals.verified.disconnect(broken)
    assert state_of(opened) == "passed" and heard == [("passed", True)]
    for _ in range(2):
        if again == "callback":
            assert deliver(opened.outer_order_no, genuine(opened)).status_code == 200
        else:
            call_command("facecert_settle", stdout=io.StringIO(), stderr=io.StringIO())
        assert heard == [("passed", True)] * 2


def test_bug_an_order_number_was_told_apart_from_one_that_does_not_exist(opened):
    for fields in (genuine(opened, CallbackToken="x" * 27), genuine(opened, CallbackToken=None)):
        here, nowhere = deliver(opened.outer_order_no, fields), deliver("nosuchorder", fields)
        assert (here.status_code, here.content) == (nowhere.status_code, nowhere.content)
        wrong = deliver(opened.outer_order_no, dict(fields, certifyId="cd" * 16))
        assert (wrong.status_code, wrong.content) == (here.status_code, here.content)


@pytest.fixture
def budget(options):
    """A budget of two inits a day."""
    with override_settings(FACECERT=dict(options, PER_DAY=2)):
        conf.client()._gateway._sleep = lambda seconds: None
        yield
    InitCount.objects.all().delete()


def test_a_budget_of_two_sends_two(sandbox, budget, person):
    sandbox.fail("throttled")  # an attempt is no init
    open_verification(**person)
    sandbox.fail("throttled", times=3)
    with pytest.raises(facecert.Throttled):
        open_verification(outer_order_no="order1", **person)
    sandbox.requests.clear()
    for order in ("order1", "order2"):
        with pytest.raises(facecert.BudgetSpent) as caught:
            open_verification(outer_order_no=order, **person)
    assert sandbox.requests == [] and caught.value.outcome == "not sent"
    assert not caught.value.retryable and 0 < caught.value.retry_after <= 86400
    assert sorted(Verification.objects.values_list("state", flat=True)) == ["opened", "refused"]
    InitCount.objects.update(day=timezone.now() - timedelta(days=2))
    assert open_verification(outer_order_no="order1", **person)[0].state == "opened"


def test_an_order_number_that_was_used_does_not_count(budget, person):
    open_verification(outer_order_no="order1", **person)
    with pytest.raises(IntegrityError):
        open_verification(outer_order_no="order1", **person)
    assert InitCount.objects.get().inits == 1


def test_a_budget_in_a_transaction_is_an_error_before_anything_is_sent(
    sandbox, budget, person, atomic_requests
):
    with pytest.raises(facecert.InvalidParameter) as caught:
        Client().get("/careless/")
    assert caught.value.field == "PER_DAY" and "atomic()" in str(caught.value)
    assert sandbox.requests == [] and not InitCount.objects.exists()
    assert Client().get("/careful/").status_code == 200
    assert InitCount.objects.get().inits == 1


def test_a_budget_counts_inside_djangos_test_case(budget, person):
    from django.test import TestCase
    from django.test.utils import setup_test_environment, teardown_test_environment

    class Inside(TestCase):
        def runTest(self):
            for _ in range(2):
                open_verification(**person)
            with pytest.raises(facecert.BudgetSpent):
                open_verification(**person)

    setup_test_environment()
    try:
        suite = unittest.TestSuite([Inside()])
        result = suite.run(unittest.TestResult())
    finally:
        teardown_test_environment()
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    assert not InitCount.objects.exists()


def test_bug_the_new_id_of_a_refused_order_that_had_one_was_lost(options, person):
    row = open_verification(outer_order_no="order1", **person)[0]
    Verification.objects.update(state="refused")
    with pytest.raises(IntegrityError):
        open_verification(outer_order_no="order1", **person)
    assert Verification.objects.get(outer_order_no="order1").certify_id == row.certify_id


def test_bug_a_timeout_at_the_first_call_left_the_site_locked(options):
    """At any step; every later request waited for ever."""
    step, found = 1, []

    def use():
        found.append(conf.client())

    while True:
        conf._forget("FACECERT")
        if not struck(conf.__file__, use, step):
            break
        other = threading.Thread(target=use, daemon=True)
        other.start()
        other.join(30)
        assert not other.is_alive(), step
        assert conf.client() is found[-1], step
        step += 1
    assert step > 20


def test_the_admin_in_chinese(opened, settings_in_chinese):
    from django.contrib.auth.models import User

    User.objects.all().delete()
    client = Client()
    client.force_login(User.objects.create_superuser("boss", "boss@shop.example", "password"))
    page = client.get("/admin/facecert/verification/").content.decode()
    for words in ("实人认证", "订单号", "场景 ID", "已通知的结果", "尚未完成", "未通过", "1 认证"):
        assert words in page
    page = client.get("/admin/facecert/verification/%d/change/" % opened.pk).content.decode()
    assert "请求 ID" in page and "过期时间" in page and "尚未完成" in page
    User.objects.all().delete()


def test_the_texts_of_the_site_stay_its_own(settings_in_chinese):
    """A site may call its own states ``passed``, or ``opened``."""
    from django.utils.translation import gettext

    assert [gettext(one) for one in facecert.lifecycle.STATES] == list(facecert.lifecycle.STATES)
    assert Verification(state="passed").get_state_display() == "已通过"
    with override("en"):
        assert Verification(state="passed").get_state_display() == "passed"


def test_checks_in_chinese(settings_in_chinese):
    with override_settings(FACECERT={}):
        found = checks.run_checks(tags=["facecert"], include_deployment_checks=True)
    shown = "".join(map(str, found))
    assert "缺少 FACECERT['CALLBACK_SECRET']，或不足" in shown and "例如 'https://shop.example'" in shown
    with override("en"):
        assert "FACECERT['PUBLIC_URL'] is missing" in "".join(map(str, found))


@pytest.fixture
def settings_in_chinese():
    """The user's language, as LocaleMiddleware or LANGUAGE_CODE sets it."""
    with override("zh-hans"):
        yield


def test_bug_a_refresh_where_nobody_listens_told_nobody_for_ever(
    sandbox, opened, request, monkeypatch
):
    """Such as in a script, which does not import the site's receivers."""
    monkeypatch.setattr(signals.verified, "receivers", [])
    signals.verified.sender_receivers_cache.clear()
    sandbox.complete(opened.certify_id)
    assert opened.refresh() and (opened.state, opened.told) == ("passed", "")
    asked = len(sandbox.requests)
    assert opened.refresh() and len(sandbox.requests) == asked
    heard = request.getfixturevalue("heard")
    call_command("facecert_settle", stdout=io.StringIO())
    opened.refresh_from_db()
    assert heard == [("passed", True)] and opened.told == "passed"


def test_bug_a_receiver_that_raised_lost_the_id_in_another_database_than_the_default(monkeypatch):
    monkeypatch.setattr("django.db.connections", ["default", "verify"])
    try:
        callback = importlib.reload(views).callback
        assert callback._non_atomic_requests == {"default", "verify"}
    finally:
        monkeypatch.undo()
        importlib.reload(views)


@pytest.mark.parametrize("lost", ["row", "database"])
def test_bug_the_only_copy_of_an_id_was_neither_stored_nor_logged(
    sandbox, opened, heard, caplog, monkeypatch, lost
):
    fields = genuine(opened)
    if lost == "row":
        Verification.objects.all().delete()
        assert deliver(opened.outer_order_no, fields).status_code == 404
    else:
        def keep_claim(self, outer_order_no, certify_id):
            raise OperationalError("the database is away")

        monkeypatch.setattr(ModelLedger, "keep_claim", keep_claim)
        with pytest.raises(OperationalError):
            deliver(opened.outer_order_no, fields)
    assert opened.certify_id in caplog.text and opened.outer_order_no in caplog.text


def test_bug_the_person_was_in_a_frame_while_the_urlconf_was_loaded(options, person, monkeypatch):
    shown = []

    def callback_url(endpoint):
        frame = sys._getframe(1)
        while frame.f_globals["__name__"] != __name__:
            shown.append(repr(frame.f_locals))
            frame = frame.f_back

    monkeypatch.setattr(conf, "callback_url", callback_url)
    open_verification(**person)
    assert shown and not any(person["cert_no"] in one for one in shown)


@pytest.mark.parametrize("secret", [None, "another-secret-of-sixteen"])
def test_bug_a_client_without_the_sites_secret_got_a_url_that_no_callback_can_use(
    sandbox, options, person, heard, secret
):
    with sandbox.client(callback_secret=secret) as client:
        row, opened = open_verification(client=client, outer_order_no=None, **person)
    sent = sandbox.requests[-1].service_parameters
    assert row.outer_order_no in sent["callbackUrl"] and "{" not in sent["callbackUrl"]
    sandbox.complete(opened.certify_id)
    fields = genuine(row, CallbackToken=sent["callbackToken"])
    assert deliver(row.outer_order_no, fields).status_code == 200 and heard == [("passed", True)]


def test_bug_the_default_client_opened_without_a_row(sandbox, options, person, monkeypatch):
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    client = type(facecert.default.default_client)()
    row, opened = open_verification(client=client, callback_url=PUBLIC, **person)
    assert row.certify_id == opened.certify_id and client.ledger is None
    client.close()


@pytest.mark.parametrize("path", ["orders/1", "http://testserver/orders/1"])
def test_bug_a_return_url_began_twice(options, path):
    with pytest.raises(facecert.InvalidParameter) as caught:
        conf.public_url(path)
    assert caught.value.field == "path"


def test_bug_migrate_failed_where_a_router_keeps_the_tables_elsewhere():
    from importlib import import_module

    migrations = import_module("facecert.contrib.django.migrations.0002_told_and_init_count")
    runs = [one for one in migrations.Migration.operations if hasattr(one, "code")]
    assert [one.hints for one in runs] == [{"model_name": "verification"}] * 2


def test_bug_an_admin_of_ones_own_could_not_add_to_the_page(opened):
    from django.contrib.auth.models import User

    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True)
    site = admin.VerificationAdmin(Verification, admin.admin.site)
    by_place = site.change_view(request, str(opened.pk), "", {"title": "Mine"})
    by_name = site.change_view(request, str(opened.pk), extra_context={"title": "Mine"})
    for page in (by_place, by_name):
        assert page.context_data["title"] == "Mine" and page.context_data["show_save"] is False


def test_bug_a_form_that_a_middleware_had_read_was_a_server_error(sandbox, opened, heard):
    sandbox.complete(opened.certify_id)
    request = RequestFactory().post("/", genuine(opened))
    assert request.POST and views.callback(request, opened.outer_order_no).status_code == 200


def test_bug_an_old_secret_that_is_not_set_was_an_error(options):
    with override_settings(FACECERT=dict(options, CALLBACK_SECRET=[SECRET, None])):
        assert conf.client()._callback_secrets.value == (SECRET,)
