"""The line that gives every test of this folder the fixture ``facecert_sandbox``."""

pytest_plugins = ["facecert.sandbox.fixtures"]
