"""Exceptions that a timeout's signal handler could raise, at every step of a module."""

import sys


class Strike(BaseException):
    """What a timeout's signal handler raises."""


def struck(path, use, step):
    """Raise ``Strike`` in ``use``, before this step of a file; False if there are fewer."""
    event_name = "opcode" if sys.version_info >= (3, 7) else "line"
    left = step

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != path:
            return None
        if event_name == "opcode":
            frame.f_trace_opcodes = True
        if event == event_name:
            left -= 1
            if left == 0:
                raise Strike
        return trace

    before = sys.gettrace()
    # Python 3.12 traces opcodes only if a frame asked for them before settrace.
    if event_name == "opcode":
        sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        use()
    except Strike:
        return True
    finally:
        sys.settrace(before)
    return False
