"""The Celery app of a real worker. Its tasks raise every error, and call the sandbox."""

import datetime
import http
import importlib
import json
import os
import pkgutil

import celery

import facecert
from described import described
from facecert.errors import BadAnswer, FacecertError

socket, serializer = os.environ["REDIS_SOCKET"], os.environ["RESULT_SERIALIZER"]
#: Not written here, because tracebacks in the worker's log quote the source.
PERSON = json.loads(os.environ["PERSON"])

app = celery.Celery(
    "shop",
    broker="redis+socket://%s?virtual_host=0" % socket,
    backend="redis+socket://%s?virtual_host=1" % socket,
)
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_serializer=serializer,
    result_accept_content=[serializer],
    task_default_queue=serializer,
)


def error_classes():
    """Return every error class below ``facecert``, by its name with its module."""
    for module in pkgutil.walk_packages(facecert.__path__, "facecert."):
        try:
            importlib.import_module(module.name)
        except Exception:
            pass  # an extra that is not installed, or Django without settings
    found, left = {}, [FacecertError]
    while left:
        kind = left.pop()
        found["%s.%s" % (kind.__module__, kind.__qualname__)] = kind
        left += kind.__subclasses__()
    return found


@app.task(name="classes")
def classes():
    """Return the names of all error classes."""
    return sorted(error_classes())


@app.task(name="describe")
def describe(name, evidence):
    """Return what ``fail`` raises, as it is before Celery stores it."""
    return described(error_classes()[name]("words", **evidence))


@app.task(name="fail")
def fail(name, evidence):
    """Raise an error of this class."""
    raise error_classes()[name]("words", **evidence)


@app.task(name="odd")
def odd():
    """Raise an error with evidence of types that JSON does not have."""
    day, number = datetime.date(2026, 10, 1), http.HTTPStatus.BAD_GATEWAY
    raise BadAnswer(lazy_words(), code=day, http_status=number, outer_order_no="order1")


class lazy_words:
    def __str__(self):
        return "words"


@app.task(name="init")
def init(**fields):
    """Open a verification at the sandbox."""
    return facecert.init(**PERSON, **fields).as_dict()


@app.task(name="query")
def query(certify_id):
    """Query one at the sandbox."""
    return facecert.query(certify_id).as_dict()


@app.task(name="retried", bind=True, max_retries=1, default_retry_delay=0)
def retried(self, outer_order_no):
    """Fail twice, with an error that Celery keeps between the attempts."""
    try:
        facecert.init(outer_order_no=outer_order_no, **PERSON)
    except FacecertError as error:
        raise self.retry(exc=error)
