"""``facecert demo``."""

import re
import secrets
import time
from typing import Any, Callable, Dict, List, Optional

import click

from ..client import Client
from ..errors import FacecertError
from ..redact import mask_name, mask_number
from ..results import InitResult
from . import prompts
from .options import connect, verbose_option

#: Nobody's: the last digit is not the checksum of the others.
DEMO_PERSON = ("张三", "330103199001011234")


@click.command()
@click.option("--page", is_flag=True, help="Let you do the verification in a browser.")
@click.option(
    "--live", is_flag=True, help="Against Alibaba Cloud, with the standard credential chain."
)
@click.option(
    "--minutes", type=click.FloatRange(0, 30), default=30, help="How long to wait for the person."
)
@verbose_option
def command(page: bool, live: bool, minutes: float) -> None:
    """Show one verification from init to query, step by step.

    Without options everything happens on this machine, and nobody is needed.

    With --live it happens at FACECERT_ENDPOINT (by default Alibaba Cloud), with a real person, and
    may cost money. Set FACECERT_SCENE_ID. Name and number are asked for, or taken from
    FACECERT_CERT_NAME and FACECERT_CERT_NO; not from the command line, which other users of the
    machine can read.

    Example: facecert demo --page
    """
    if live:
        _demo_live(minutes)
    else:
        _demo_sandbox(page, minutes)


def _demo_sandbox(page: bool, minutes: float) -> None:
    from ..sandbox import Sandbox

    name, number = DEMO_PERSON
    with Sandbox() as sandbox, _CallbackApp() as app:
        client = sandbox.client(callback_secret=secrets.token_hex())
        click.echo("A sandbox stands in for Alibaba Cloud: %s" % sandbox.endpoint)
        opened = _show_init(client, name, number, app.url)
        if page:
            _step(2, "The person goes to certify_url: that is you. Open it in a browser.")
            click.echo("   %s" % opened.certify_url)
            done = _wait(lambda: sandbox.is_submitted(opened.certify_id), minutes)
            if not done:
                click.echo("   Nobody submitted it; query says so.")
        else:
            _step(2, "The person goes to certify_url. Here the sandbox does it for them.")
            sandbox.complete(opened.certify_id, passed=True)
            click.echo("   done")
        sandbox.wait_for_callbacks()
        for path in app.called:
            _step(3, "The platform calls back. Anyone could: check the token, then ask.")
            click.echo("   GET %s" % re.sub("(CallbackToken=)[^&]*", r"\1...", path))
            click.echo("   answer = facecert.confirm(request.url)")
            click.echo("   answer.passed\n       %s" % client.confirm(path).passed)
        _show_query(client, opened, 4 if app.called else 3)
        if page:
            time.sleep(2)  # the browser still fetches the page that says so
        client.close()
        click.echo("\nNext: facecert demo --page, and README.rst, \"Going live\".")


def _demo_live(minutes: float) -> None:
    with connect() as client:
        name, number = prompts.read()
        click.echo("Endpoint: %s" % client.endpoint)
        opened = _show_init(client, name, number)
        _step(2, "The person opens certify_url in Alipay (on a PC: as a QR code to scan).")
        click.echo("   %s" % opened.certify_url)
        click.echo("   Waiting for a pass. Who failed looks like who is not done: Ctrl-C ends it.")
        try:
            _wait(lambda: _passed(client, opened.certify_id), minutes)
        except KeyboardInterrupt:
            click.echo("   not waiting any longer")
        _show_query(client, opened, 3)


def _passed(client: Client, certify_id: str) -> bool:
    try:
        return client.query(certify_id).passed
    except FacecertError as error:
        if not error.retryable:
            raise
        click.echo("   %s: %s" % (type(error).__name__, error))
        return False


class _CallbackApp:
    """The demo's own web app: one URL that notes who called it."""

    def __init__(self) -> None:
        from ..sandbox.listener import Listener

        self.called: List[str] = []
        self._listener = Listener(self._answer, 0, time.time)

    def __enter__(self) -> "_CallbackApp":
        self._listener.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        return self._listener.base_url + "/verified"

    def _answer(self, environ: Dict[str, Any], start_response: Any) -> List[bytes]:
        self.called.append("%(PATH_INFO)s?%(QUERY_STRING)s" % environ)
        start_response("200 OK", [("Content-Length", "0")])
        return []


def _show_init(
    client: Client, name: str, number: str, callback_url: Optional[str] = None
) -> InitResult:
    _step(1, "Open a verification.")
    shown = (mask_name(name), mask_number(number))
    call = '   opened = facecert.init(cert_name="%s", cert_no="%s", return_url=""' % shown
    click.echo(call + (", callback_url=...)" if callback_url else ")"))
    opened = client.init(cert_name=name, cert_no=number, return_url="", callback_url=callback_url)
    for field, remark in (
        ("certify_id", "keep it: the bill is by this id"),
        ("outer_order_no", "made for you; pass your own order's number instead"),
        ("certify_url", "send the person there; good for one submission"),
        ("expires_at", "30 minutes on"),
        ("request_id", "Alibaba Cloud's support asks for it"),
    ):
        click.echo("   opened.%-15s # %s" % (field, remark))
        click.echo("       %s" % getattr(opened, field))
    return opened


def _show_query(client: Client, opened: InitResult, step: int) -> None:
    _step(step, "Ask how it went. Only this is the truth, whatever a browser or a callback says.")
    click.echo("   answer = facecert.query(opened.certify_id)")
    answer = client.query(opened.certify_id)
    remark = "the person passed" if answer.passed else "failed, or not done yet"
    click.echo("   answer.passed          # %s" % remark)
    click.echo("       %s" % answer.passed)


def _step(number: int, text: str) -> None:
    click.echo("\n%s" % click.style("%d. %s" % (number, text), bold=True))


def _wait(done: Callable[[], bool], minutes: float) -> bool:
    """Ask every two seconds until it is done or the time is over."""
    end = time.monotonic() + minutes * 60
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(min(2.0, max(0.0, end - time.monotonic())))
    return True
