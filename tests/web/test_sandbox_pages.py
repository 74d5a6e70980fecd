import pytest
from browser import DESKTOP, PHONE

long = pytest.mark.long


@pytest.fixture
def client(sandbox):
    """A client with the usual time-outs, because browsers take the processors."""
    with sandbox.client() as client:
        yield client


@pytest.mark.parametrize(
    "size", [pytest.param(PHONE, marks=long), DESKTOP], ids=["phone", "desktop"]
)
@pytest.mark.parametrize(
    "button, shown, passed",
    [
        ("pass", "认证通过", True),
        pytest.param("fail", "认证未通过", False, marks=long),
        pytest.param("give-up", "已放弃", False, marks=long),
    ],
)
def test_the_person_decides(sandbox, client, person, browser, size, button, shown, passed):
    browser.size(size)
    opened = client.init(**person)
    browser.open(opened.certify_url)
    assert "欧****" in browser.text and not browser.overflows()
    browser.shoot("sandbox-%d-asked" % size[0])
    browser.one("button[value=%s]" % button).click()
    browser.wait_for(shown)
    assert not browser.overflows()
    browser.shoot("sandbox-%d-%s" % (size[0], button))
    assert client.query(opened.certify_id).passed is passed
    browser.driver.refresh()
    if button == "give-up":
        browser.one("a").click()
        browser.wait_for("通过刷脸")
    else:
        browser.wait_for(shown)


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_the_front_page_fits(sandbox, client, browser, width):
    for name in ("张三", "Maximilian Alexander von Hohenstein-Sigmaringen"):
        client.init(cert_name=name, cert_no="330103199001011230")
    browser.size((width, 900))
    browser.open(sandbox.endpoint + "/")
    browser.wait_for("待认证")
    assert not browser.overflows()
    browser.shoot("sandbox-front-%d" % width)
