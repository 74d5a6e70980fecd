import datetime
import logging
import os
import pathlib
import sqlite3
import threading
import traceback

import pytest
from conftest import NAME, NUMBER, ROOT, run_python

import facecert
from facecert.callback import make_token
from facecert.lifecycle import GRACE, LIFETIME, Opening

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert.ledger import Ledger, database  # noqa: E402
from facecert.ledger.schema import days, metadata  # noqa: E402

UTC = datetime.timezone.utc
NOW = datetime.datetime(2026, 10, 1, 12, 0, 0, 250000, tzinfo=UTC)
SECRET = "a-secret-of-sixteen-and-more"
HERE = "http://127.0.0.1"  # tokens take all loopback hosts and ports as one


@pytest.fixture(
    params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.long)]
)
def url(request, tmp_path):
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
    else:
        url = request.getfixturevalue(request.param)
        yield url
        engine = database._open_engine(database._read_url(url))
        metadata.drop_all(engine)
        engine.dispose()


@pytest.fixture
def ledger(url):
    ledger = Ledger(url)
    yield ledger
    ledger.close()


@pytest.fixture
def keeping(client, ledger):
    client.ledger = ledger
    return client


def states(ledger):
    return {entry.outer_order_no: entry.state for entry in ledger.entries()}


def test_the_row_is_there_before_anything_is_sent(keeping, ledger, person, monkeypatch):
    seen = []
    post = keeping._gateway.http.post

    def look(form):
        seen.append(Ledger.get(ledger, "order1"))
        return post(form)

    monkeypatch.setattr(keeping._gateway.http, "post", look)
    opened = keeping.init(outer_order_no="order1", **person)
    (sent,) = seen
    assert (sent.state, sent.certify_id, sent.scene_id) == ("sent", None, keeping.scene_id)
    assert sent.expires_at - sent.sent_at == LIFETIME
    entry = ledger.get("order1")
    assert entry.state == "opened" and entry.certify_id == opened.certify_id
    assert entry.request_id == opened.request_id and entry.expires_at == opened.expires_at
    assert entry.code is None and entry.decided_at is None
    assert ledger.find(opened.certify_id) == entry


@pytest.mark.parametrize(
    "fault, error, state, code",
    [
        ("throttled", facecert.Throttled, "refused", "Throttling.User"),
        ("code-402", facecert.ServiceError, "refused", "402"),
        ("code-500", facecert.ServiceError, "unknown", "500"),
        ("http-503", facecert.GatewayError, "unknown", "ServiceUnavailable"),
        ("cut", facecert.NoAnswer, "unknown", "NoAnswer"),
        ("truncated", facecert.BadAnswer, "unknown", "BadAnswer"),
    ],
)
def test_an_init_that_fails(sandbox, keeping, ledger, person, fault, error, state, code):
    sandbox.fail(fault, times=3)
    with pytest.raises(error):
        keeping.init(outer_order_no="order1", **person)
    entry = ledger.get("order1")
    assert (entry.state, entry.code) == (state, code)
    sandbox.heal()
    if state == "unknown":
        with pytest.raises(facecert.InvalidParameter):
            keeping.init(outer_order_no="order1", **person)
    else:
        keeping.init(outer_order_no="order1", **person)
        entry = ledger.get("order1")
        assert (entry.state, entry.code) == ("opened", None)


def test_what_could_not_be_sent_is_refused(sandbox, keeping, ledger, person):
    sandbox.stop()
    with pytest.raises(facecert.ConnectionFailed):
        keeping.init(outer_order_no="order1", **person)
    assert ledger.get("order1").state == "refused"
    assert ledger.get("order1").code == "ConnectionFailed"


