"""``facecert query``."""

from typing import Any, Dict, Optional

import click

from ..results import QueryResult
from .options import certify_id_argument, connect, json_option, scene_option, verbose_option
from .output import DONE, NOT_PASSED, Output

PASSED = "passed"
NOT_YET = "not passed (or not yet)"


def as_result(answer: QueryResult) -> Dict[str, Any]:
    """Return what is printed of an answer; nothing personal is in it."""
    return {
        "certify_id": answer.certify_id,
        "passed": answer.passed,
        "request_id": answer.request_id,
    }


@click.command()
@certify_id_argument
@scene_option
@json_option
@verbose_option
def command(certify_id: str, scene_id: Optional[str], output: Output) -> int:
    """Ask whether the person passed.

    Exit code 0: passed. Exit code 1: not passed, or not yet: the service says the same for both
    until the verification's 30 minutes are over.

    Example: facecert query 0a1b2c3d4e5f60718293a4b5c6d7e8f9
    """
    with connect(scene_id) as client:
        answer = client.query(certify_id)
    output.show(as_result(answer), PASSED if answer.passed else NOT_YET)
    return DONE if answer.passed else NOT_PASSED
