import json
import logging
import pickle

import pytest
from conftest import run_python

from facecert.errors import CredentialsError
from facecert.transport import credentials
from facecert.transport.credentials import ID, SECRET, TOKEN, Credentials, Snapshot

KEY = ("id", "secretword", "tokenword")


class Whole:
    """As alibabacloud_credentials 1.x."""

    def __init__(self, *keys):
        self.keys = list(keys)

    def get_credential(self):
        class Model:
            access_key_id, access_key_secret, security_token = self.keys.pop(0)

        return Model


class Getters:
    """As alibabacloud_credentials 0.3.2, whose get_credential builds from a config."""

    def __init__(self, refresh_before=()):
        self.generation = 0
        self.reads = 0
        self.refresh_before = set(refresh_before)

    def _part(self, name):
        if self.reads in self.refresh_before:
            self.generation += 1
        self.reads += 1
        return "%s%d" % (name, self.generation)

    @staticmethod
    def get_credential(config):
        raise AssertionError("this builds a credential, it does not hand one out")

    def get_access_key_id(self):
        return self._part("id")

    def get_access_key_secret(self):
        return self._part("secret")

    def get_security_token(self):
        return self._part("token")


def parts(snapshot):
    return snapshot.access_key_id, snapshot.access_key_secret, snapshot.security_token


def test_a_tuple():
    assert parts(Credentials(KEY).snapshot()) == KEY
    assert parts(Credentials(("id ", "secretword\n")).snapshot()) == ("id", "secretword", None)


def test_a_client_of_the_new_generation_is_asked_anew_every_time():
    source = Credentials(Whole(("a", "b", "c"), ("d", "e", None)))
    assert parts(source.snapshot()) == ("a", "b", "c")
    assert parts(source.snapshot()) == ("d", "e", None)


def test_a_client_of_the_old_generation():
    assert parts(Credentials(Getters()).snapshot()) == ("id0", "secret0", "token0")


@pytest.mark.parametrize("read", [1, 2, 3])
def test_bug_three_getters_that_straddle_a_refresh_do_not_mix(read):
    assert parts(Credentials(Getters([read])).snapshot()) == ("id1", "secret1", "token1")


def test_a_source_that_never_rests_is_given_up():
    with pytest.raises(CredentialsError):
        Credentials(Getters(range(100))).snapshot()


def test_the_installed_package_is_understood():
    from alibabacloud_credentials.client import Client
    from alibabacloud_credentials.models import Config

    client = Client(
        Config(type="sts", access_key_id="i", access_key_secret="s", security_token="t")
    )
    assert parts(Credentials(client).snapshot()) == ("i", "s", "t")
    client = Client(Config(type="access_key", access_key_id="i", access_key_secret="s"))
    assert parts(Credentials(client).snapshot()) == ("i", "s", None)


def test_a_snapshot_tells_where_it_came_from():
    class Named:
        access_key_id, access_key_secret, security_token = KEY
        provider_name = "default/env"

        def get_credential(self):
            return self

    class Old(Getters):
        cloud_credential = type("AccessKeyCredential", (), {"credential_type": "access_key"})

    assert Credentials(Named()).snapshot().source == "default/env"
    assert Credentials(Old()).snapshot().source == "access_key"
    assert Credentials(KEY).snapshot().source is None


@pytest.mark.parametrize("source", [("id",), ("a", "b", "c", "d"), ("", "s"), ("i", None), 5, "id"])
def test_what_is_no_source_is_refused_at_once(source):
    with pytest.raises(CredentialsError) as caught:
        Credentials(source)
    assert caught.value.outcome == "not sent" and not caught.value.retryable


