"""Flask extension: one client for each app, the callback's route, and the signal ``verified``.

Guide, with the rules for receivers of ``verified``: examples/flask_app.

``app.config`` takes the names of ``settings.VARIABLES`` (texts too, as the environment has them):

``FACECERT_CALLBACK_SECRET``: required; several during a rotation, the new one first. Blanks
separate them.
``FACECERT_CREDENTIALS``: see ``Client``; None is the standard credential chain.
``FACECERT_CALLBACK_PATH``: default ``/facecert/callback``; the order number follows it.
``FACECERT_PUBLIC_URL``: where the platform finds this app (``https://shop.example``). Required
unless the endpoint is a sandbox, because the visitor controls the request's ``Host`` header.
"""

import logging
import os
import re
from typing import Any, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from .. import settings
from ..callback import check_secrets, parse_callback
from ..client import Client, open_ledger
from ..errors import CallbackError, FacecertError, InvalidParameter, invalid, unimportable
from ..lifecycle import FINAL, PASSED, is_known
from ..links import DEFAULT_ENDPOINT, is_loopback
from ..redact import Hidden, guarded
from ..results import InitResult, QueryResult
from ..transport.credentials import Credentials

try:
    from blinker import Namespace
    from flask import (
        Blueprint, Flask, Response, current_app, has_request_context, request, url_for
    )
except ImportError as _error:
    _needs = "facecert.contrib.flask needs Flask and blinker"
    raise unimportable(_needs, "flask blinker", _error) from _error

#: Bytes of a posted callback; a genuine one has a few hundred.
LONGEST_BODY = 8192

signals = Namespace()

#: Sent when the result of a verification is known, and again if "not passed" becomes "passed". The
#: sender is the app; keyword arguments are ``outer_order_no`` and ``answer``, a final
#: ``QueryResult``. From ``settle``, ``answer`` has only ``certify_id`` and ``passed``.
verified = signals.signal("facecert-verified")

#: The settings that are not in ``settings.VARIABLES``.
_MORE = {"FACECERT_CREDENTIALS", "FACECERT_CALLBACK_PATH", "FACECERT_PUBLIC_URL"}

_log = logging.getLogger(__name__)


