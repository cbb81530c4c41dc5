"""Times TRL's DPOTrainer with a precomputed reference on a preference file; bench/compare_trl.py runs it.

Runs in TRL's environment, alone or as several processes under torchrun. The token ids, their order and the
hyper-parameters are Collimate's, so that the losses can be compared too.
"""

import argparse
import json
import os
import time
from pathlib import Path

import h5py
import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer


class TokenizedDPOTrainer(DPOTrainer):
    """Takes token ids instead of text, in file order."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)


class Recorder(TrainerCallback):
    """The time at which each step ended, and its loss."""

    def __init__(self):
        self.ends = []
        self.losses = []

    def on_train_begin(self, *_, **__):
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())

    def on_log(self, _args, _state, _control, logs=None, **__):
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])


def read_pairs(path: Path, num_pairs: int) -> Dataset:
    """The first pairs of a preference file, as the columns that DPOTrainer makes of text."""
    with h5py.File(path) as file:
        offsets = file["offsets"][: num_pairs + 1].astype(int)
        tokens = file["tokens"][: offsets[-1]]
        counts = [file[f"num_{part}_tokens"][:num_pairs].astype(int) for part in ("prompt", "chosen", "rejected")]
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    rows = []
    for i, begin in enumerate(offsets[:-1]):
        prompt_end = begin + counts[0][i]
        chosen_end = prompt_end + counts[1][i]
        parts = tokens[begin:prompt_end], tokens[prompt_end:chosen_end], tokens[chosen_end : offsets[i + 1]]
        rows.append({name: part.tolist() for name, part in zip(names, parts, strict=True)})
    return Dataset.from_list(rows)


def load_model(folder: Path, on_gpu: bool) -> AutoModelForCausalLM:
    """float32 on a CPU; on a GPU bfloat16, which is TRL's fastest there."""
    dtype = torch.bfloat16 if on_gpu else torch.float32
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")


def make_settings(output: Path, on_gpu: bool = False, **others) -> DPOConfig:
    """What makes TRL slower without changing the result is off: gradient checkpointing, checkpoints, progress bar."""
    return DPOConfig(
        output_dir=str(output.with_suffix(".run")), use_cpu=not on_gpu, bf16=on_gpu, seed=0, max_length=None,
        precompute_ref_log_probs=True, gradient_checkpointing=False, dataloader_pin_memory=False, save_strategy="no",
        report_to=[], disable_tqdm=True, **others,
    )  # fmt: skip


def training_settings(options: argparse.Namespace, num_processes: int) -> DPOConfig:
    return make_settings(
        options.output, options.gpu, per_device_train_batch_size=options.pairs_per_pass,
        gradient_accumulation_steps=options.batch_size // (options.pairs_per_pass * num_processes),
        max_steps=options.num_steps, precompute_ref_batch_size=4, logging_strategy="steps", logging_steps=1,
        learning_rate=options.learning_rate, lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=1.0,
        beta=0.1, torch_compile=options.compile,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--preferences", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: seconds and loss of each step")
    parser.add_argument("--num-steps", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True, help="pairs a step")
    parser.add_argument("--pairs-per-pass", type=int, required=True, help="pairs in one padded pass")
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--gpu", action="store_true", help="on a GPU, in bfloat16")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    options = parser.parse_args()

    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    recorder = Recorder()
    trainer = TokenizedDPOTrainer(
        model=load_model(options.model, options.gpu),
        args=training_settings(options, num_processes),
        train_dataset=read_pairs(options.preferences, options.num_steps * options.batch_size),
        processing_class=AutoTokenizer.from_pretrained(options.model),
        callbacks=[recorder],
    )
    trainer.train()
    if trainer.is_world_process_zero():
        seconds = [end - begin for begin, end in zip(recorder.ends, recorder.ends[1:], strict=False)]
        options.output.write_text(json.dumps({"step_seconds": seconds, "losses": recorder.losses}))


if __name__ == "__main__":
    main()
