"""Joins the parts: inputs -> workers -> preference file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from .chunk_encoder import ChunkEncoder, EncodedChunk
from .counts import Counts, DropReason, Noted
from .errors import InputError
from .fingerprints import input_fingerprint
from .input_files import Chunk, check_inputs, read_inputs
from .interrupts import Interrupts
from .model_text import ModelText
from .options import EncodingOptions, TokenizeOptions
from .preference_file import PreferenceWriter, Provenance
from .staged_file import StagedFile
from .worker_pool import WorkerPool

_WARNED_SHARE = 0.01  # of rows
# Of pairs that were kept: from which share of the rows on, and what is said of so many.
_WARNED_NOTES = {
    Noted.LOST_TEXT: (0.0, "the chat template does not write all of the responses of {}"),
    Noted.BORDER: (_WARNED_SHARE, "the prompts of {} have other tokens when they stand alone, as a model gets them"),
    Noted.REPEATED_PROMPT: (
        _WARNED_SHARE,
        "both responses of {} begin with the prompt's text, which stands there twice",
    ),
}
_ROWS_BEFORE_GIVING_UP = 1000  # all of them lost


@dataclass(frozen=True)
class Report:
    """What the screen shows."""

    text: str
    warnings: list[str]


def tokenize_preferences(options: TokenizeOptions, interrupts: Interrupts) -> Report:
    """Writes the preference file. Throws InputError, Interrupted, WorkerDied; the output then stays as it was."""
    check_inputs(options.inputs)
    if any(options.output.exists() and options.output.samefile(file) for file in options.inputs):
        raise InputError(f"{options.output}: is an input too: another name for the output")
    encoding = options.encoding
    model = ModelText.load(encoding.model, encoding.template.file)
    with StagedFile(options.output) as staged, PreferenceWriter(staged, encoding.labelled) as writer:
        fingerprint = input_fingerprint(options.inputs, interrupts.check)
        counts = _append_all(options, model, writer, interrupts)
        _require_enough(options, counts)
        writer.finish(Provenance(encoding, model, fingerprint, counts))
        interrupts.check()
        staged.commit()
        return Report(_report(options, counts, writer.num_tokens, model), _warnings(counts))


def _append_all(options: TokenizeOptions, model: ModelText, writer: PreferenceWriter, interrupts: Interrupts) -> Counts:
    counts = Counts()
    with (
        WorkerPool(options.num_workers, partial(_build_encoder, options.encoding, model)) as pool,
        _progress(options) as progress,
    ):
        for chunk, encoded in _answers(pool, options, interrupts):
            if encoded.fault is not None:
                raise InputError(encoded.fault)
            writer.append(encoded)
            counts.add(encoded.counts)
            _require_hope(options, counts)
            progress.update(chunk.progress_bytes - progress.n)
            progress.set_postfix_str(f"{counts.num_written:,} pairs", refresh=False)
    return counts


def _require_hope(options: TokenizeOptions, counts: Counts) -> None:
    """Throws InputError at the first thing that --strict does not let pass, or when row after row is lost although
    --max-dropped does not let all of them be."""
    if counts.num_written == 0 and counts.num_read >= _ROWS_BEFORE_GIVING_UP and options.max_dropped < 1:
        raise InputError(
            f"{_names(options)}: none of the first {counts.num_read:,} rows can be used:\n{counts.table()}"
        )
    if not options.is_strict:
        return
    for reason in (DropReason.MALFORMED, DropReason.NULL):
        if counts.dropped[reason]:
            raise InputError(f"{counts.examples[reason]} (--strict)")
    for name, place in counts.unread.items():
        raise InputError(f"{place}: nothing reads {name}: rows without it (--strict)")


def _require_enough(options: TokenizeOptions, counts: Counts) -> None:
    """Throws InputError when no pair is left, or too few."""
    if counts.num_written == 0:
        raise InputError(f"{_names(options)}: no pair is left to write:\n{counts.table()}")
    if counts.num_dropped > options.max_dropped * counts.num_read:
        limit = f"more than --max-dropped {options.max_dropped:g} allows"
        raise InputError(f"{_names(options)}: {_lost(counts)}, {limit}:\n{counts.table()}")


def _answers(
    pool: WorkerPool, options: TokenizeOptions, interrupts: Interrupts
) -> Iterator[tuple[Chunk, EncodedChunk]]:
    """The pool's answers, as long as nobody asks to stop."""
    answers = pool.map_ordered(read_inputs(options.inputs, options.encoding.columns))
    while True:
        try:
            answer = next(answers, None)
        finally:
            # First: a worker that the same signal has ended is no failure.
            interrupts.check()
        if answer is None:
            return
        yield answer


def _build_encoder(options: EncodingOptions, model: ModelText) -> Callable[[Chunk], EncodedChunk]:
    return ChunkEncoder(options, model).encode


def _progress(options: TokenizeOptions) -> "tqdm[None]":
    """Counts input bytes, whose total is known; only on a terminal."""
    total = sum(os.path.getsize(file) for file in options.inputs)
    return tqdm(total=total, unit="B", unit_scale=True, desc="tokenizing", disable=None)


def _report(options: TokenizeOptions, counts: Counts, num_tokens: int, model: ModelText) -> str:
    lines = [counts.table(), f"{options.output}: {num_tokens:,} tokens in {counts.num_written:,} pairs"]
    lines += [f"note: nothing reads {name}: first at {place}" for name, place in counts.unread.items()]
    if counts.writes_date:
        date = options.encoding.template.moment.isoformat()
        lines.append(
            f"note: the chat template writes the date, which was {date} for all rows: --template-date fixes it"
        )
    if not model.back_ids:
        lines.append("note: the tokenizer names no eos_token, so responses given as plain text end without one")
    return "\n".join([*lines, *_template_note(options.encoding.template.file, model)])


def _template_note(file: Path | None, model: ModelText) -> list[str]:
    """What to do where the model folder does not have the template that was given."""
    if file is None or model.chat_template_fingerprint == model.folder_template_fingerprint:
        return []
    has_none = model.folder_template_fingerprint is None
    own = "no chat template" if has_none else "another chat template, with which this file is refused"
    return [f"note: {model.folder} has {own}: copy {file} to {model.folder / 'chat_template.jinja'}"]


def _warnings(counts: Counts) -> list[str]:
    warnings = []
    if counts.num_dropped > _WARNED_SHARE * counts.num_read:
        (worst, _), *_ = counts.dropped.most_common()
        example = counts.examples[worst]
        warnings.append(f"warning: {_lost(counts)}: {counts.reasons()}; {worst} first at {example}")
    for what, (share, text) in _WARNED_NOTES.items():
        number = counts.noted[what]
        if number > share * counts.num_read:
            warnings.append(f"warning: {text.format(f'{number:,} pairs')}; first at {counts.examples[what]}")
    return warnings


def _lost(counts: Counts) -> str:
    return f"{counts.num_dropped:,} of {counts.num_read:,} rows are lost ({counts.num_dropped / counts.num_read:.1%})"


def _names(options: TokenizeOptions) -> str:
    return ", ".join(map(str, options.inputs))
