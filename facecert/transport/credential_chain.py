"""The standard credential chain, imported without what its import does to the process.

The only module that imports ``alibabacloud_credentials``. Importing that package opens two loggers
and gives them handlers, one of which prints signed STS requests to stderr. Import this module only
when the chain is needed: it takes a third of a second.
"""

import logging
import warnings

from ..errors import DependencyError

_LOGGERS = [logging.getLogger(name) for name in ("alibabacloud-tea", "credentials")]
_before = [(logger, list(logger.handlers), logger.level) for logger in _LOGGERS]

try:
    with warnings.catch_warnings():
        # What it stands on warns of old Pythons; an app may make errors of warnings.
        warnings.simplefilter("ignore")
        from alibabacloud_credentials.client import Client
except ImportError as error:
    raise DependencyError(
        "alibabacloud_credentials cannot be imported. Repair it with:"
        " python -m pip install --force-reinstall alibabacloud-credentials"
    ) from error
finally:
    for _logger, _handlers, _level in _before:
        for _handler in set(_logger.handlers) - set(_handlers):
            _logger.removeHandler(_handler)
        _logger.setLevel(_level)

__all__ = ["Client"]
