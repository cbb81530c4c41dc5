"""Joins the parts: inputs -> workers -> preference file."""

import os
from collections.abc import Callable, Iterator
from functools import partial

from tqdm import tqdm

from .chunk_encoder import ChunkEncoder, EncodedChunk
from .counts import Counts
from .errors import InputError, input_error
from .fingerprints import input_fingerprint
from .input_files import Chunk, check_inputs, read_inputs
from .interrupts import Interrupts
from .model_text import ModelText
from .options import EncodingOptions, TokenizeOptions
from .preference_file import PreferenceWriter, Provenance
from .staged_file import StagedFile
from .worker_pool import WorkerPool


def tokenize_preferences(options: TokenizeOptions, interrupts: Interrupts) -> str:
    """Writes the preference file and gives the report for the screen. Throws InputError, Interrupted, WorkerDied;
    the output then stays as it was."""
    check_inputs(options.inputs)
    if any(options.output.exists() and options.output.samefile(file) for file in options.inputs):
        raise InputError(f"{options.output}: is an input too: another name for the output")
    model = ModelText.load(options.encoding.model)
    ends = [model.bos_id, model.eos_id]  # looked up now, so that a faulty folder is found before any work
    with StagedFile(options.output) as staged, PreferenceWriter(staged) as writer:
        fingerprint = input_fingerprint(options.inputs, interrupts.check)
        counts = _append_all(options, writer, interrupts)
        if counts.num_written == 0:
            raise InputError(f"{_names(options)}: no pair is left to write:\n{counts.table()}")
        writer.finish(Provenance(options.encoding, model, fingerprint, counts))
        interrupts.check()
        staged.commit()
        return _report(options, counts, writer.num_tokens, has_end=ends[1] is not None)


def _append_all(options: TokenizeOptions, writer: PreferenceWriter, interrupts: Interrupts) -> Counts:
    counts = Counts()
    with (
        WorkerPool(options.num_workers, partial(_build_encoder, options.encoding)) as pool,
        _progress(options) as progress,
    ):
        for chunk, encoded in _answers(pool, options, interrupts):
            if encoded.problems:
                raise input_error(encoded.problems)
            writer.append(encoded)
            counts.add(encoded.counts)
            progress.update(chunk.progress_bytes - progress.n)
            progress.set_postfix_str(f"{counts.num_written:,} pairs", refresh=False)
    return counts


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


def _build_encoder(options: EncodingOptions) -> Callable[[Chunk], EncodedChunk]:
    return ChunkEncoder(options).encode


def _progress(options: TokenizeOptions) -> "tqdm[None]":
    """Counts input bytes, whose total is known; only on a terminal."""
    total = sum(os.path.getsize(file) for file in options.inputs)
    return tqdm(total=total, unit="B", unit_scale=True, desc="tokenizing", disable=None)


def _report(options: TokenizeOptions, counts: Counts, num_tokens: int, has_end: bool) -> str:
    lines = [counts.table(), f"{options.output}: {num_tokens:,} tokens in {counts.num_written:,} pairs"]
    if not has_end:
        lines.append("note: the tokenizer names no eos_token, so responses given as plain text end without one")
    return "\n".join(lines)


def _names(options: TokenizeOptions) -> str:
    return ", ".join(map(str, options.inputs))
