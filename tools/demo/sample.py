"""Two models write the same number of texts after the same prompt, from the same seeds: only the weights differ."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from .command_line import command_line
from .files import write_jsonl
from .prepare import PROMPT

BATCH = 100
MAX_NEW_TOKENS = 80


@torch.inference_mode()
def sample(folder: Path, num_samples: int, seed: int) -> list[str]:
    """Texts at temperature 1, from the whole distribution: what the model itself says, with no filter on top."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt = tokenizer(PROMPT, return_tensors="pt").input_ids
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": MAX_NEW_TOKENS,
               "pad_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}  # fmt: skip
    texts = []
    for begin in range(0, num_samples, BATCH):
        torch.manual_seed(seed + begin)
        ids = prompt.expand(min(BATCH, num_samples - begin), -1)
        tokens = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        texts += tokenizer.batch_decode(tokens[:, prompt.shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in texts]


def main(arguments: list[str]) -> None:
    parser = command_line("sample", __doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="FOLDER", help="the SFT model")
    parser.add_argument("--after", type=Path, required=True, metavar="FOLDER", help="the DPO model")
    parser.add_argument("--num-samples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.jsonl")
    parsed = parser.parse_args(arguments)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    before, after = (sample(folder, parsed.num_samples, parsed.seed) for folder in (parsed.before, parsed.after))
    pairs = zip(before, after, strict=True)
    write_jsonl(parsed.output, ({"before": first, "after": second} for first, second in pairs))
    print(f"{parsed.num_samples} texts of each model")