def test_an_interruption_leaves_it_unknown(keeping, ledger, person, monkeypatch):
    def interrupted(form):
        raise KeyboardInterrupt

    monkeypatch.setattr(keeping._gateway.http, "post", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keeping.init(outer_order_no="order1", **person)
    assert (ledger.get("order1").state, ledger.get("order1").code) == (
        "unknown", "KeyboardInterrupt",
    )  # fmt: skip


def test_wrong_arguments_leave_no_row(keeping, ledger):
    with pytest.raises(facecert.InvalidParameter):
        keeping.init(cert_name="", cert_no=NUMBER)
    assert states(ledger) == {}


def test_an_order_number_opens_once(sandbox, keeping, person):
    keeping.init(outer_order_no="order1", **person)
    with pytest.raises(facecert.InvalidParameter) as caught:
        keeping.init(outer_order_no="order1", **person)
    assert caught.value.field == "outer_order_no"
    assert len(sandbox.requests) == 1


def test_case_makes_another_order_number(keeping, ledger, person):
    keeping.init(outer_order_no="order1", **person)
    keeping.init(outer_order_no="ORDER1", **person)
    assert len(states(ledger)) == 2


def test_query_settles_a_pass_at_once_and_a_failure_only_in_the_end(
    sandbox, keeping, ledger, person
):
    opened = keeping.init(outer_order_no="order1", **person)
    assert not keeping.query(opened.certify_id)
    assert ledger.get("order1").state == "opened"
    at = opened.expires_at + GRACE
    for now, state in ((at - datetime.timedelta(seconds=1), "opened"), (at, "failed")):
        keeping._gateway.now = lambda now=now: now
        answer = facecert.QueryResult(
            passed=False, certify_id=opened.certify_id, identity_info=None, material_info=None,
            request_id=None, raw={},
        )  # fmt: skip
        ledger.keep_answer(answer, asked_at=now)
        assert ledger.get("order1").state == state
    assert ledger.get("order1").decided_at is not None


def test_a_pass_is_stored_and_never_taken_back(sandbox, keeping, ledger, person):
    opened = keeping.init(outer_order_no="order1", **person)
    sandbox.complete(opened.certify_id)
    passed = keeping.query(opened.certify_id)
    assert ledger.get("order1").state == "passed"
    decided_at = ledger.get("order1").decided_at
    failed = facecert.QueryResult(**dict(passed._fields(), passed=False))
    ledger.keep_answer(failed, asked_at=opened.expires_at + GRACE)
    keeping.query(opened.certify_id)
    assert ledger.get("order1").state == "passed"
    assert ledger.get("order1").decided_at == decided_at


def test_the_services_pass_counts_more_than_an_earlier_failure(keeping, ledger, sandbox, person):
    opened = keeping.init(outer_order_no="order1", **person)
    failed = keeping.query(opened.certify_id)
    ledger.keep_answer(failed, asked_at=opened.expires_at + GRACE)
    assert ledger.get("order1").state == "failed"
    sandbox.complete(opened.certify_id)
    keeping.query(opened.certify_id)
    assert ledger.get("order1").state == "passed"


def callback(opened, passed, **changed):
    fields = {
        "certifyId": opened.certify_id,
        "passed": passed,
        "order": opened.outer_order_no,
        "CallbackToken": make_token(SECRET, opened.outer_order_no, HERE),
    }
    return dict(fields, **changed)


@pytest.mark.parametrize(
    "did, claim, state",
    [(True, "T", "passed"), (False, "F", "failed"), (None, "T", "opened"), (True, "F", "passed")],
)
def test_confirm_settles_what_the_service_agrees_to(sandbox, ledger, person, did, claim, state):
    with sandbox.client(ledger=ledger, callback_secret=SECRET) as client:
        opened = client.init(outer_order_no="order1", **person)
        if did is not None:
            sandbox.complete(opened.certify_id, passed=did)
        client.confirm(callback(opened, claim))
        assert ledger.get("order1").state == state


def test_without_a_secret_a_callback_makes_nobody_fail(sandbox, keeping, ledger, person):
    opened = keeping.init(outer_order_no="order1", **person)
    forged = {"certifyId": opened.certify_id, "passed": "F"}
    keeping.confirm(forged, certify_id=opened.certify_id)
    assert ledger.get("order1").state == "opened"


def test_bug_a_callback_settled_another_order_as_failed(sandbox, ledger, person):
    """The token proves one order, and the id is another order's: nothing is even queried."""
    with sandbox.client(ledger=ledger, callback_secret=SECRET) as client:
        mine = client.init(outer_order_no="order1", **person)
        other = client.init(outer_order_no="order2", **person)
        ledger.keep_sent("order3", scene_id="1", sent_at=NOW)
        sandbox.complete(other.certify_id)
        asked = len(sandbox.requests)
        token = make_token(SECRET, "order3")
        unopened = {"order": "order3", "CallbackToken": token}
        elsewhere = {"order": "order4", "CallbackToken": make_token(SECRET, "order4")}
        for more in ({}, unopened, elsewhere):
            for claim in "TF":
                with pytest.raises(facecert.CallbackError):
                    client.confirm(callback(mine, claim, certifyId=other.certify_id, **more))
        assert len(sandbox.requests) == asked
        assert states(ledger) == {"order1": "opened", "order2": "opened", "order3": "sent"}
        assert ledger.get("order3").certify_id is None


def test_a_callback_brings_the_id_that_was_lost(sandbox, ledger, person):
    with sandbox.client(ledger=ledger, callback_secret=SECRET) as client:
        sandbox.fail("cut")
        with pytest.raises(facecert.NoAnswer):
            client.init(outer_order_no="order1", **person)
        assert ledger.get("order1").certify_id is None
        (lost,) = sandbox.verifications()
        lost.outer_order_no = "order1"
        client.confirm(callback(lost, "T"))  # not yet passed, says the service
        assert (ledger.get("order1").state, ledger.get("order1").certify_id) == (
            "unknown", lost.certify_id,
        )  # fmt: skip
        sandbox.complete(lost.certify_id)
        client.confirm(callback(lost, "T"))
        assert ledger.get("order1").state == "passed"


def test_the_id_that_was_lost_comes_though_the_order_is_in_the_path(sandbox, ledger, person):
    with sandbox.client(ledger=ledger, callback_secret=SECRET) as client:
        client.ledger = None
        opened = client.init(outer_order_no="another", **person)
        client.ledger = ledger
        ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
        token = make_token(SECRET, "order1", HERE)
        named = {"certifyId": opened.certify_id, "passed": "T", "CallbackToken": token}
        client.confirm(named, outer_order_no="order1")
        assert ledger.get("order1").certify_id == opened.certify_id


def test_a_callback_may_be_faster_than_the_answer_to_init(ledger):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    ledger.keep_claim("order1", "c1")
    ledger.keep_answer(answer_of("c1", True), asked_at=NOW, claim=True)
    ledger.keep_opening("order1", Opening("opened", "c1", "r1", None, NOW + LIFETIME))
    entry = ledger.get("order1")
    assert (entry.state, entry.certify_id, entry.request_id) == ("passed", "c1", "r1")


def test_another_verification_does_not_settle_an_order_that_has_one(ledger):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    ledger.keep_opening("order1", Opening("opened", "c1", "r1", None, NOW + LIFETIME))
    with pytest.raises(facecert.CallbackError):
        ledger.keep_claim("order1", "c2")
    ledger.keep_claim("order1", "c1")
    ledger.keep_answer(answer_of("c2", True), asked_at=NOW, claim=True)
    assert ledger.get("order1").state == "opened"


@pytest.mark.long
def test_entries_come_in_order_page_by_page(ledger, monkeypatch):
    monkeypatch.setattr(database, "PAGE", 7)
    for number in range(30):  # several at the same moment
        moment = NOW + datetime.timedelta(seconds=number // 4)
        ledger.keep_sent("order%02d" % number, scene_id="1", sent_at=moment)
        if number % 2:
            ledger.keep_opening("order%02d" % number, Opening("opened", "c%d" % number))
    found = [entry.outer_order_no for entry in ledger.entries()]
    assert found == ["order%02d" % number for number in range(30)]
    assert [entry.certify_id for entry in ledger.pending()] == ["c%d" % n for n in range(1, 30, 2)]
    since, until = NOW + datetime.timedelta(seconds=1), NOW + datetime.timedelta(seconds=2)
    assert [e.outer_order_no for e in ledger.entries(since=since, until=until)] == found[4:8]
    assert len(list(ledger.entries(states=["sent"]))) == 15


def test_rows_may_change_while_they_are_read(ledger, monkeypatch):
    monkeypatch.setattr(database, "PAGE", 3)
    for number in range(10):
        ledger.keep_sent("order%02d" % number, scene_id="1", sent_at=NOW)
    seen = 0
    for entry in ledger.entries(states=["sent"]):
        ledger.keep_opening(entry.outer_order_no, Opening("refused", code="x"))
        seen += 1
    assert seen == 10 and set(states(ledger).values()) == {"refused"}


def test_unsettled_is_what_somebody_must_look_after(ledger):
    minutes = datetime.timedelta(minutes=1)
    for order, age, opening in (
        ("fresh", 4.9, None),
        ("hanging", 5.1, None),
        ("unknown", 1, Opening("unknown", code="NoAnswer")),
        ("refused", 60, Opening("refused", code="402")),
        ("waiting", 34.9, Opening("opened", "c1")),
        ("forgotten", 35.1, Opening("opened", "c2")),
    ):
        ledger.keep_sent(order, scene_id="1", sent_at=NOW - age * minutes)
        if opening:
            ledger.keep_opening(order, opening)
    assert {entry.outer_order_no for entry in ledger.unsettled(NOW)} == {
        "hanging", "unknown", "forgotten",
    }  # fmt: skip


def test_unsettled_begins_after_five_minutes_not_with_them(ledger):
    ledger.keep_sent("sent", scene_id="1", sent_at=NOW - GRACE)
    ledger.keep_sent("opened", scene_id="1", sent_at=NOW - GRACE - LIFETIME)
    ledger.keep_opening("opened", Opening("opened", "c1"))
    assert list(ledger.unsettled(NOW)) == []
    later = NOW + datetime.timedelta(microseconds=1)
    assert [entry.outer_order_no for entry in ledger.unsettled(later)] == ["opened", "sent"]
    now = datetime.datetime.now(UTC)
    ledger.keep_sent("fresh", scene_id="1", sent_at=now)
    ledger.keep_sent("hanging", scene_id="1", sent_at=now - 2 * GRACE)
    assert [entry.outer_order_no for entry in ledger.unsettled()][-1] == "hanging"


def test_a_check_changes_nothing(ledger):
    for order in ("x", "order1"):
        ledger.keep_sent(order, scene_id="1", sent_at=NOW)
    ledger.check()
    assert states(ledger) == {"x": "sent", "order1": "sent"}


def test_a_check_misses_the_table(ledger, url):
    ledger.check()
    engine = database._open_engine(database._read_url(url))
    metadata.drop_all(engine)
    engine.dispose()
    with pytest.raises(facecert.LedgerError):
        ledger.check()


def test_an_order_that_was_refused_begins_anew(ledger):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    refused = Opening("refused", None, "r" * 70, "e" * 70, NOW + 2 * LIFETIME)
    ledger.keep_opening("order1", refused)
    entry = ledger.get("order1")
    assert (entry.request_id, entry.code) == ("r" * 64, "e" * 64)
    assert entry.expires_at == NOW + 2 * LIFETIME
    later = NOW + LIFETIME
    ledger.keep_sent("order1", scene_id="2", sent_at=later)
    assert ledger.get("order1") == (
        "order1", "2", "sent", None, None, None, later, later + LIFETIME, None, None,
    )  # fmt: skip


def test_an_answer_without_news_writes_nothing(ledger, monkeypatch):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    ledger.keep_opening("order1", Opening("opened", "c1", "r1", None, NOW + LIFETIME))
    kept = ledger.get("order1")
    monkeypatch.setattr(ledger.database, "change", lambda *news: pytest.fail("it writes"))
    ledger.keep_answer(answer_of("c1", False), asked_at=NOW)
    ledger.keep_answer(answer_of("c1", False), asked_at=NOW, claim=True)
    assert ledger.get("order1") == kept


def test_nothing_personal_is_kept(sandbox, tmp_path, person, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "ledger.db"
    with sandbox.client(ledger=str(path), callback_secret=SECRET) as client:
        for fault in ("echo", "cut", "throttled"):
            sandbox.fail(fault)
            try:
                opened = client.init(callback_url=sandbox.endpoint + "/x", encrypt=True, **person)
            except facecert.FacecertError:
                pass
        opened = client.init(callback_url=sandbox.endpoint + "/x", **person)
        sandbox.complete(opened.certify_id)
        client.query(opened.certify_id)
        client.ledger.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert opened.certify_id.encode("ascii") in kept
    ciphertexts = [r.service_parameters["certNo"] for r in sandbox.requests
                   if "certNo" in r.service_parameters]  # fmt: skip
    for private in [NAME, NUMBER, SECRET, sandbox.access_key_secret,
                    make_token(SECRET, opened.outer_order_no, HERE)] + ciphertexts:  # fmt: skip
        assert private.encode("utf-8") not in kept
        assert private not in caplog.text


def test_a_locked_database_keeps_init_from_being_sent(sandbox, tmp_path, person, monkeypatch):
    monkeypatch.setattr(database, "LONGEST_LOCK", 0.2)
    monkeypatch.setattr(database, "LONGEST_RETRY", 0.2)
    path = str(tmp_path / "ledger.db")
    with sandbox.client(ledger=path) as client:
        client.init(outer_order_no="before", **person)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(facecert.LedgerError, match="database is locked") as caught:
            client.init(outer_order_no="order1", **person)
        holder.execute("ROLLBACK")
        holder.close()
        assert caught.value.outcome == "not sent" and caught.value.retryable
        assert len(sandbox.requests) == 1
        client.init(outer_order_no="order1", **person)


FULL_DISK = """
import resource, signal
import facecert
from facecert.ledger import Ledger
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
client = facecert.Client.from_environment()
client.init(outer_order_no="before", cert_name="a", cert_no="1")
import os
size = max(os.path.getsize(os.environ["FACECERT_LEDGER"] + end) for end in ("", "-wal")
           if os.path.exists(os.environ["FACECERT_LEDGER"] + end))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    client.init(outer_order_no="order1", cert_name="a", cert_no="1")
except facecert.LedgerError as error:
    print(error.outcome, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
client.init(outer_order_no="order1", cert_name="a", cert_no="1")
print([(entry.outer_order_no, entry.state) for entry in client.ledger.entries()])
"""


@pytest.mark.long
def test_a_full_disk_keeps_init_from_being_sent(sandbox, tmp_path):
    environ = dict(sandbox.environment, FACECERT_LEDGER=str(tmp_path / "ledger.db"))
    said = run_python(FULL_DISK, env=environ)
    assert "not sent The ledger could not be written: " in said, said
    assert "[('before', 'opened'), ('order1', 'opened')]" in said
    assert len(sandbox.requests) == 2


def test_a_database_that_is_down_keeps_init_from_being_sent(sandbox, person, tmp_path):
    pytest.importorskip("psycopg2", reason="PostgreSQL's driver is not installed")
    url = "postgresql+psycopg2://ledger:canary-password@/postgres?host=%s" % tmp_path
    with sandbox.client(ledger=url) as client:
        with pytest.raises(facecert.LedgerError) as caught:
            client.init(**person)
        for text in (str(caught.value), repr(caught.value), str(caught.value.__cause__)):
            assert "canary-password" not in text
        assert "canary-password" not in repr(client.ledger) + repr(vars(client.ledger))
    assert sandbox.requests == []


def test_the_ledgers_trouble_after_the_answer_does_not_take_the_answer_away(
    keeping, ledger, person, caplog, monkeypatch
):
    class Down(Ledger):
        def keep_sent(self, outer_order_no, **fields):
            super().keep_sent(outer_order_no, **fields)
            monkeypatch.setattr(self.database, "change", broken)

    def broken(work, again):
        raise facecert.LedgerError("The ledger could not be written: it is down.")

    keeping.ledger = Down("x.db")
    keeping.ledger.database = ledger.database
    opened = keeping.init(outer_order_no="order1", **person)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.name == "facecert"
    for known in ("order1", opened.certify_id, "it is down"):
        assert known in record.getMessage()
    monkeypatch.undo()
    assert ledger.get("order1").state == "sent"


@pytest.mark.parametrize("url", ["", ":memory:", "sqlite://", "sqlite:///:memory:", "a://b:c:d"])
def test_urls_that_keep_nothing_are_refused(url):
    with pytest.raises(facecert.InvalidParameter) as caught:
        facecert.Client("1", ledger=url) if url else Ledger(url)
    assert caught.value.field == "ledger"


def test_a_missing_driver_is_named(tmp_path):
    with pytest.raises(facecert.DependencyError, match="driver") as caught:
        Ledger("mysql+nosuchdriver://u:canary-password@127.0.0.1/x")
    assert "canary-password" not in str(caught.value)


@pytest.mark.parametrize(
    "module, words",
    [
        ("raise ImportError('no', name='sqlalchemy')\n", "The ledger needs SQLAlchemy"),
        ("__version__ = '2.1.0'\nraise ImportError('no')\n", "The ledger needs SQLAlchemy"),
        ("__version__ = '1.3.24'\n", "SQLAlchemy 1.3.24 is too old for the ledger"),
    ],
)
def test_bug_sqlalchemy_1_3_gave_a_bare_import_error(tmp_path, module, words):
    # A module without the package's parts fails where 1.3 does.
    (tmp_path / "sqlalchemy.py").write_text(module)
    path = "%s%s%s" % (tmp_path, os.pathsep, ROOT)
    code = "import facecert; facecert.Client('1', ledger='x.db')"
    said = run_python(code, env={"PYTHONPATH": path}, check=False)
    assert "DependencyError: " + words in said
    assert ("pip install" if "needs" in words else "second environment") in said


@pytest.mark.long
def test_the_environment_names_it(sandbox, url):
    code = (
        "import facecert\n"
        "print(facecert.init(cert_name='a', cert_no='1', outer_order_no='order1').certify_id)"
    )
    certify_id = run_python(code, env=dict(sandbox.environment, FACECERT_LEDGER=url)).strip()
    ledger = Ledger(url)
    assert ledger.get("order1").certify_id == certify_id
    ledger.close()


@pytest.mark.long
def test_threads_share_it(sandbox, ledger, person):
    def work(number):
        for turn in range(5):
            client.init(outer_order_no="t%dn%d" % (number, turn), **person)

    with sandbox.client(ledger=ledger) as client:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(states(ledger).values()) == {"opened"} and len(states(ledger)) == 40


SIXTEEN = """
import os, sys
import facecert
client = facecert.Client.from_environment()
start, go = os.pipe()


def work(number):
    os.close(go)
    os.read(start, 1)  # until all of them are there
    for turn in range(6):
        client.init(outer_order_no="p%dn%d" % (number, turn), cert_name="a", cert_no="1")
        try:
            client.init(outer_order_no="shared%d" % turn, cert_name="a", cert_no="1")
        except facecert.InvalidParameter as error:
            assert error.field == "outer_order_no"
        else:
            os.write(1, b"shared%d " % turn)


children = []
for number in range(16):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(number)
            status = 0
        finally:
            if status:
                import traceback; traceback.print_exc()
            os._exit(status)
    children.append(child)
os.close(go)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


@pytest.mark.long
def test_sixteen_processes(sandbox, url):
    environ = dict(sandbox.environment, FACECERT_LEDGER=url)
    won = run_python(SIXTEEN, env=environ, timeout=300).split()
    assert sorted(won) == ["shared%d" % turn for turn in range(6)]
    ledger = Ledger(url)
    kept = {entry.outer_order_no: entry for entry in ledger.entries()}
    ledger.close()
    assert len(kept) == 16 * 6 + 6
    opened = {one.outer_order_no: one.certify_id for one in sandbox.verifications()}
    assert {order: entry.certify_id for order, entry in kept.items()} == opened
    assert {entry.state for entry in kept.values()} == {"opened"}


KILLED = """
import os, signal, sys
import facecert
import facecert.ledger.database

client = facecert.Client.from_environment()
client.init(outer_order_no="warm", cert_name="a", cert_no="1")
client.close()
client.ledger.close()
names = "client lifecycle ledger.store ledger.database transport.gateway transport.http".split()
ours = {sys.modules["facecert." + name].__file__ for name in names}
step, left = 3, 0


def die_at(line):
    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in ours:
            return None
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    left = line
    sys.settrace(trace)
    client.init(outer_order_no="order%d" % line, cert_name="a", cert_no="1")
    sys.settrace(None)


line = step
while True:
    child = os.fork()
    if child == 0:
        try:
            die_at(line)
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    print("order%d" % line)
    line += step
"""


@pytest.mark.long
def test_killed_between_any_two_steps_the_row_tells_the_truth(sandbox, url):
    # Python calls the tracer for each line of ours: about 150 of them in an init. Every third.
    environ = dict(sandbox.environment, FACECERT_LEDGER=url)
    killed = run_python(KILLED, env=environ, timeout=300).split()
    assert len(killed) >= 20
    ledger = Ledger(url)
    kept = {entry.outer_order_no: entry for entry in ledger.entries()}
    ledger.close()
    opened = {one.outer_order_no: one.certify_id for one in sandbox.verifications()}
    seen = set()
    for order in killed:
        entry = kept.get(order)
        if entry is None:
            assert order not in opened
        elif entry.state == "opened":
            assert entry.certify_id == opened[order]
        else:
            assert (entry.state, entry.certify_id) == ("sent", None)
        seen.add((entry and entry.state, order in opened))
    assert seen == {(None, False), ("sent", False), ("sent", True), ("opened", True)}


def test_bug_many_first_users_at_once_collided_over_each_table(ledger, monkeypatch):
    from sqlalchemy.exc import OperationalError

    create_all, collisions = metadata.create_all, ["table a already exists", "table b exists"]

    def collide(connection):
        if collisions:
            raise OperationalError("CREATE", {}, Exception(collisions.pop()))
        create_all(connection)

    monkeypatch.setattr(metadata, "create_all", collide)
    assert ledger.get("order1") is None and not collisions


def test_a_database_that_lets_nobody_make_tables_says_so(ledger, monkeypatch):
    from sqlalchemy.exc import ProgrammingError

    def refuse(connection):
        raise ProgrammingError("CREATE", {}, Exception("permission denied for schema public"))

    with monkeypatch.context() as patch:
        patch.setattr(metadata, "create_all", refuse)
        with pytest.raises(facecert.LedgerError, match="permission denied for schema public"):
            ledger.get("order1")


def test_a_forked_child_opens_its_own_connections(sandbox, keeping, ledger, person):
    keeping.init(outer_order_no="parent", **person)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            keeping.init(outer_order_no="child", **person)
            ledger.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    keeping.init(outer_order_no="parent2", **person)
    assert states(ledger) == {"parent": "opened", "child": "opened", "parent2": "opened"}


def test_closing_lets_go_of_the_connections_and_is_not_the_end(ledger):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    assert ledger.database._engines
    ledger.close()
    assert not ledger.database._engines
    assert ledger.get("order1").state == "sent"


def test_its_repr_says_where_it_is(tmp_path):
    path = str(tmp_path / "ledger.db")
    assert repr(Ledger(path)) == "<facecert.ledger.Ledger sqlite:///%s>" % path
    assert repr(object.__new__(Ledger)) == "<facecert.ledger.Ledger None>"


def test_the_file_is_where_it_was_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger("here.db").keep_sent("order1", scene_id="1", sent_at=NOW)
    assert pathlib.Path(tmp_path, "here.db").exists()
    assert Ledger("sqlite:///here.db").get("order1").sent_at == NOW


def crash_report(error):
    """What a crash reporter keeps of an error; this file's own frames aside."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    links, text = [report], str(error)
    while links:
        link = links.pop()
        if link is not None:
            text += str(link)
            text += "".join(repr(f.locals) for f in link.stack if f.filename != __file__)
            links += [link.__cause__, link.__context__]
    return text


CANARY = "canary/word"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://u:canary%2Fword@127.0.0.1:1/db",
        "postgresql+psycopg2://127.0.0.1:1/db?user=u&password=canary%2Fword",
    ],
)
def test_bug_a_crash_report_showed_the_databases_password(url):
    pytest.importorskip("psycopg2", reason="PostgreSQL's driver is not installed")
    ledger = Ledger(url)
    with pytest.raises(facecert.LedgerError) as caught:
        list(ledger.unsettled())
    assert CANARY not in crash_report(caught.value)
    assert "canary" not in repr(ledger)


def test_a_callers_own_error_keeps_its_frames(ledger):
    with pytest.raises(facecert.LedgerError) as caught:
        try:
            raise ValueError
        except ValueError as error:
            mine = error
            ledger.database.read(sqlalchemy.text("SELECT nothing FROM nowhere"))
    assert mine.__traceback__ is not None
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__cause__.__traceback__)]
    drivers = [frame for frame in frames if "sqlalchemy" in frame.f_code.co_filename]
    assert drivers and not any(frame.f_locals for frame in drivers)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://u:can@ry-word@127.0.0.1:1/db",
        "postgresql+psycopg2://u:ry-word@127.0.0.1:port/db",
    ],
)
def test_bug_a_password_with_an_at_sign_was_shown_as_the_host(url):
    with pytest.raises(facecert.InvalidParameter) as caught:
        Ledger(url)
    assert caught.value.field == "ledger"
    assert "ry-word" not in crash_report(caught.value)


