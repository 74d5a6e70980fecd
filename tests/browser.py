"""A real browser for the tests in web/.

Without chromium and its driver they are skipped; with ``CI`` set that is a failure. Screenshots go
to the folder that FACECERT_SCREENSHOTS names, if it does.
"""

import os
import pathlib
import shutil

import pytest

#: Read at once: conftest.py removes every FACECERT_ variable.
SCREENSHOTS = os.environ.get("FACECERT_SCREENSHOTS")

PHONE = (390, 844)
DESKTOP = (1280, 900)


def _driver(folder):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=zh-CN",
        "--user-data-dir=%s" % folder,
    ):  # fmt: skip
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


class Browser:
    """A window of a chosen size, and what a person does in it."""

    def __init__(self, driver):
        self.driver = driver

    def size(self, width_and_height):
        """Show pages as a device of this size does (a window cannot be as narrow as a phone)."""
        width, height = width_and_height
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600},
        )

    def open(self, url):
        self.driver.get(url)

    def one(self, css):
        """Return the one element that the selector finds, when it has come."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20, 0.05).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, css)
        )

    def wait_for(self, text):
        """Wait until the page shows a text."""
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.driver, 30, 0.05).until(lambda _: text in self.text)
        except Exception:
            raise AssertionError("%r did not come; the page says: %s" % (text, self.text))

    @property
    def text(self):
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.common.by import By

        try:
            return self.driver.find_element(By.TAG_NAME, "body").text
        except WebDriverException:
            return ""  # the page is just changing, for which chromedriver has several errors

    @property
    def url(self):
        return self.driver.current_url

    def overflows(self):
        """Tell whether the page is wider than the screen."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )

    def shoot(self, name):
        """Keep a screenshot outside the tree."""
        if SCREENSHOTS:
            folder = pathlib.Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(folder / (name + ".png")))


@pytest.fixture(scope="session")
def _drivers():
    """All drivers, and those that no test uses; to start one takes two seconds."""
    started, idle = [], []
    yield started, idle
    for driver in started:
        driver.quit()


def _forget(driver):
    """Leave the browser to the next person."""
    driver.get("about:blank")
    for command in ("Network.clearBrowserCookies", "Network.clearBrowserCache",
                    "Page.resetNavigationHistory"):  # fmt: skip
        driver.execute_cdp_cmd(command, {})
    driver.get_log("browser")


@pytest.fixture
def browsers(_drivers, tmp_path_factory):
    """Make browsers, each a person of their own."""
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    try:
        import selenium  # noqa: F401
    except ImportError:
        missing.append("selenium")
    if missing and os.environ.get("CI"):
        pytest.fail("CI must have %s" % " and ".join(missing))
    if missing:
        pytest.skip("there is no %s on this machine" % " and no ".join(missing))
    (started, idle), used = _drivers, []

    def make(size=DESKTOP):
        if not idle:
            started.append(_driver(tmp_path_factory.mktemp("profile")))
            idle.append(started[-1])
        used.append(idle.pop())
        one = Browser(used[-1])
        one.size(size)
        return one

    yield make
    for driver in used:
        _forget(driver)
        idle.append(driver)


@pytest.fixture
def browser(browsers):
    return browsers()
