#!/usr/bin/env python3
"""Preference text (JSON, Parquet) -> a preference file of token ids; see --help. Run it with the project's .venv."""

import os
import sys

from preferences.interrupts import Interrupted, Interrupts

# transformers imports torch where it is, which takes seconds, and advises it where it is not. Tokenizers need none of
# it; workers run these lines too.
sys.modules.setdefault("torch", None)
os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"


def main() -> int:
    interrupts = Interrupts()
    interrupts.install()
    # After the signal handlers, so that Ctrl-C is clean during these slow imports too.
    from preferences.command_line import parse_command_line
    from preferences.errors import InputError, say
    from preferences.tokenize import tokenize_preferences
    from preferences.worker_pool import WorkerDied

    try:
        report = tokenize_preferences(parse_command_line(sys.argv[1:]), interrupts)
        say(report.text)
        for warning in report.warnings:
            say(warning, sys.stderr)
    except InputError as error:
        say(str(error), sys.stderr)
        return 2
    except WorkerDied as error:
        say(f"tokenize_preferences.py: {error}", sys.stderr)
        return 1
    except Interrupted as stop:
        say(f"tokenize_preferences.py: stopped by {stop}, nothing written", sys.stderr)
        return stop.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
