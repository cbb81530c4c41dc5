#!/usr/bin/env python3
"""Preference text (JSONL, Parquet) -> a preference file of token ids; see --help. Run it with the project's .venv."""

import sys

from preferences.interrupts import Interrupted, Interrupts


def main() -> int:
    interrupts = Interrupts()
    interrupts.install()
    # After the signal handlers, so that Ctrl-C is clean during these slow imports too.
    from preferences.command_line import parse_command_line
    from preferences.errors import InputError
    from preferences.tokenize import tokenize_preferences
    from preferences.worker_pool import WorkerDied

    try:
        report = tokenize_preferences(parse_command_line(sys.argv[1:]), interrupts)
        print(report.text)
        for warning in report.warnings:
            print(warning, file=sys.stderr)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except WorkerDied as error:
        print(f"tokenize_preferences.py: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"tokenize_preferences.py: stopped by {stop}, nothing written", file=sys.stderr)
        return stop.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