def test_a_source_that_fails_is_named_without_its_words():
    class Broken:
        def get_credential(self):
            raise RuntimeError("https://sts/?SecurityToken=tokenword&Signature=abc")

    with pytest.raises(CredentialsError) as caught:
        Credentials(Broken()).snapshot()
    assert "RuntimeError" in str(caught.value) and "tokenword" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_nothing_shows_a_secret():
    snapshot = Snapshot(*KEY)
    assert "word" not in repr(snapshot) + str(snapshot) + repr(Credentials(KEY))
    assert set(snapshot.private.value) == {"secretword", "tokenword"}


ENV = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s1"}


def with_profile(tmp_path):
    """Write a profile that the installed package finds, of whichever generation it is."""
    folder = tmp_path / ".alibabacloud"
    folder.mkdir()
    (folder / "credentials.ini").write_text(
        "[default]\nenable = true\ntype = access_key\naccess_key_id = i2\naccess_key_secret = s2\n"
        "[other]\nenable = true\ntype = access_key\naccess_key_id = i3\naccess_key_secret = s3\n"
    )
    return {"HOME": str(tmp_path)}


IMPORTED = (
    "import sys\n"
    "from facecert.transport.credentials import Credentials\n"
    "s = Credentials().snapshot()\n"
    "print(s.access_key_id, 'alibabacloud_credentials' in sys.modules)"
)


def test_the_environments_keys_need_no_package(tmp_path):
    assert run_python(IMPORTED, env=ENV).split() == ["i1", "False"]
    profiled = dict(with_profile(tmp_path), ALIBABA_CLOUD_PROFILE="default", **ENV)
    assert run_python(IMPORTED, env=profiled).split() == ["i1", "False"]
    profiled["ALIBABA_CLOUD_PROFILE"] = "other"  # the package decides; releases differ
    assert run_python(IMPORTED, env=profiled).split()[1] == "True"
    assert run_python(IMPORTED, env={"HOME": str(tmp_path)}).split() == ["i2", "True"]


def test_the_environment_is_read_anew_for_every_attempt(monkeypatch):
    source = Credentials()
    for number in ("1", "2"):
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "i" + number)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s" + number)
        monkeypatch.setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "t" + number)
        assert parts(source.snapshot()) == ("i" + number, "s" + number, "t" + number)


def test_an_acs_client_lends_its_credentials():
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    from aliyunsdkcore.client import AcsClient

    plain = AcsClient("i", "s", "cn-shanghai")
    assert parts(Credentials(plain).snapshot()) == ("i", "s", None)
    sts = AcsClient(region_id="cn-shanghai", credential=StsTokenCredential("i", "s", "t"))
    assert parts(Credentials(sts).snapshot()) == ("i", "s", "t")


def test_an_acs_client_of_a_ram_role_refreshes_by_itself():
    from aliyunsdkcore.auth.credentials import RamRoleArnCredential
    from aliyunsdkcore.client import AcsClient

    role = RamRoleArnCredential("i", "s", "acs:ram::1:role/x", "session")
    client = AcsClient(region_id="cn-shanghai", credential=role)
    answers = iter([("i1", "s1", "t1"), ("i2", "s2", "t2")])

    def do_action(request, signer):
        names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
        body = json.dumps({"Credentials": dict(zip(names, next(answers)))})
        return 200, {}, body.encode("utf-8"), None

    client._signer._doAction = do_action
    source = Credentials(client)
    assert parts(source.snapshot()) == parts(source.snapshot()) == ("i1", "s1", "t1")
    client._signer._last_update_time = 0
    assert parts(source.snapshot()) == ("i2", "s2", "t2")


def test_the_standard_chain_reads_the_environment():
    code = (
        "from facecert.transport.credentials import Credentials\n"
        "s = Credentials().snapshot()\n"
        "print(s.access_key_id, s.access_key_secret, s.security_token)"
    )
    env = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s1"}
    assert run_python(code, env=env).split() == ["i1", "s1", "None"]


