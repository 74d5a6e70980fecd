"""All targets. A new one is a module with a ``Target`` and a word here."""

import fuzz_answers
import fuzz_callbacks
import fuzz_files
import fuzz_keys
import fuzz_sandbox

TARGETS = (
    [fuzz_answers.TARGET, fuzz_callbacks.TARGET]
    + fuzz_keys.TARGETS
    + fuzz_files.TARGETS
    + fuzz_sandbox.TARGETS
)
