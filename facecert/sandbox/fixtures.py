"""The pytest fixture for the test suites of facecert's users. To have it, write in conftest.py::

    pytest_plugins = ["facecert.sandbox.fixtures"]
"""

import os
from typing import Iterator

import pytest

from ..default import default_client
from ..settings import from_environment
from .server import Sandbox


@pytest.fixture
def facecert_sandbox(monkeypatch: "pytest.MonkeyPatch") -> Iterator[Sandbox]:
    """Yield a new sandbox, which ``facecert.init()``, ``query()`` and ``confirm()`` then use.

    ``Client.from_environment()`` uses it too. Other clients: ``facecert_sandbox.client()``.
    """
    with Sandbox() as sandbox:
        for variable, value in sandbox.environment.items():
            monkeypatch.setenv(variable, value)
        client = sandbox.client(**from_environment(os.environ))
        monkeypatch.setattr(default_client, "__dict__", vars(client))
        yield sandbox
        client.close()
