"""Sixteen processes at once, and lost connections, on real database servers."""

import urllib.parse

import pytest
from conftest import run_python

import facecert

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
from facecert.ledger import Ledger  # noqa: E402
from facecert.ledger.schema import metadata  # noqa: E402

pytestmark = pytest.mark.long

#: What each connection says first. MySQL keeps its own isolation level.
SERVERS = {
    "postgresql": None,
    "mariadb at READ COMMITTED": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "mariadb at REPEATABLE READ": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "mariadb with a log of statements": "SET SESSION binlog_format=STATEMENT",
}


BUT_THE_LOG = ["sqlite"] + list(SERVERS)[:3]


@pytest.fixture(params=["sqlite"] + list(SERVERS))
def url(request, tmp_path):
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
        return
    url = request.getfixturevalue(request.param.split()[0])
    if SERVERS[request.param]:
        url += "&init_command=" + urllib.parse.quote(SERVERS[request.param])
    yield url
    engine = sqlalchemy.create_engine(url)
    metadata.drop_all(engine)
    engine.dispose()


#: Each test defines ``work(number)``; ``meet()`` returns when all have called it.
SIXTEEN = """
import multiprocessing, os, sys, traceback
import facecert
import facecert.ledger.store

# Midnight may come while the test runs.
facecert.ledger.store._day = lambda moment: "2026-10-01"
client = facecert.Client.from_environment()
meet = multiprocessing.Barrier(16, timeout=120).wait
PERSON = dict(cert_name="a", cert_no="1")

%s

children = []
for number in range(16):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(number)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    children.append(child)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def run_sixteen(work, sandbox, url, **more):
    environ = dict(sandbox.environment, FACECERT_LEDGER=url, **more)
    return run_python(SIXTEEN % work, env=environ, timeout=300).split()


RACE = """
def work(number):
    for turn in range(40):
        meet()
        try:
            client.init(outer_order_no="order%d" % turn, **PERSON)
            os.write(1, b"won ")
        except facecert.InvalidParameter as error:
            assert error.field == "outer_order_no"
"""


def test_bug_a_deadlock_lost_the_certify_id_of_the_one_who_won(sandbox, url):
    """Sixteen at once want one order number, 40 times; 20 of these were refused before."""
    ledger = Ledger(url)
    with sandbox.client(ledger=ledger) as client:
        sandbox.fail("code-402", times=20)
        for turn in range(20):
            with pytest.raises(facecert.ServiceError):
                client.init(outer_order_no="order%d" % turn, cert_name="a", cert_no="1")
    assert run_sixteen(RACE, sandbox, url) == ["won"] * 40
    kept = {entry.outer_order_no: (entry.state, entry.certify_id) for entry in ledger.entries()}
    ledger.close()
    opened = sandbox.verifications()
    assert kept == {one.outer_order_no: ("opened", one.certify_id) for one in opened}
    assert len(kept) == 40


BUDGET = """
def work(number):
    meet()
    for turn in range(10):
        try:
            client.init(outer_order_no="p%dn%d" % (number, turn), **PERSON)
            os.write(1, b"sent ")
        except facecert.BudgetSpent as error:
            assert error.outcome == "not sent" and not error.retryable
            os.write(1, b"spent ")
"""


@pytest.mark.parametrize("url", BUT_THE_LOG, indirect=True)
def test_a_budget_of_100_sends_exactly_100(sandbox, url):
    said = run_sixteen(BUDGET, sandbox, url, FACECERT_PER_DAY="100")
    assert (said.count("sent"), said.count("spent")) == (100, 60)
    assert len(sandbox.requests) == 100
    ledger = Ledger(url)
    assert sum(1 for entry in ledger.entries()) == 100
    ledger.close()


CLAIMS = """
def work(number):
    for turn in range(20):
        meet()
        try:
            client.ledger.keep_claim("order%d" % number, "c%d" % turn)
            os.write(1, b"%d " % turn)
        except facecert.CallbackError:
            pass
"""


@pytest.mark.parametrize("url", BUT_THE_LOG, indirect=True)
def test_of_sixteen_orders_that_claim_an_id_one_gets_it(sandbox, url):
    ledger = Ledger(url)
    now = facecert.Client("1")._gateway.now()
    for number in range(16):
        ledger.keep_sent("order%d" % number, scene_id="1", sent_at=now)
    won = run_sixteen(CLAIMS, sandbox, url)
    kept = [entry.certify_id for entry in ledger.entries()]
    ledger.close()
    # Each order takes one id. With the 16th they are used up.
    assert sorted(won) == sorted("%d" % turn for turn in range(16))
    assert sorted(kept) == sorted("c%d" % turn for turn in range(16))


def killer(url):
    """Return a function that kills all connections of the ledger."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)

    def kill():
        with engine.connect() as connection:
            if engine.name == "postgresql":
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                return
            mine = "SELECT id FROM information_schema.processlist" \
                " WHERE db = 'ledger' AND id <> connection_id()"
            for found in connection.exec_driver_sql(mine).all():
                connection.exec_driver_sql("KILL CONNECTION %d" % found[0])

    return kill


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("moment", ["before the write", "in the write"])
def test_bug_a_connection_killed_after_the_response_lost_the_result(
    sandbox, person, caplog, monkeypatch, request, name, moment
):
    """50 times: 25 in init, 25 in query."""
    url = request.getfixturevalue(name)
    kill, kills, armed = killer(url), [], []

    def post(form):
        response = original(form)
        if moment == "before the write":
            kill()
            kills.append(1)
        else:
            armed.append(True)
        return response

    def listen(connection, cursor, statement, *more):
        if armed and statement.startswith("UPDATE"):
            armed.clear()
            kill()
            kills.append(1)

    ledger = Ledger(url)
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", listen)
    try:
        with sandbox.client(ledger=ledger) as client:
            original = client._gateway.http.post
            monkeypatch.setattr(client._gateway.http, "post", post)
            for turn in range(25):
                opened = client.init(outer_order_no="order%d" % turn, **person)
                entry = ledger.get("order%d" % turn)
                assert (entry.state, entry.certify_id) == ("opened", opened.certify_id)
                sandbox.complete(opened.certify_id)
                assert client.query(opened.certify_id).passed
                assert ledger.get("order%d" % turn).state == "passed"
        assert len(kills) == 50
        assert not [record for record in caplog.records if record.name == "facecert"]
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", listen)
        metadata.drop_all(ledger.database._engine())
        ledger.close()
