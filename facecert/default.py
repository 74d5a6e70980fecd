"""``init()``, ``query()``, ``wait()`` and ``confirm()`` on a client that the process shares."""

import os
from typing import Any

from . import settings
from .client import Client
from .redact import guarded


class _DefaultClient(Client):
    """The client behind ``facecert.init()``: made from the environment when it is first used."""

    def __init__(self) -> None:
        pass

    @guarded
    def __getattr__(self, name: str) -> Any:
        # Reached only for what Client.__init__ has not set, or has not set yet.
        if not name.startswith("__"):
            if "_gateway" not in vars(self):
                Client.__init__(self, **settings.from_environment(os.environ))
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(name)


#: The client to which ``facecert.init``, ``query`` and so on belong.
default_client = _DefaultClient()
init = default_client.init
query = default_client.query
wait = default_client.wait
confirm = default_client.confirm