def answer_of(certify_id, passed):
    return facecert.QueryResult(
        passed=passed, certify_id=certify_id, identity_info=None, material_info=None,
        request_id=None, raw={},
    )  # fmt: skip


def test_bug_an_id_that_a_callback_brought_to_a_refused_order_was_wiped(ledger):
    """400, as the number was used before; the callback of that earlier one tells the id."""
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    ledger.keep_opening("order1", Opening("refused", code="400"))
    ledger.keep_claim("order1", "c1")
    with pytest.raises(facecert.InvalidParameter):
        ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    assert ledger.get("order1").certify_id == "c1"


def test_bug_an_interruption_while_the_id_was_stored_lost_it(ledger, monkeypatch, caplog):
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)

    def interrupted(work, again):
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger.database, "change", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ledger.keep_opening("order1", Opening("opened", "c1", "r1", None, NOW + LIFETIME))
    assert "KeyboardInterrupt" in caplog.text and "certify_id c1" in caplog.text


def test_bug_every_page_read_the_table_from_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "PAGE", 2)
    ledger = Ledger(str(tmp_path / "ledger.db"))
    for second in range(3):
        sent_at = NOW + datetime.timedelta(seconds=second)
        ledger.keep_sent("order%d" % second, scene_id="1", sent_at=sent_at)
    asked = []

    def look(connection, cursor, statement, parameters, context, executemany):
        asked.append((statement, parameters))

    sqlalchemy.event.listen(ledger.database._engine(), "before_cursor_execute", look)
    assert len(list(ledger.entries())) == 3
    with sqlite3.connect(str(tmp_path / "ledger.db")) as connection:
        plans = [str(list(connection.execute("EXPLAIN QUERY PLAN " + s, p))) for s, p in asked]
    assert len(plans) == 2 and "sent_at>" in plans[1], plans
    connection.close()
    ledger.close()


