"""What the steps' command lines have in common."""

import argparse


def command_line(step: str, description: str) -> argparse.ArgumentParser:
    """A parser that says what the step's module says."""
    as_is = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(f"demo {step}", description=description, formatter_class=as_is, allow_abbrev=False)
