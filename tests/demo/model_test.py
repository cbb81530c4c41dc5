"""The demo's tokenizer and model as transformers sees them."""

import json
from pathlib import Path

from demo import model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

TEXTS = ["A fine film, and a moving one.", "Dull, dull, dull.", "It is neither fine nor moving."] * 5


def test_tokenizer_gives_every_text_back():
    tokenizer = model.train_tokenizer(TEXTS, vocab_size=300)
    for text in [*TEXTS, " Naïve – and 日本 too", "\ttabs\n"]:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_tokenizer_puts_bos_before_a_text_alone():
    tokenizer = model.train_tokenizer(TEXTS, vocab_size=300)
    assert tokenizer.encode("fine").ids[0] == tokenizer.token_to_id(model.BOS) == 0
    assert 0 not in tokenizer.encode("fine", add_special_tokens=False).ids
    assert tokenizer.token_to_id(model.EOS) == 1


def test_the_step_makes_a_folder_that_transformers_reads(tmp_path: Path):
    text = tmp_path / "text.jsonl"
    text.write_text("".join(json.dumps({"prompt": "Movie review:", "chosen": f" {line}"}) + "\n" for line in TEXTS))
    model.main(["--text", str(text), "--output", str(tmp_path / "base")])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert tokenizer.bos_token_id == 0 and tokenizer.eos_token_id == 1
    assert tokenizer("fine").input_ids[0] == 0
    config = AutoConfig.from_pretrained(tmp_path / "base")
    assert 4.5e6 < AutoModelForCausalLM.from_config(config).num_parameters() < 5.5e6


def test_the_same_text_makes_the_same_tokenizer():
    assert model.train_tokenizer(TEXTS).to_str() == model.train_tokenizer(TEXTS).to_str()