class FaceCert:
    """The extension; one may serve several apps. Without ``app``, call ``init_app`` later.

    ``blueprint`` holds the callback's route, the endpoint ``facecert.callback``.
    """

    def __init__(self, app: Optional[Flask] = None) -> None:
        self.blueprint = Blueprint("facecert", __name__)
        self.blueprint.add_url_rule(
            "/<order>", "callback", self._called_back, methods=["GET", "POST"]
        )
        if app is not None:
            self.init_app(app)

    @guarded
    def init_app(self, app: Flask) -> None:
        """Read the app's settings and add the callback's route.

        Raises:
            InvalidParameter: a setting is missing or breaks a rule; ``field`` is its name.
            CredentialsError: ``FACECERT_CREDENTIALS`` has an unknown type.
            DependencyError: ``FACECERT_LEDGER`` needs a package that is missing.
        """
        state = _State(app.config)
        for words in state.warnings(app.config):
            app.logger.warning(words)
        app.register_blueprint(self.blueprint, url_prefix=state.path)
        app.extensions["facecert"] = state
        app.cli.command("facecert-settle")(self._settle_command)

    @property
    def client(self) -> Client:
        """The current app's client, made when it is first used; threads share it."""
        return _state().client()

    def url_for(self, endpoint: str, **values: Any) -> str:
        """Return a view's URL below ``FACECERT_PUBLIC_URL``, for ``return_url``.

        flask.url_for takes the host from the request instead, and a proxy may change that.
        """
        # Flask's has a host only sometimes: outside of a request, and for another subdomain.
        parts = urlsplit(url_for(endpoint, **dict(values, _external=True)))
        return _state().url(parts._replace(scheme="", netloc="").geturl()[len(_prefix()) :])

    @guarded
    def init(self, **fields: Any) -> InitResult:
        """Open a verification that calls this app back; see ``Client.init``."""
        hidden = Hidden(fields)
        del fields  # because log handlers may list this frame during the call
        if hidden.value.get("callback_url") is None:
            hidden.value["callback_url"] = _state().url(_state().path + "/{order}")
        return self.client.init(**hidden.take())

    def _called_back(self, order: str) -> Response:
        if "HTTP_TRANSFER_ENCODING" in request.environ:
            return _answer("no Content-Length", 411)
        if (request.content_length or 0) > LONGEST_BODY:
            return _answer("too long", 413)
        client = self.client
        find: Any = getattr(client.ledger, "get", lambda order: None)
        try:
            # The body is empty here when it was a form.
            body = request.form, request.get_data(as_text=True)
            claim = client.read_callback(parse_callback(request.args, *body), order)
            entry = find(order)
            same = entry and entry.certify_id == claim.certify_id
            if same and is_known(entry.state, entry.told, passed=claim.passed):
                return _answer("ok", 200)  # a replay
            scene_id = entry and entry.scene_id
            answer = client.confirm(claim, outer_order_no=order, scene_id=scene_id)
            entry = find(order)
        except CallbackError as error:
            _log.warning("A callback was refused: %s", error)
            return _answer("refused", 403)
        except FacecertError as error:
            # The claim is proven by now, and may be the only one that tells the certify_id.
            words = "A callback was not settled; the platform may call again: %s"
            ids = order, claim.certify_id
            _log.error(words + " (outer_order_no %s, certify_id %s)", error, *ids)
            return _answer("try again", 503)
        if claim.passed and not answer.passed:
            # "F" may mean "not yet", so it must not become final here.
            return _answer("not known yet", 503)
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if not verified.has_receivers_for(app):
            words = "A callback came, but no receiver is connected to the signal verified."
            _log.error(words + " (outer_order_no %s, certify_id %s)", order, claim.certify_id)
            return _answer("no receiver", 503)
        if entry is None:  # no ledger, or a verification that is older than the ledger
            verified.send(app, outer_order_no=order, answer=answer)
        elif entry.state not in FINAL:  # the result could not be stored
            return _answer("try again", 503)
        elif entry.told != entry.state:
            _tell(app, client.ledger, entry, answer)
        return _answer("ok", 200)

    def settle(self) -> Tuple[int, int]:
        """Query what is pending in the ledger, and send ``verified`` for what it was not sent for.

        Call it in the app's context, or run ``flask facecert-settle``, from cron. What fails is
        logged, and the next call tries it again.

        Returns:
            How many verifications ``verified`` was sent for, and how many failed.

        Raises:
            InvalidParameter: the app has no ``FACECERT_LEDGER``.
            LedgerError: the ledger could not be read.
            RuntimeError: no receiver is connected, so nothing was done.
        """
        app, client = current_app._get_current_object(), self.client  # type: ignore[attr-defined]
        ledger: Any = client.ledger
        if ledger is None:
            raise invalid("FACECERT_LEDGER", "is missing: it holds what is to be settled")
        if not verified.has_receivers_for(app):
            raise RuntimeError("no receiver is connected to the signal verified")
        told = failed = 0
        for entry in ledger.pending():
            try:
                client.query(entry.certify_id, scene_id=entry.scene_id)
            except FacecertError as error:
                failed += 1
                _log.error("Order %s was not settled: %s", entry.outer_order_no, error)
        for entry in ledger.untold():
            try:
                _tell(app, ledger, entry)
                told += 1
            except Exception as error:  # A receiver that fails must not delay the other orders.
                failed += 1
                _log.error("Order %s: %s in a receiver", entry.outer_order_no, type(error).__name__)
        return told, failed

    def _settle_command(self) -> None:
        """Settle the verifications whose callback was missed, for cron."""
        told, failed = self.settle()
        print("%d told, %d failed" % (told, failed))
        if failed:
            raise SystemExit(1)