def test_bug_a_server_with_strict_isolation_refused_two_who_wrote_at_once(postgresql):
    ledger = Ledger(postgresql)
    other = Ledger(postgresql + "&options=-c%20default_transaction_isolation%3Dserializable")
    other.keep_sent("order1", scene_id="1", sent_at=NOW)
    with other.database._engine().begin() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM facecert_verifications")  # its snapshot
        ledger.keep_claim("order1", "c1")
        ledger.keep_answer(answer_of("c1", True), asked_at=NOW)
        connection.exec_driver_sql("UPDATE facecert_verifications SET request_id = 'R1'")
    assert (ledger.get("order1").state, ledger.get("order1").request_id) == ("passed", "R1")
    metadata.drop_all(ledger.database._engine())
    ledger.close()
    other.close()


def test_a_wrong_url_is_in_no_frame_of_the_ledger():
    with pytest.raises(facecert.InvalidParameter) as caught:
        Ledger("postgresql://user:canary-password@host:port/x")
    assert "canary-password" not in crash_report(caught.value)


def test_what_receivers_were_not_told_is_listed_until_it_is_marked(ledger):
    for order, claim in (("order1", False), ("order2", None)):
        ledger.keep_sent(order, scene_id="1", sent_at=NOW)
        ledger.keep_claim(order, "c" + order)
        ledger.keep_answer(answer_of("c" + order, False), asked_at=NOW, claim=claim)
    (entry,) = ledger.untold()
    assert (entry.outer_order_no, entry.state, entry.told) == ("order1", "failed", None)
    ledger.keep_answer(answer_of("corder1", True), asked_at=NOW)
    ledger.keep_told("order1", "failed")  # meanwhile it has passed
    (entry,) = ledger.untold()
    assert (entry.state, entry.told) == ("passed", "failed")
    ledger.keep_told("order1", "passed")
    assert list(ledger.untold()) == [] and ledger.get("order1").told == "passed"


