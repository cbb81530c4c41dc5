"""The command line of tools/tokenize_preferences.py."""

import argparse
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from .counts import RowLost
from .errors import InputError
from .messages import read_tools
from .options import Column, Columns, EncodingOptions, Labelled, Overlong, TemplateOptions, TokenizeOptions
from .rows import read_template_arguments

_DESCRIPTION = """\
Turns preference text into a preference file of token ids (HDF5).

Input rows have a chosen and a rejected response, each text or a list of chat messages {"role": ..., "content": ...},
and mostly a prompt of the same kind; without one, the prompt is what both responses have in common at the beginning.
Messages are rendered with the model folder's chat template; a plain response gets the tokenizer's end token.
A file may also be one JSON array, messages ShareGPT's from/value or JSON text, responses two completions by rank."""

_EPILOG = """\
Optional columns: label (probability that chosen is the better one, 1 when absent), weight (1 when absent), source
(text; the file's name when absent), tools and chat_template_kwargs (for the chat template). A column that is named
here must be in every row. A row that cannot be used is left out and counted by reason, with an example.

Exit codes: 0 done; 2 the input is wrong, nothing written; 1 a failure; 130 Ctrl-C; 143 SIGTERM."""


def parse_command_line(arguments: list[str]) -> TokenizeOptions:
    """Exits with code 2 and a message when the command line is wrong. Throws InputError for the file of tools."""
    parsed = _parser().parse_args(arguments)
    encoding = EncodingOptions(
        parsed.model,
        parsed.max_length,
        Overlong(parsed.overlong),
        _columns(parsed),
        Labelled(parsed.label),
        _template(parsed),
    )
    return TokenizeOptions(encoding, parsed.input, parsed.output, parsed.workers, parsed.strict, parsed.max_dropped)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenize_preferences.py",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_files(parser)
    _add_lengths(parser)
    _add_losses(parser)
    _add_template(parser)
    for column in Columns().all():
        name = column.name.replace("_", "-")
        parser.add_argument(f"--{name}-column", metavar="NAME", help=f"default: {column.name}")
    parser.add_argument("--workers", type=_at_least(1), default=len(os.sched_getaffinity(0)), metavar="N",
        help="processes (default: one per processor, here %(default)s); the output does not depend on it")  # fmt: skip
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="FOLDER", help="Hugging Face folder with tokenizer.json")
    add("--input", type=Path, required=True, nargs="+", action="extend", metavar="FILE",
        help=".jsonl or .json (also with .gz or .zst), or .parquet; read in this order")  # fmt: skip
    add("--output", type=Path, required=True, metavar="FILE.h5", help="replaced when the run is complete, not before")


def _add_lengths(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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
    add("--label", choices=[which.value for which in Labelled], default=Labelled.ALL.value,
        help="which tokens of a response count: all (default), or the assistant's, other turns being context")  # fmt: skip


def _add_losses(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--max-dropped", type=_share, default=0.1, metavar="SHARE",
        help="an error if more of the rows than this cannot be used or are too long (default: %(default)s)")  # fmt: skip
    add("--strict", action="store_true",
        help="malformed rows, nulls, and columns or template arguments that nothing reads are errors")  # fmt: skip


def _add_template(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--chat-template", type=Path, metavar="FILE", help="a chat template to take instead of the model folder's")
    add("--chat-template-kwargs", type=_object, default={}, metavar="JSON",
        help="arguments of the chat template for all rows, such as '{\"enable_thinking\": false}'")  # fmt: skip
    add("--tools", type=Path, metavar="FILE", help="a JSON list of tool schemas for rows that have none")
    add("--template-date", type=_moment, metavar="DATE",
        help="what a chat template writes as today: 2026-07-26, or with a time (default: today)")  # fmt: skip


def _columns(parsed: argparse.Namespace) -> Columns:
    named = {}
    for column in Columns().all():
        name = getattr(parsed, f"{column.name}_column")
        if name is not None:
            named[column.name] = Column(name, is_required=True)
    return Columns(**named)


def _template(parsed: argparse.Namespace) -> TemplateOptions:
    moment = {} if parsed.template_date is None else {"moment": parsed.template_date}
    return TemplateOptions(parsed.chat_template, _tools(parsed.tools), parsed.chat_template_kwargs, **moment)


def _tools(file: Path | None) -> list[dict[str, Any]] | None:
    if file is None:
        return None
    try:
        return read_tools("tools", file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    except RowLost as error:
        raise InputError(f"{file}: {error.detail}") from None


def _at_least(least: int):
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number, {least} or more")
        return int(text)

    return number


def _share(text: str) -> float:
    """0.1 or 10%."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a share from 0 to 1, or from 0% to 100%")
    return share


def _object(text: str) -> dict[str, Any]:
    try:
        return read_template_arguments("chat_template_kwargs", json.loads(text))
    except (ValueError, RowLost) as error:
        reason = error.detail if isinstance(error, RowLost) else f"not JSON: {error}"
        raise argparse.ArgumentTypeError(f"{text!r}: {reason}") from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: a date such as 2026-07-26") from None
