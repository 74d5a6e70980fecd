"""All targets. Add a new one here, with a module that defines its ``Target``."""

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
