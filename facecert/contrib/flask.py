"""Flask extension: a client for each app, the callback's route, and a signal with the truth.

::

    from facecert.contrib.flask import FaceCert, verified

    ext = FaceCert(app)                     # or FaceCert(), and ext.init_app(app) later
    opened = ext.init(cert_name=name, cert_no=number, outer_order_no=order)

    @verified.connect_via(app)
    def settle(app, outer_order_no, answer):
        state = "passed" if answer.passed else "failed"
        db.execute(
            "UPDATE orders SET state = ?, certify_id = ? WHERE number = ? AND state = 'pending'"
            " AND (certify_id = ? OR certify_id IS NULL)",
            (state, answer.certify_id, outer_order_no, answer.certify_id),
        )

Insert the order *before* ``init``, with no ``certify_id``: the callback may be faster than your
storing of it. And when the platform's few tries fell into an outage, nobody calls again: where an
order stays pending, ``ext.client.query`` it, at the latest after its ``expires_at``.

There is no store here, and a callback may be delivered up to three times, even at the same moment:
a receiver must be idempotent. The ``WHERE`` above does it: the first delivery changes the row, the
others find nothing to change. What has to happen once (a mail, a shipment) hangs on the number
of changed rows. It also compares the ``certify_id`` stored with the order, so that nobody's
verification can be passed off as another's.

A receiver that raises makes the answer 500, and the platform calls again. blinker keeps weak
references: connect functions that live as long as the app does.

With Flask-WTF's ``CSRFProtect``: ``csrf.exempt(ext.blueprint)``. The callback's token does that
work.

``app.config``: what ``Client`` takes, under the names of ``settings.VARIABLES`` (also as texts, as
they come from the environment), and

``FACECERT_CALLBACK_SECRET``
    needed here; at least 16 characters. Several while they are being exchanged, the new one first.
``FACECERT_CREDENTIALS``
    see ``Client``; None is the standard credential chain.
``FACECERT_CALLBACK_PATH``
    default ``/facecert/callback``; behind it comes the order number.
``FACECERT_PUBLIC_URL``
    ``https://shop.example``: where the platform finds this app. Without it the request's ``Host``
    is believed, which is the visitor's word: set it, or let your proxy refuse foreign names.
"""

import logging
import threading
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from .. import settings
from ..callback import SHORTEST_SECRET, Callback, parse_callback
from ..client import Client
from ..errors import CallbackError, DependencyError, FacecertError, invalid
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

#: Sent when the service has been asked about a callback. The sender is the app; keyword arguments
#: are ``outer_order_no`` and ``answer``, a ``QueryResult``: final, whether passed or not.
verified = signals.signal("facecert-verified")

_log = logging.getLogger(__name__)


class FaceCert:
    """The extension. One may serve several apps.

    Args:
        app: the app to serve, or None and ``init_app`` later.

    Attributes:
        blueprint: holds the callback's route, the endpoint ``facecert.callback``.

    Raises:
        InvalidParameter: as ``init_app``.
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
            InvalidParameter: a setting is missing or impossible; ``field`` is its name. Without a
                secret of 16 characters anybody could forge a callback, so there is no app then.
        """
        state = _State(app.config)
        app.register_blueprint(self.blueprint, url_prefix=state.path)
        app.extensions["facecert"] = state

    @property
    def client(self) -> Client:
        """The current app's client, made when it is first used; threads share it.

        Raises:
            InvalidParameter, CredentialsError, DependencyError: as ``Client``.
        """
        return _state().client()

    @guarded
    def init(self, **fields: Any) -> InitResult:
        """Open a verification that calls this app back; arguments and errors of ``Client.init``."""
        fields.setdefault("callback_url", _state().callback_url())
        hidden = Hidden(fields)
        del fields  # because log handlers may list this frame during the call
        return self.client.init(**hidden.take())

    def _called_back(self, order: str) -> Response:
        if "HTTP_TRANSFER_ENCODING" in request.environ:
            return _answer("say how long it is", 411)
        if (request.content_length or 0) > LONGEST_BODY:
            return _answer("too long", 413)
        try:
            claim = _claim()
            answer = self.client.confirm(claim, outer_order_no=order)
        except CallbackError:
            return _answer("refused", 403)
        except FacecertError as error:
            _log.error("A callback was not settled; the platform may call again: %s", error)
            return _answer("try again", 503)
        if claim.passed and not answer.passed:
            # "F" also means "not yet": nobody's state is to become final by it.
            return _answer("not known yet", 503)
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        if not verified.has_receivers_for(app):
            _log.error("A callback came, and nothing is connected to facecert's signal verified.")
            return _answer("nobody listens", 503)
        verified.send(app, outer_order_no=order, answer=answer)
        return _answer("ok", 200)


def _claim() -> Callback:
    given = (*request.args.items(multi=True), *request.form.items(multi=True))
    return parse_callback(MultiDict(given))


class _State:
    """The settings and the client of one app."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._arguments = Hidden(_client_arguments(config))
        self._public_url = _public_url(config.get("FACECERT_PUBLIC_URL"))
        self.path = _path(config.get("FACECERT_CALLBACK_PATH") or "/facecert/callback")
        self._lock = threading.Lock()
        self._client: Optional[Client] = None

    def client(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client(**self._arguments.value)
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
    texts = {
        name: _text(config[name], name)
        for name in settings.VARIABLES
        if config.get(name) is not None
    }
    arguments = settings.from_environment(texts)
    secrets = arguments.get("callback_secret", ())
    if not secrets or min(map(len, secrets)) < SHORTEST_SECRET:
        raise invalid(
            "FACECERT_CALLBACK_SECRET",
            "must have at least %d characters known to your servers only; without it anybody "
            "could forge a callback" % SHORTEST_SECRET,
        )
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
