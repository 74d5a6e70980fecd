"""What a task queue must not lose of an error."""

ATTRIBUTES = (
    "code request_id outcome retryable retry_after outer_order_no service_message http_status"
    " certify_id skew_seconds field msg"
).split()


def described(error):
    """Return an error as JSON can express it."""
    return {
        "kind": "%s.%s" % (type(error).__module__, type(error).__qualname__),
        "text": str(error),
        "args": list(error.args),
        "values": {name: getattr(error, name) for name in ATTRIBUTES if hasattr(error, name)},
    }
