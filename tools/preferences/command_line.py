"""The command line of tools/tokenize_preferences.py."""

import argparse
import os
from pathlib import Path

from .options import Column, Columns, EncodingOptions, Overlong, TokenizeOptions

_DESCRIPTION = """\
Turns preference text into a preference file of token ids (HDF5).

Input rows have a chosen and a rejected response, each text or a list of chat messages {"role": ..., "content": ...},
and mostly a prompt of the same kind; without one, the prompt is what both responses have in common at the beginning.
Messages are rendered with the model folder's chat template; a plain response gets the tokenizer's end token."""

_EPILOG = """\
Optional columns: label (probability that chosen is the better one, 1 when absent), weight (1 when absent), source
(text; the file's name when absent). A column that is named here must be in every row.

Exit codes: 0 done; 2 the input is wrong, nothing written; 1 a failure; 130 Ctrl-C."""


def parse_command_line(arguments: list[str]) -> TokenizeOptions:
    """Exits with code 2 and a message when the command line is wrong."""
    parsed = _parser().parse_args(arguments)
    encoding = EncodingOptions(parsed.model, parsed.max_length, Overlong(parsed.overlong), _columns(parsed))
    return TokenizeOptions(encoding, parsed.input, parsed.output, parsed.workers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenize_preferences.py",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FOLDER", help="Hugging Face folder with tokenizer.json")
    add("--input", type=Path, required=True, nargs="+", action="extend", metavar="FILE",
        help=".jsonl or .json (also with .gz or .zst), or .parquet; read in this order")  # fmt: skip
    add("--output", type=Path, required=True, metavar="FILE.h5", help="replaced when the run is complete, not before")
    add(
        "--max-length",
        type=_at_least(2),
        required=True,
        metavar="N",
        help="tokens of the prompt and the longer response",
    )
    add("--overlong", choices=[policy.value for policy in Overlong], default=Overlong.DROP.value,
        help="what to do with longer pairs: leave them out (default), cut the ends of the responses, "
             "or cut the beginning of the prompt and then, if need be, the ends of the responses")  # fmt: skip
    for column in Columns().all():
        add(f"--{column.name}-column", metavar="NAME", help=f"default: {column.name}")
    add("--workers", type=_at_least(1), default=len(os.sched_getaffinity(0)), metavar="N",
        help="processes (default: one per processor, here %(default)s); the output does not depend on it")  # fmt: skip
    return parser


def _columns(parsed: argparse.Namespace) -> Columns:
    named = {}
    for column in Columns().all():
        name = getattr(parsed, f"{column.name}_column")
        if name is not None:
            named[column.name] = Column(name, is_required=True)
    return Columns(**named)


def _at_least(least: int):
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number, {least} or more")
        return int(text)

    return number