def test_an_order_that_is_not_in_the_ledger_may_claim_an_unknown_id(ledger):
    ledger.keep_claim("order1", "c1")
    assert list(ledger.entries()) == []


def test_bug_an_id_that_another_row_has_left_the_ledger_as_an_exception(ledger, caplog):
    for order in ("order1", "order2"):
        ledger.keep_sent(order, scene_id="1", sent_at=NOW)
        ledger.keep_opening(order, Opening("opened", "c1", "r1", None, NOW + LIFETIME))
    assert states(ledger) == {"order1": "opened", "order2": "sent"}
    assert ledger.find("c1").outer_order_no == "order1"
    assert "outer_order_no order2, certify_id c1" in caplog.text


@pytest.fixture
def budget(url):
    ledger = Ledger(url, per_day=2)
    yield ledger
    ledger.close()


def test_bug_a_day_that_was_deleted_was_a_spent_budget(budget):
    budget.keep_sent("order1", scene_id="1", sent_at=NOW)
    budget.database.write(days.delete())
    for order in ("order2", "order3"):
        budget.keep_sent(order, scene_id="1", sent_at=NOW)
    with pytest.raises(facecert.BudgetSpent):
        budget.keep_sent("order4", scene_id="1", sent_at=NOW)


@pytest.mark.parametrize(
    "url, error",
    [
        ("sqlite:///x.db?timeout=abc", facecert.InvalidParameter),
        ("mysql+pymysql://u:canary-password@localhost:9/x?charsett=utf8", facecert.LedgerError),
        ("mysql+pymysql://u:canary-password@localhost:9/x?charset=utf8mb5", facecert.LedgerError),
        ("mysql+pymysql://u:canary-password@localhost:9/x?ssl=true", facecert.LedgerError),
        ("mysql+pymysql://u:canary-password@localhost:9/x?connect_timeout=abc", None),
    ],
)
def test_bug_an_option_that_the_driver_does_not_take_was_an_error_of_python(url, error):
    pytest.importorskip("pymysql")
    with pytest.raises(error or facecert.InvalidParameter) as caught:
        Ledger(url).keep_sent("order1", scene_id="1", sent_at=NOW)
    assert "canary-password" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_daily_budget(budget):
    def keep_sent(order, sent_at=NOW):
        budget.keep_sent(order, scene_id="1", sent_at=sent_at)

    keep_sent("order1")
    with pytest.raises(facecert.InvalidParameter):
        keep_sent("order1")  # nothing is sent, so nothing is counted
    budget.keep_opening("order1", Opening("refused", code="402"))
    keep_sent("order1")  # a refused init counts
    with pytest.raises(facecert.BudgetSpent) as caught:
        keep_sent("order2")
    assert budget.get("order2") is None
    assert caught.value.retry_after == 4 * 3600 - 0.25
    budget.keep_opening("order1", Opening("refused", code="402"))
    with pytest.raises(facecert.BudgetSpent):
        keep_sent("order1")
    assert budget.get("order1").state == "refused"
    keep_sent("order2", NOW + datetime.timedelta(hours=4))


