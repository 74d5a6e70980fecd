import pytest

from facecert import InvalidParameter, settings
from facecert.crypto.sm2 import PUBLISHED_KEY, published_key


@pytest.mark.parametrize(
    "given, kept",
    [
        ("https://saf.cn-shanghai.aliyuncs.com", "https://saf.cn-shanghai.aliyuncs.com"),
        ("saf.cn-shanghai.aliyuncs.com", "https://saf.cn-shanghai.aliyuncs.com"),
        (" https://host:8443/ ", "https://host:8443"),
        ("http://127.0.0.1:8180", "http://127.0.0.1:8180"),
        ("http://localhost:8180", "http://localhost:8180"),
        ("http://[::1]:8180", "http://[::1]:8180"),
    ],
)
def test_endpoint(given, kept):
    assert settings.check_endpoint(given) == kept


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "  ",
        None,
        7,
        "http://saf.cn-shanghai.aliyuncs.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://127.0.0.1",
        "https://",
        "https://user:secretword@host",
        "https://host/path",
        "https://host?query",
        "https://host#fragment",
        "https://[::1",
        "https://[1.2.3.4]",
        "https://[::::]",
        "http://[::::]",
        "https://host:0",
        "https://host:99999",
        "https://host:port",
    ],
)
def test_endpoint_refused(endpoint):
    with pytest.raises(InvalidParameter) as caught:
        settings.check_endpoint(endpoint)
    assert caught.value.field == "endpoint"
    assert "secretword" not in str(caught.value)


def test_from_environment():
    arguments = settings.from_environment(
        {
            "FACECERT_SCENE_ID": " 1000000006 ",
            "FACECERT_ENDPOINT": "https://host/",
            "FACECERT_CONNECT_TIMEOUT": "1.5",
            "FACECERT_READ_TIMEOUT": "",
            "FACECERT_ATTEMPTS": "2",
            "FACECERT_ENCRYPT": "Yes",
            "FACECERT_SM2_PUBLIC_KEY": PUBLISHED_KEY.upper(),
            "FACECERT_SOMETHING_ELSE": "x",
        }
    )
    assert arguments == {
        "scene_id": "1000000006",
        "endpoint": "https://host",
        "connect_timeout": 1.5,
        "attempts": 2,
        "encrypt": True,
        "sm2_public_key": published_key(),
    }


@pytest.mark.parametrize(
    "variable, value",
    [
        ("FACECERT_SCENE_ID", "abc"),
        ("FACECERT_ENDPOINT", "http://example.com"),
        ("FACECERT_CONNECT_TIMEOUT", "soon"),
        ("FACECERT_CONNECT_TIMEOUT", "nan"),
        ("FACECERT_READ_TIMEOUT", "0"),
        ("FACECERT_READ_TIMEOUT", "inf"),
        ("FACECERT_ATTEMPTS", "11"),
        ("FACECERT_ENCRYPT", "maybe"),
        ("FACECERT_SM2_PUBLIC_KEY", "nonsense"),
        ("FACECERT_SM2_PUBLIC_KEY", "04" + "0" * 128),
        ("FACECERT_ATTEMPTS", "2.5"),
        ("FACECERT_ATTEMPTS", "²"),
        ("FACECERT_ATTEMPTS", "9" * 5000),
    ],
)
def test_a_bad_variable_is_named(variable, value):
    with pytest.raises(InvalidParameter) as caught:
        settings.from_environment({variable: value})
    assert caught.value.field == variable
    assert variable in str(caught.value)


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_encryption_can_be_switched_on(word):
    assert settings.from_environment({"FACECERT_ENCRYPT": word}) == {"encrypt": True}


@pytest.mark.parametrize("word", ["0", "false", "NO", "off"])
def test_encryption_can_be_switched_off(word):
    assert settings.from_environment({"FACECERT_ENCRYPT": word}) == {"encrypt": False}


@pytest.mark.parametrize("attempts", [0, 11, True, 1.0, "3", None])
def test_attempts_refused(attempts):
    with pytest.raises(InvalidParameter):
        settings.check_whole(attempts, "attempts", 10)


@pytest.mark.parametrize("seconds", [0, -1, 601, True, "5", None, float("nan")])
def test_seconds_refused(seconds):
    with pytest.raises(InvalidParameter) as caught:
        settings.check_seconds(seconds, "read_timeout")
    assert caught.value.field == "read_timeout"
