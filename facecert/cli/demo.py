"""``facecert demo``."""

import re
import secrets
import time
from contextlib import closing
from typing import Any, Dict, List, Union

import click

from ..client import Client
from ..errors import FacecertError
from ..locale import Text, Text as _, shown
from ..redact import mask_name, mask_number
from ..results import InitResult, QueryResult
from . import prompts
from .help import Command
from .options import connect, verbose_option
from .output import say

#: An invented person.
DEMO_PERSON = ("张三", "330103199001011230")


@click.command(cls=Command)
@click.option("--page", is_flag=True, help="Let you do the verification in a browser.")
@click.option("--live", is_flag=True, help="Use Alibaba Cloud and the standard credential chain.")
@click.option("--minutes", type=click.FloatRange(0, 30), default=30,
              help="How long to wait for the person.")
@verbose_option
def command(page: bool, live: bool, minutes: float) -> None:
    """Show one verification from init to query, step by step.

    Without options it runs on this machine only and needs no person.

    With --live it uses FACECERT_ENDPOINT (default: Alibaba Cloud) and a real person, and may cost
    money. Set FACECERT_SCENE_ID. The demo asks for name and number, or reads FACECERT_CERT_NAME
    and FACECERT_CERT_NO. It does not read them from the command line, which other users can read.

    Example: facecert demo --page
    """
    if live:
        _demo_live(minutes)
    else:
        _demo_sandbox(page, minutes)


def _demo_sandbox(page: bool, minutes: float) -> None:
    from ..sandbox import Sandbox

    sandbox = Sandbox()  # first, because it says what is missing
    from ..sandbox.listener import Listener

    called: List[str] = []

    def app(environ: Dict[str, Any], start_response: Any) -> List[bytes]:
        called.append("%(PATH_INFO)s?%(QUERY_STRING)s" % environ)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with sandbox, closing(Listener(app, 0, time.time)) as listener:
        listener.open()
        client = sandbox.client(callback_secret=secrets.token_hex())
        say(_("A sandbox stands in for Alibaba Cloud: %s") % sandbox.endpoint)
        opened = _show_init(client, *DEMO_PERSON, callback_url=listener.base_url + "/verified")
        if page:
            _step(2, _("The person opens certify_url. You are the person: open it in a browser."))
            click.echo("   %s" % opened.certify_url)
            end = time.monotonic() + minutes * 60
            while not sandbox.is_submitted(opened.certify_id) and time.monotonic() < end:
                time.sleep(1)
            if not sandbox.is_submitted(opened.certify_id):
                say(_("   Not submitted in time; query says so."))
        else:
            _step(2, _("The person opens certify_url. Here the sandbox does it instead."))
            sandbox.complete(opened.certify_id, passed=True)
            say(_("   done"))
        sandbox.wait_for_callbacks()
        for path in called:
            _step(3, _("The platform calls back. Others could too: check the token, then query."))
            click.echo("   GET %s" % re.sub("(CallbackToken=)[^&]*", r"\1...", path))
            click.echo("   answer = facecert.confirm(request.url)")
            click.echo("   answer.passed\n       %s" % client.confirm(path).passed)
        _show_query(client, opened, 4 if called else 3)
        if page:
            time.sleep(2)  # for the browser, which still loads the last page
        client.close()
        say(_("\nNext: facecert demo --page, and \"Three variables\" in README.rst."))


def _demo_live(minutes: float) -> None:
    with connect() as client:
        name, number = prompts.read()
        say(_("Endpoint: %s") % client.endpoint)
        opened = _show_init(client, name, number)
        _step(2, _("The person opens certify_url in Alipay (on a PC: as a QR code to scan)."))
        click.echo("   %s" % opened.certify_url)
        say(_("   Waiting for a pass. A failure looks like no submission: Ctrl-C ends it."))
        try:
            client.wait(
                opened.certify_id, seconds=minutes * 60, expires_at=opened.expires_at,
                report=_show_error,
            )  # fmt: skip
        except KeyboardInterrupt:
            say(_("   interrupted"))
        _show_query(client, opened, 3)


def _show_error(news: Union[QueryResult, FacecertError]) -> None:
    if isinstance(news, FacecertError):
        click.echo("   %s: %s" % (type(news).__name__, news))


def _show_init(client: Client, name: str, number: str, **more: Any) -> InitResult:
    _step(1, _("Open a verification."))
    shown = (mask_name(name), mask_number(number), "".join(", %s=..." % name for name in more))
    click.echo('   opened = facecert.init(cert_name="%s", cert_no="%s", return_url=""%s)' % shown)
    opened = client.init(cert_name=name, cert_no=number, return_url="", **more)
    for field, remark in (
        ("certify_id", _("store it: the bill is by this id")),
        ("outer_order_no", _("made for you; or pass your own order number")),
        ("certify_url", _("for the person; valid for one submission")),
        ("expires_at", _("in 30 minutes")),
        ("request_id", _("for Alibaba Cloud's support")),
    ):
        say(Text("   opened.%-15s # %s\n       %s") % (field, remark, getattr(opened, field)))
    return opened


def _show_query(client: Client, opened: InitResult, step: int) -> None:
    _step(step, _("Query the result. Only this is the truth, not a browser and not a callback."))
    click.echo("   answer = facecert.query(opened.certify_id)")
    passed = client.query(opened.certify_id).passed
    remark = _("the person passed") if passed else _("failed, or not done yet")
    say(Text("   answer.passed          # %s\n       %s") % (remark, passed))


def _step(number: int, text: str) -> None:
    click.echo("\n%s" % click.style("%d. %s" % (number, shown(text)), bold=True))
