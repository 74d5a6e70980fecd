"""Fixtures for the suites of facecert's users; pytest finds them by itself."""

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from . import Sandbox


@pytest.fixture
def facecert_sandbox(monkeypatch: "pytest.MonkeyPatch") -> "Iterator[Sandbox]":
    """A fresh sandbox; ``facecert.init()``, ``query()`` and ``confirm()`` talk to it meanwhile.

    So does ``Client.from_environment()``. For another client use ``facecert_sandbox.client()``.
    """
    from ..default import default_client
    from . import Sandbox

    with Sandbox() as sandbox:
        for variable, value in sandbox.environment.items():
            monkeypatch.setenv(variable, value)
        before = dict(vars(default_client))
        vars(default_client).clear()
        vars(default_client).update(vars(sandbox.client()))
        try:
            yield sandbox
        finally:
            default_client.close()
            vars(default_client).clear()
            vars(default_client).update(before)
