"""Times DPOTrainer's own precomputation of reference log-probs on a preference file; bench/compare_scoring.py runs it.

Runs in TRL's environment, alone or as several processes under torchrun. What counts is _precompute_ref_logps: batches,
forward passes and the cached columns; not the start, the model, the tokens and their hashes.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import h5py
import torch
from datasets import Dataset, load_from_disk
from transformers import AutoTokenizer
from trl import DPOConfig
from trl_dpo import TokenizedDPOTrainer, load_model, make_settings, read_pairs


class TimedDPOTrainer(TokenizedDPOTrainer):
    """Knows how long its precomputation took."""

    def _precompute_ref_logps(self, *arguments):
        begin = time.perf_counter()
        dataset = super()._precompute_ref_logps(*arguments)
        self.precompute_seconds = time.perf_counter() - begin
        return dataset


def stored_pairs(options: argparse.Namespace, args: DPOConfig) -> Dataset:
    """In a fresh folder, where all processes find the cached columns and none is left from before."""
    folder = options.output.with_suffix(".data")
    with args.main_process_first():
        if args.process_index == 0:
            shutil.rmtree(folder, ignore_errors=True)
            with h5py.File(options.preferences) as file:
                num_pairs = len(file["pair_id"])
            read_pairs(options.preferences, num_pairs).save_to_disk(folder)
    return load_from_disk(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--preferences", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: seconds and the log-probs of each pair")
    parser.add_argument("--pairs-per-pass", type=int, required=True, help="pairs in one padded pass")
    parser.add_argument("--gpu", action="store_true", help="on a GPU, in bfloat16")
    options = parser.parse_args()

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    args = make_settings(options.output, options.gpu, precompute_ref_batch_size=options.pairs_per_pass)
    trainer = TimedDPOTrainer(
        model=load_model(options.model, options.gpu),
        args=args,
        train_dataset=stored_pairs(options, args),
        processing_class=AutoTokenizer.from_pretrained(options.model),
    )
    if trainer.is_world_process_zero():
        log_probs = {part: list(trainer.train_dataset[f"ref_{part}_logps"]) for part in ("chosen", "rejected")}
        options.output.write_text(json.dumps({"seconds": trainer.precompute_seconds, **log_probs}))


if __name__ == "__main__":
    main()