def test_the_standard_chain_names_what_it_tried():
    code = (
        "import facecert\n"
        "client = facecert.Client('1')\n"
        "for turn in range(2):\n"
        "    try: client.query('ab')\n"
        "    except facecert.CredentialsError as error: print(error)"
    )
    said = run_python(code)
    assert "passed in" not in said
    for source in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "config.json", "credentials.ini", "ECS"):
        assert source in said


@pytest.mark.parametrize("name, missing", [(ID, SECRET), (SECRET, ID)])
def test_bug_half_an_access_key_was_not_named(monkeypatch, name, missing):
    class Chain:
        def get_credential(self):
            raise RuntimeError("half of it")

    monkeypatch.setattr(credentials, "_import_chain", lambda: Chain)
    for variable in (ID, SECRET, TOKEN):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "canary")
    with pytest.raises(CredentialsError) as caught:
        Credentials().snapshot()
    said = str(caught.value)
    assert "%s is not set, but %s is" % (missing, name) in said
    assert "canary" not in said and "half" not in said


@pytest.mark.parametrize("key, words", [
    (("id", ""), "The AccessKey secret is missing"),
    (("", "secret"), "AccessKey id is missing"),
    (("id", "张三"), "AccessKey secret contains a blank or a character that is not ASCII"),
])  # fmt: skip
def test_half_an_access_key_that_is_passed_in_is_named(key, words):
    with pytest.raises(CredentialsError, match=words):
        Credentials(key)


def test_bug_the_packages_below_open_loggers_and_add_handlers(tmp_path):
    code = (
        "import logging\n"
        "from facecert.transport.credentials import Credentials\n"
        "s = Credentials().snapshot()\n"
        "for name in ('alibabacloud-tea', 'credentials'):\n"
        "    print(logging.getLogger(name).handlers, logging.getLogger(name).level)"
    )
    assert run_python(code, env=with_profile(tmp_path)).split() == ["[]", "0", "[]", "0"]


OIDC = {
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "HOME": "/nonexistent",
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/x",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/x",
}


def test_bug_a_failing_sts_request_is_logged_with_its_token(tmp_path):
    (tmp_path / "token").write_text("canary-oidc-token")
    code = (
        "import logging, facecert\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "try: facecert.Client('1', endpoint='http://127.0.0.1:1').query('ab')\n"
        "except facecert.CredentialsError as error: print(error)\n"
        "logging.getLogger('credentials').error('the app may still log here')"
    )
    env = dict(OIDC, ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(tmp_path / "token"))
    said = run_python(code, env=env, check=False)
    assert "could not reach" in said and "the app may still log here" in said
    for quoted in ("canary-oidc-token", "Signature", "AssumeRole", "Traceback"):
        assert quoted not in said


@pytest.mark.long
def test_a_profile_whose_sts_cannot_be_reached(tmp_path):
    (tmp_path / ".aliyun").mkdir()
    profile = {
        "name": "default", "mode": "RamRoleArn", "access_key_id": "canary-id",
        "access_key_secret": "canary-secret", "ram_role_arn": "acs:ram::1:role/x",
        "ram_session_name": "x", "expired_seconds": 900,
    }  # fmt: skip
    (tmp_path / ".aliyun" / "config.json").write_text(
        json.dumps({"current": "default", "profiles": [profile]})
    )
    code = (
        "import logging, facecert\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "try: facecert.Client('1', endpoint='http://127.0.0.1:1').query('ab')\n"
        "except facecert.CredentialsError as error: print(error)"
    )
    env = {"HTTPS_PROXY": "http://127.0.0.1:1", "HOME": str(tmp_path)}
    said = run_python(code, env=env, check=False)
    assert "credential chain" in said and "canary" not in said and "Signature" not in said


