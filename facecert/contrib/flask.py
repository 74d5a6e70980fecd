"""Flask extension: one client for each app, the callback's route, and the signal ``verified``.

README.rst ("A Flask app") has a whole example. The extension stores nothing, so these rules apply:

* Insert the order before ``init``, without ``certify_id``: the callback may come before ``init``
  returns. While an order stays pending, query it (``ext.client.query``), at the latest after its
  ``expires_at``, because the platform stops calling after a few seconds.
* A receiver must be idempotent, because a callback may be delivered up to three times, even at
  once. Change the order only while it is pending and its ``certify_id`` is missing or equal to
  ``answer.certify_id``, so that another order's verification cannot settle it. What must happen
  once (a mail, a shipment) depends on the number of changed rows.
* A receiver that raises makes the response 500, and the platform calls again. blinker keeps weak
  references: connect functions that live as long as the app does.
* With Flask-WTF: ``csrf.exempt(ext.blueprint)``, because the callback's token protects it.

``app.config`` takes the names of ``settings.VARIABLES`` (texts too, as the environment has them):

``FACECERT_CALLBACK_SECRET``: required; several during a rotation, the new one first.
``FACECERT_CREDENTIALS``: see ``Client``; None is the standard credential chain.
``FACECERT_CALLBACK_PATH``: default ``/facecert/callback``; the order number follows it.
``FACECERT_PUBLIC_URL``: where the platform finds this app (``https://shop.example``). Without it
the request's ``Host`` header decides, which the visitor controls: set it, or let your proxy refuse
foreign names.
"""

import logging
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from .. import settings
from ..callback import check_secrets, parse_callback
from ..client import Client
from ..errors import CallbackError, DependencyError, FacecertError, InvalidParameter, invalid
from ..redact import Hidden, guarded
from ..results import InitResult

try:
    from blinker import Namespace
    from flask import Blueprint, Flask, Response, current_app, request
    from werkzeug.datastructures import MultiDict
except ImportError as _error:
    raise DependencyError(
        "facecert.contrib.flask needs Flask and blinker."
        " Install them with: python -m pip install flask blinker"
    ) from _error

#: Bytes of a posted callback; a genuine one has a few hundred.
LONGEST_BODY = 8192

signals = Namespace()

#: Sent after the query that follows a callback. The sender is the app; keyword arguments are
#: ``outer_order_no`` and ``answer``, a ``QueryResult`` that is final, whether passed or not.
verified = signals.signal("facecert-verified")

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
        """
        state = _State(app.config)
        app.register_blueprint(self.blueprint, url_prefix=state.path)
        app.extensions["facecert"] = state

    @property
    def client(self) -> Client:
        """The current app's client, made when it is first used; threads share it."""
        return _state().client()

    @guarded
    def init(self, **fields: Any) -> InitResult:
        """Open a verification that calls this app back; see ``Client.init``."""
        fields.setdefault("callback_url", _state().callback_url())
        hidden = Hidden(fields)
        del fields  # because log handlers may list this frame during the call
        return self.client.init(**hidden.take())

    def _called_back(self, order: str) -> Response:
        if "HTTP_TRANSFER_ENCODING" in request.environ:
            return _answer("no Content-Length", 411)
        if (request.content_length or 0) > LONGEST_BODY:
            return _answer("too long", 413)
        try:
            given = (*request.args.items(multi=True), *request.form.items(multi=True))
            claim = parse_callback(MultiDict(given))
            answer = self.client.confirm(claim, outer_order_no=order)
        except CallbackError:
            return _answer("refused", 403)
        except FacecertError as error:
            _log.error("A callback was not settled; the platform may call again: %s", error)
            return _answer("try again", 503)
        if claim.passed and not answer.passed:
            # "F" may mean "not yet", so it must not become final here.
            return _answer("not known yet", 503)
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if not verified.has_receivers_for(app):
            _log.error("A callback came, but no receiver is connected to the signal verified.")
            return _answer("no receiver", 503)
        verified.send(app, outer_order_no=order, answer=answer)
        return _answer("ok", 200)


class _State:
    """The settings and the client of one app."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._arguments = Hidden(_client_arguments(config))
        self._public_url = _public_url(config.get("FACECERT_PUBLIC_URL"))
        self.path = _path(config.get("FACECERT_CALLBACK_PATH") or "/facecert/callback")
        self._client: Optional[Client] = None

    def client(self) -> Client:
        # Without a lock, because one of before a patch by gevent or eventlet would stop all
        # greenlets. Two threads at once may make two clients, of which one stays.
        if self._client is None:
            fresh = Client(**self._arguments.value)
            self._client = self._client or fresh
        return self._client

    def callback_url(self) -> str:
        base = self._public_url or request.url_root.rstrip("/")
        return base + self.path + "/{order}"


def _state() -> _State:
    state = current_app.extensions.get("facecert")
    if not isinstance(state, _State):
        raise RuntimeError("FaceCert.init_app was not called for this app")
    return state


def _client_arguments(config: Mapping[str, Any]) -> Dict[str, Any]:
    given = [name for name in settings.VARIABLES if config.get(name) is not None]
    arguments = settings.from_environment({name: _text(config[name], name) for name in given})
    try:
        check_secrets(arguments.get("callback_secret", ()))
    except InvalidParameter as error:
        raise invalid("FACECERT_CALLBACK_SECRET", "is missing or unusable: %s" % error) from None
    return dict(arguments, credentials=config.get("FACECERT_CREDENTIALS"))


def _text(value: Any, field: str) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return " ".join(value)
    if not isinstance(value, (str, int, float)):
        raise invalid(field, "must be a text, a number or True")
    return str(value)


def _public_url(url: Optional[str]) -> Optional[str]:
    if not url:
        return None
    scheme, host, path, query, fragment = urlsplit(url)
    settings.check_endpoint("%s://%s" % (scheme, host), "FACECERT_PUBLIC_URL")
    if query or fragment:
        raise invalid("FACECERT_PUBLIC_URL", "must end before any ? or #")
    return url.rstrip("/")


def _path(path: str) -> str:
    if not path.startswith("/") or set(path) & set("<>{}?#") or not path.strip("/"):
        raise invalid("FACECERT_CALLBACK_PATH", "must be a path such as /facecert/callback")
    return path.rstrip("/")


def _answer(words: str, status: int) -> Response:
    return Response(words + "\n", status, mimetype="text/plain")