class _State:
    """The settings and the client of one app."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._arguments = Hidden(settings.from_environment(config))
        try:
            check_secrets(self._arguments.value.get("callback_secret", ()))
        except InvalidParameter as error:
            rule = "is missing or unusable: %s" % error
            raise invalid("FACECERT_CALLBACK_SECRET", rule) from None
        self._arguments.value["credentials"] = config.get("FACECERT_CREDENTIALS") or None
        Credentials(self._arguments.value["credentials"])  # refuses a wrong type
        self._open_ledger()
        self._endpoint: str = self._arguments.value.get("endpoint", DEFAULT_ENDPOINT)
        self._public_url = config.get("FACECERT_PUBLIC_URL")
        if self._public_url:
            self._public_url = settings.check_public_url(self._public_url, self._endpoint)
        elif not is_loopback(self._endpoint):
            raise invalid("FACECERT_PUBLIC_URL", "is missing, e.g. https://shop.example")
        path = str(config.get("FACECERT_CALLBACK_PATH") or "/facecert/callback")
        if not re.fullmatch("(/[A-Za-z0-9._~-]+)+/?", path):
            raise invalid("FACECERT_CALLBACK_PATH", "must be a path such as /facecert/callback")
        self.path = path.rstrip("/")
        self._client: Optional[Client] = None

    def _open_ledger(self) -> None:
        """Make the ledger of its URL, so that a wrong one is said before a customer comes."""
        per_day = self._arguments.value.pop("per_day", None)
        if "ledger" in self._arguments.value:
            try:
                ledger = open_ledger(self._arguments.value.pop("ledger"), per_day)
            except InvalidParameter as error:
                raise invalid("FACECERT_LEDGER", str(error).partition(" ")[2]) from None
            self._arguments.value["ledger"] = ledger
        elif per_day is not None:
            raise invalid("FACECERT_PER_DAY", "needs FACECERT_LEDGER, which counts")

    def warnings(self, config: Mapping[str, Any]) -> Iterator[str]:
        """Yield what looks like a mistake in the settings."""
        endpoint = os.environ.get("FACECERT_ENDPOINT", "")
        if endpoint not in ("", config.get("FACECERT_ENDPOINT")):
            yield "FACECERT_ENDPOINT in the environment is ignored. Set it in app.config."
        if "scene_id" not in self._arguments.value:
            yield "FACECERT_SCENE_ID is missing. The console shows it, e.g. 1000000006."
        known = set(settings.VARIABLES) | _MORE
        for name in sorted(name for name in config if name.startswith("FACECERT_")):
            if name not in known:
                yield "facecert does not know the setting %s." % name

    def client(self) -> Client:
        # Without a lock, because one of before a patch by gevent or eventlet would stop all
        # greenlets. Two threads at once may make two clients, of which one stays.
        if self._client is None:
            fresh = Client(**self._arguments.value)
            self._client = self._client or fresh
        return self._client

    def url(self, path: str) -> str:
        """Return the public URL of a path that is without the app's prefix (SCRIPT_NAME)."""
        base = self._public_url or settings.check_public_url(request.host_url, self._endpoint)
        # A path in FACECERT_PUBLIC_URL is the prefix already.
        return base + ("" if urlsplit(base).path else _prefix()) + path


def _prefix() -> str:
    outside = current_app.config.get("APPLICATION_ROOT") or ""  # which url_for takes there
    return str(request.script_root if has_request_context() else outside).rstrip("/")


def _tell(app: Flask, ledger: Any, entry: Any, answer: Optional[QueryResult] = None) -> None:
    """Send ``verified`` for a final row, and mark the row when all receivers returned."""
    passed = entry.state == PASSED
    if answer is None or answer.passed != passed:
        answer = QueryResult(passed=passed, certify_id=entry.certify_id)
    verified.send(app, outer_order_no=entry.outer_order_no, answer=answer)
    ledger.keep_told(entry.outer_order_no, entry.state)


def _state() -> _State:
    state = current_app.extensions.get("facecert")
    if not isinstance(state, _State):
        raise RuntimeError("FaceCert.init_app was not called for this app")
    return state


def _answer(words: str, status: int) -> Response:
    return Response(words + "\n", status, mimetype="text/plain")