def test_bug_after_a_late_patch_one_greenlet_hushed_or_unhushed_all():
    pytest.importorskip("gevent")
    code = (
        "import logging\n"
        "from facecert.transport.credentials import _hushed\n"
        "from gevent import event, monkey, spawn\n"
        "monkey.patch_all()\n"
        "logging.basicConfig(format='%(message)s')\n"
        "log, reading, leave = logging.getLogger('credentials'), event.Event(), event.Event()\n"
        "def read():\n"
        "    with _hushed():\n"
        "        reading.set()\n"
        "        leave.wait()\n"
        "        log.error('a token')\n"
        "reader = spawn(read)\n"
        "reading.wait()\n"
        "log.error('of the app')\n"
        "with _hushed():\n"
        "    log.error('another token')\n"
        "leave.set()\n"
        "reader.join()\n"
    )
    assert run_python(code, check=False) == "of the app\n"


def test_logging_is_left_alone_where_the_app_had_set_it_up():
    logger = logging.getLogger("alibabacloud-tea")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        with pytest.raises(CredentialsError):
            Credentials().snapshot()
        assert handler in logger.handlers
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    "key", [("i", "s", b"bytes"), ("i", "s", 5), ("i", "s\udcff"), ("名", "s"), ("i", "s s")]
)
def test_what_cannot_be_signed_with_is_refused_without_being_shown(key):
    with pytest.raises(CredentialsError) as caught:
        Credentials(key)
    assert not any(str(part) in str(caught.value) for part in key if len(str(part)) > 3)


@pytest.mark.long
def test_apps_that_make_errors_of_warnings_can_use_the_chain(tmp_path):
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "from facecert.transport.credentials import Credentials\n"
        "print(Credentials().snapshot().access_key_id)"
    )
    assert run_python(code, env=with_profile(tmp_path)).strip() == "i2"


def test_a_missing_package_is_named_with_its_repair(monkeypatch):
    import sys

    from facecert.errors import DependencyError

    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    with pytest.raises(DependencyError) as caught:
        Credentials().snapshot()
    assert "pip install" in str(caught.value)
    pickle.dumps(caught.value)


@pytest.mark.long
def test_bug_the_packages_scheduler_filled_the_apps_log():
    pytest.importorskip("apscheduler", reason="alibabacloud-credentials 1.x brings it")
    code = (
        "import gc, logging, threading\n"
        "from datetime import datetime, timezone\n"
        "from apscheduler.events import EVENT_JOB_EXECUTED\n"
        "from apscheduler.schedulers.background import BackgroundScheduler\n"
        "import facecert\n"
        "from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider\n"
        "from facecert.transport.credentials import Credentials\n"
        "class Source:\n"
        "    def get_credential(self):\n"
        "        EcsRamRoleCredentialsProvider(role_name='x')\n"
        "        raise OSError\n"
        "logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s')\n"
        "try: Credentials(Source()).snapshot()\n"
        "except facecert.CredentialsError: pass\n"
        "[theirs] = [one for one in gc.get_objects() if isinstance(one, BackgroundScheduler)]\n"
        "own = BackgroundScheduler()\n"
        "own.start()\n"
        "[job] = theirs.get_jobs()\n"
        "for scheduler in (theirs, own):\n"
        "    done = threading.Event()\n"
        "    scheduler.add_listener(lambda event: done.set(), EVENT_JOB_EXECUTED)\n"
        "    now = {'next_run_time': datetime.now(timezone.utc)}\n"
        "    if scheduler is theirs: job.modify(**now)\n"
        "    else: own.add_job(gc.isenabled, 'interval', minutes=1, name='of-the-app', **now)\n"
        "    assert done.wait(60)\n"
        "logging.getLogger('apscheduler.executors.default').warning('missed: %s', job)\n"
        "logging.disable()\n"  # for what the schedulers log at the interpreter's exit
    )
    env = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "false"}
    lines = run_python(code, env=env, check=False).splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["Scheduler", "Added", "Running", "Job"]
    assert all("of-the-app" in line for line in lines[1:-1])
    assert lines[-1].startswith("WARNING missed: EcsRamRole")
