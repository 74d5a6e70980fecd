import copy
import inspect
import json
import pickle
import re

import pytest

from conftest import run_python

from facecert import errors
from facecert.errors import FacecertError

ALL = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, FacecertError)
]


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        lambda error: pickle.loads(pickle.dumps(error)),
        lambda error: pickle.loads(pickle.dumps(error, 2)),
        lambda error: type(error)(*json.loads(json.dumps(error.args))),
    ],
)
def test_survives_pickle_and_copy(cls, again):
    error = cls("words", code="A.B", request_id="R-1", outcome="unknown", retryable=True)
    error.add_evidence(outer_order_no="order1")
    twin = again(error)
    assert type(twin) is cls
    assert str(twin) == str(error) and twin.args == error.args
    assert vars(twin) == vars(error)


@pytest.mark.parametrize("cls", ALL)
def test_no_message_holds_an_address(cls):
    text = "<HTTPSConnection(host='a', port=443) object at 0x7f31D0c2a350>: timed out at 0.5"
    error = cls(text)
    assert str(error) == "<HTTPSConnection(host='a', port=443) object>: timed out at 0.5"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"^    (?:[|` ]*-- )?([A-Z]\w+)", errors.__doc__, re.M)
    assert sorted(drawn) == sorted(cls.__name__ for cls in ALL)
    under_gateway = re.findall(r"\|   [|`]-- (\w+)", errors.__doc__)
    assert sorted(under_gateway) == ["ClockSkew", "SignatureError", "Throttled"]
    for cls in ALL:
        parent = errors.GatewayError if cls.__name__ in under_gateway else FacecertError
        assert cls is FacecertError or cls.__bases__[0] is parent


def test_the_builtin_parents():
    assert issubclass(errors.InvalidParameter, ValueError)
    assert issubclass(errors.DependencyError, ImportError)


def test_str_begins_with_code_and_request_id():
    error = errors.ServiceError("Words.", code=402, request_id="R-1", service_message="超出")
    assert str(error) == "402 (RequestId R-1): Words. Message: 超出"
    assert str(errors.NoAnswer("Words.")) == "Words."
    assert str(errors.FacecertError()) == ""


def test_an_unknown_outcome_names_the_order():
    assert "order7" in str(errors.NoAnswer("Words.", outer_order_no="order7"))
    assert "order7" not in str(errors.ConnectionFailed("Words.", outer_order_no="order7"))


def test_evidence_must_be_an_attribute_of_the_class():
    for wrong in ({"http_status": 500}, {"args": ()}, {"add_evidence": 1}, {"_carries": 1}):
        with pytest.raises(TypeError):
            errors.NoAnswer("Words.", **wrong)


@pytest.mark.parametrize("cls", ALL)
def test_evidence_of_another_release_is_ignored_where_it_is_unknown(cls):
    error = cls("words", {"outcome": "unknown", "of_tomorrow": 1, "args": 2, "__class__": 3})
    assert error.outcome == "unknown" and error.args == ("words", {"outcome": "unknown"})


def test_evidence_changes_in_the_attribute_and_in_args():
    error = errors.NoAnswer("words", outer_order_no="a")
    error.add_evidence(outer_order_no="b", retryable=False)
    assert (error.outer_order_no, error.retryable) == ("b", False)
    assert error.args == ("words", {"outer_order_no": "b", "retryable": False})


def test_a_dependency_errors_msg_is_its_message():
    assert errors.DependencyError("words", code="A").msg == "words"


@pytest.mark.parametrize("module, use, needed", [
    ("blinker", "import facecert.contrib.flask", "Flask and blinker"),
    ("flask", "from facecert.sandbox import Sandbox; Sandbox()", "Flask"),
    ("cryptography", "import facecert.crypto as it; it.PictureKey.generate('a')", "cryptography"),
    ("sqlalchemy", "import facecert.ledger", "SQLAlchemy 1.4"),
    ("segno", "from facecert.links import qr_svg; qr_svg('https://x.example')", "segno"),
    ("gmssl", "import facecert; facecert.encrypt('a')", "gmssl"),
    ("aliyunsdksaf", "import facecert.transport.gateway", "aliyunsdksaf"),
])  # fmt: skip
def test_bug_mod_wsgis_sub_interpreters_were_not_named(tmp_path, module, use, needed):
    """A package that refuses a sub-interpreter is installed: its own words must be shown."""
    words = "PyO3 modules do not yet support subinterpreters"
    (tmp_path / (module + ".py")).write_text("raise ImportError(%r)\n" % words)
    code = "import sys; sys.path.insert(0, %r)\n%s" % (str(tmp_path), use)
    said = run_python(code, check=False)
    last = [line for line in said.splitlines() if "DependencyError" in line][-1]
    assert needed in last and words in last and "pip install" in last
    assert "WSGIApplicationGroup %{GLOBAL}" in last