def test_a_retry_is_not_counted(sandbox, budget, client, person):
    client.ledger = budget
    for turn in range(2):
        sandbox.fail("throttled", times=2)
        client.init(**person)
    assert len(sandbox.requests) == 6
    with pytest.raises(facecert.BudgetSpent):
        client.init(**person)
    assert len(sandbox.requests) == 6


def test_a_budget_needs_a_ledger(tmp_path):
    path = str(tmp_path / "ledger.db")
    for arguments in ({}, {"ledger": Ledger(path)}):
        with pytest.raises(facecert.InvalidParameter) as caught:
            facecert.Client("1", per_day=100, **arguments)
        assert caught.value.field == "per_day"
    for wrong in (0, True, "100", 10 ** 9 + 1):
        with pytest.raises(facecert.InvalidParameter) as caught:
            facecert.Client("1", ledger=path, per_day=wrong)
        assert caught.value.field == "per_day"
    assert facecert.Client("1", ledger=path, per_day=100).ledger.per_day == 100


class DriversError(Exception):
    """An error as a driver raises it."""

    def __init__(self, *arguments, **attributes):
        super().__init__(*arguments)
        vars(self).update(attributes)


def failing(ledger, monkeypatch, *errors):
    """Have the next transactions raise these errors of a driver; return how many are left."""
    from sqlalchemy.exc import DBAPIError

    left, execute = list(errors), sqlalchemy.engine.Connection.execute

    def fail(self, statement, *more, **named):
        if left and not statement.is_select:
            raise DBAPIError("UPDATE", {}, left.pop(0))
        return execute(self, statement, *more, **named)

    monkeypatch.setattr(sqlalchemy.engine.Connection, "execute", fail)
    return left


