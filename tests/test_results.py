import copy
import json
import pickle
from datetime import datetime, timezone

import pytest
from conftest import NUMBER

from facecert.results import Answer, InitResult, QueryResult, parse_time
from facecert.errors import BadAnswer
from facecert.redact import Private

EXPIRES = datetime(2026, 11, 24, 12, 30, tzinfo=timezone.utc)
ID = "ab" * 16


def answer(**data):
    return Answer({"RequestId": "R-1", "Code": 200, "Data": data})


def opened(**data):
    given = dict({"certifyId": ID, "certifyUrl": "https://x/y"}, **data)
    return InitResult.read(answer(**given), outer_order_no="order1", expires_at=EXPIRES)


def asked(**data):
    return QueryResult.read(answer(**data), certify_id=ID)


def test_init_result():
    result = opened(unknown="kept")
    assert result.certify_id == ID and result.certify_url == "https://x/y"
    assert result.outer_order_no == "order1" and result.expires_at == EXPIRES
    assert result.request_id == "R-1" and result.raw["Data"]["unknown"] == "kept"


@pytest.mark.parametrize("missing", ["certifyId", "certifyUrl"])
@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
def test_an_init_answer_without_its_fields_is_a_bad_answer(missing, value):
    with pytest.raises(BadAnswer) as caught:
        opened(**{missing: value})
    assert caught.value.request_id == "R-1" and caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    "passed, means", [("T", True), ("F", False), ("t", False), ("True", False), ("P", False)]
)
def test_only_capital_t_is_a_pass(passed, means):
    result = asked(passed=passed)
    assert result.passed is means
    assert bool(result) is means


@pytest.mark.parametrize("passed", [None, "", True, 1, ["T"]])
def test_a_query_answer_that_does_not_say_is_a_bad_answer(passed):
    with pytest.raises(BadAnswer):
        asked(passed=passed)


def test_bug_percent_formatting_takes_tuples_apart():
    for result in (opened(), asked(passed="F")):
        assert repr(result) == "%r" % result == "%s" % result
        assert hash(result) == hash(copy.copy(result))


def test_an_id_without_a_url_is_not_lost():
    with pytest.raises(BadAnswer) as caught:
        opened(certifyUrl=None)
    assert caught.value.certify_id == ID


def test_an_id_that_repeats_the_number_is_not_shown():
    echo = Answer({"Code": 200, "Data": {"certifyId": NUMBER, "certifyUrl": "u"}}, Private(NUMBER))
    with pytest.raises(BadAnswer) as caught:
        InitResult.read(echo, outer_order_no="o", expires_at=EXPIRES)
    assert NUMBER not in repr(vars(caught.value))


def test_bug_short_names_made_ids_look_private():
    envelope = {"RequestId": "R-1", "Code": 200, "Data": {"certifyId": ID, "certifyUrl": "u"}}
    result = InitResult.read(
        Answer(envelope, Private("Ab", "1")), outer_order_no="o", expires_at=EXPIRES
    )
    assert (result.certify_id, result.request_id) == (ID, "R-1")


def test_raw_and_reserved_fields_are_kept_out_of_repr():
    result = asked(passed="T", identityInfo="SECRET", materialInfo="SECRET")
    assert result.identity_info == result.material_info == "SECRET"
    assert "SECRET" not in repr(result)
    assert "SECRET" not in repr(opened(extra="SECRET"))


@pytest.mark.parametrize("result", [opened(), asked(passed="T")])
def test_results_are_immutable_and_survive_pickle_and_copy(result):
    for field in ("certify_id", "raw", "anything"):
        with pytest.raises(AttributeError):
            setattr(result, field, 1)
    assert pickle.loads(pickle.dumps(result)) == result == copy.deepcopy(result)
    with pytest.raises(AttributeError, match="%s cannot be changed" % type(result).__name__):
        del result.certify_id
    assert result.certify_id == ID


def test_results_are_equal_when_all_their_fields_are():
    result = opened()
    assert result == opened() and hash(result) == hash(opened())
    assert result != opened(certifyUrl="https://x/z") and result != opened(unknown="kept")
    assert result != asked(passed="T") and asked(passed="T") != asked(passed="F")
    assert result != tuple(result._fields().values()) and not result == result._fields()
    assert len({hash(opened()), hash(opened(certifyId="cd" * 16)), hash(asked(passed="T"))}) == 3


def test_what_is_shown():
    assert repr(asked(passed="T")) == (
        "QueryResult(passed=True, certify_id='%s', request_id='R-1')" % ID
    )
    assert repr(opened()) == (
        "InitResult(certify_id='%s', outer_order_no='order1', expires_at=%r, request_id='R-1')"
        % (ID, EXPIRES)
    )


def test_a_bad_answer_says_what_is_missing():
    for ask, missing in ((opened, "certifyId and certifyUrl"), (asked, "passed")):
        with pytest.raises(BadAnswer, match=r"returned Code 200 without %s\." % missing) as caught:
            ask(**({"certifyUrl": None} if ask is opened else {}))
        error = caught.value
        assert (error.http_status, error.request_id, error.certify_id) == (200, "R-1", ID)


def test_everything_that_was_read_is_kept():
    result = asked(passed="F", identityInfo={"a": 1}, materialInfo=[2], other="kept")
    assert (result.certify_id, result.request_id) == (ID, "R-1")
    assert (result.identity_info, result.material_info) == ({"a": 1}, [2])
    assert result.raw["Data"]["other"] == "kept"


@pytest.mark.parametrize("result", [opened(), asked(passed="T", materialInfo={"a": [1]})])
def test_a_dict_of_a_result_survives_json(result):
    fields = json.loads(json.dumps(result.as_dict()))
    assert type(result).from_dict(dict(fields, unknown=1)) == result
    del fields["certify_id"]
    with pytest.raises(TypeError, match="certify_id"):
        type(result).from_dict(fields)


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2026-11-24T12:30:00Z", EXPIRES),
        ("2026-11-24T20:30:00+08:00", EXPIRES),
        ("2026-11-24T20:30:00.000001+0800", EXPIRES.replace(microsecond=1)),
        ("2026-11-24T12:30:00", None),
        ("2026-13-24T12:30:00Z", None),
        ("now", None),
    ],
)
def test_times_are_read_with_their_zone(text, moment):
    if moment is None:
        with pytest.raises(ValueError):
            parse_time(text)
    else:
        assert parse_time(text) == moment and parse_time(moment.isoformat()) == moment


def test_a_result_without_a_field_says_which():
    with pytest.raises(TypeError, match="certify_url"):
        InitResult("id", outer_order_no="o", expires_at=EXPIRES)
