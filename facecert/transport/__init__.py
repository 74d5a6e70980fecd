"""Sending a request to the gateway and reading its response."""