CONFLICTS = [
    DriversError(1213, "Deadlock found"), DriversError(1205, "Lock wait timeout exceeded"),
    DriversError("Deadlock found", errno=1213), DriversError("deadlock", pgcode="40P01"),
    DriversError("could not serialize", sqlstate="40001"), sqlite3.OperationalError(
        "database is locked"
    ),
]  # fmt: skip


def test_a_lost_conflict_is_tried_again(ledger, monkeypatch, caplog):
    ledger.check()
    left = failing(ledger, monkeypatch, *CONFLICTS)
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    assert not left
    left += CONFLICTS
    ledger.keep_opening("order1", Opening("opened", "c1"))
    assert not left and not caplog.records and ledger.get("order1").certify_id == "c1"


def test_conflicts_are_tried_again_for_two_seconds_at_most(ledger, monkeypatch, caplog):
    assert database.LONGEST_RETRY == 2
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    monkeypatch.setattr(database, "LONGEST_RETRY", 0.1)
    left = failing(ledger, monkeypatch, *CONFLICTS * 1000)
    ledger.keep_opening("order1", Opening("opened", "c1"))
    assert left and "certify_id c1" in caplog.text
    left.clear()


def test_after_the_response_another_error_is_tried_again_once(ledger, monkeypatch, caplog):
    ledger.check()
    error = DriversError("server closed the connection unexpectedly")
    left = failing(ledger, monkeypatch, error)
    with pytest.raises(facecert.LedgerError):  # It may have been committed.
        ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    ledger.keep_sent("order1", scene_id="1", sent_at=NOW)
    left += [error]
    ledger.keep_opening("order1", Opening("opened", "c1"))
    assert not left and not caplog.records and ledger.get("order1").certify_id == "c1"
    left += [error] * 3
    ledger.keep_answer(answer_of("c1", True), asked_at=NOW)
    assert len(left) == 1 and "certify_id c1" in caplog.text
    left.clear()
