"""Which ids a pair becomes, and why a pair is left out."""

from pathlib import Path
from typing import Any

import pytest
from model_folders import (
    CHATML,
    assistant,
    byte_level_tokenizer,
    encode,
    merging_model,
    pairs_of,
    prefix_space_model,
    save_model,
    user,
)
from preferences.counts import DropReason, Noted
from preferences.errors import InputError
from preferences.model_text import ModelText
from preferences.options import Overlong
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

SKY = {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
SKY_CHAT = {"prompt": [user("What color is the sky?")], "chosen": [assistant("blue")], "rejected": [assistant("green")]}


def tokenizer_of(model: Path) -> Tokenizer:
    return Tokenizer.from_file(str(model / "tokenizer.json"))


def ids(model: Path, text: str) -> list[int]:
    return tokenizer_of(model).encode(text, add_special_tokens=False).ids


def dropped(model: Path, row: dict[str, Any], **options: Any) -> DropReason:
    chunk = encode(model, row, **options)
    assert chunk.fault is None and len(chunk.lengths) == 0 and chunk.counts.num_read == 1
    (reason,) = chunk.counts.dropped
    assert chunk.counts.examples[reason].startswith("train.jsonl:1")
    return reason


def test_text_is_prompt_and_responses_with_an_end(chatml: Path):
    (pair,) = pairs_of(encode(chatml, SKY))
    end = ids(chatml, "<|im_end|>")
    assert pair == (ids(chatml, "The sky is"), ids(chatml, " blue.") + end, ids(chatml, " green.") + end)


def test_an_end_that_the_text_has_is_not_doubled(chatml: Path):
    (pair,) = pairs_of(encode(chatml, SKY | {"chosen": " blue.<|im_end|>"}))
    assert pair[1] == ids(chatml, " blue.<|im_end|>")


def test_text_has_no_end_when_the_tokenizer_has_none(bare: Path):
    (pair,) = pairs_of(encode(bare, SKY))
    assert pair == (ids(bare, "The sky is"), ids(bare, " blue."), ids(bare, " green."))


def test_a_token_that_spans_prompt_and_response_is_the_responses(tmp_path: Path):
    model = merging_model(tmp_path / "m")
    assert len(ids(model, "abcd")) == 1
    chunk = encode(model, {"prompt": "yesab", "chosen": "cd", "rejected": "cdcd"})
    assert list(pairs_of(chunk)) == [(ids(model, "yes"), ids(model, "abcd"), ids(model, "abcdcd"))]
    assert chunk.counts.noted == {Noted.BORDER: 1}
    assert chunk.counts.examples[Noted.BORDER] == "train.jsonl:1: 'ab'"


def test_the_border_is_where_both_conversations_still_have_the_same_tokens(tmp_path: Path):
    turns = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}"
    template = turns + "{% if add_generation_prompt %}assistant={% endif %}"
    model = merging_model(tmp_path / "m", template)
    assert len(ids(model, "=yes")) == 1
    chunk = encode(model, {"prompt": [user("ab")], "chosen": [assistant("yes")], "rejected": [assistant("cd")]})
    assert list(pairs_of(chunk)) == [(ids(model, "user=ab;assistant"), ids(model, "=yes;"), ids(model, "=cd;"))]
    assert chunk.counts.examples[Noted.BORDER] == "train.jsonl:1: '='"


def test_a_pair_without_any_border_between_tokens_is_left_out(tmp_path: Path):
    model = merging_model(tmp_path / "m")
    assert dropped(model, {"prompt": "ab", "chosen": "cd", "rejected": "cdcd"}) is DropReason.BOUNDARY


def test_chat_is_what_the_template_writes(chatml: Path):
    (pair,) = pairs_of(encode(chatml, SKY_CHAT))
    start = "<|im_start|>user\nWhat color is the sky?<|im_end|>\n<|im_start|>assistant\n"
    assert pair == (ids(chatml, start), ids(chatml, "blue<|im_end|>\n"), ids(chatml, "green<|im_end|>\n"))


def test_chat_equals_transformers(chatml: Path):
    from transformers import PreTrainedTokenizerFast

    reference = PreTrainedTokenizerFast.from_pretrained(chatml)
    talk = [
        {"role": "system", "content": "be kind"},
        user("The sky?"),
        assistant("It is blue."),
        user("Is it\n\n green? 字 "),
    ]
    row = {"chosen": [*talk, assistant("The grass is green.")], "rejected": [*talk, assistant("  deep\n")]}
    (pair,) = pairs_of(encode(chatml, row))
    assert pair[0] == reference.apply_chat_template(talk, add_generation_prompt=True)["input_ids"]
    assert pair[0] + pair[1] == reference.apply_chat_template(row["chosen"])["input_ids"]
    assert pair[0] + pair[2] == reference.apply_chat_template(row["rejected"])["input_ids"]


def test_the_template_may_stand_in_the_tokenizer_config(tmp_path: Path, chatml: Path):
    tokenizer = tokenizer_of(chatml)
    model = save_model(
        tmp_path / "m", tokenizer, bos_token="<s>", eos_token="<|im_end|>", chat_template="{{ bos_token }}" + CHATML
    )
    (with_bos,), (without,) = pairs_of(encode(model, SKY_CHAT)), pairs_of(encode(chatml, SKY_CHAT))
    assert with_bos == (ids(chatml, "<s>") + without[0], *without[1:])


def test_a_response_may_be_several_messages(chatml: Path):
    more = [user("and the grass?"), assistant("green")]
    (pair,) = pairs_of(encode(chatml, SKY_CHAT | {"chosen": [assistant("blue"), *more]}))
    text = "blue<|im_end|>\n<|im_start|>user\nand the grass?<|im_end|>\n<|im_start|>assistant\ngreen<|im_end|>\n"
    assert pair[1] == ids(chatml, text)


@pytest.mark.parametrize("kind", ["prepend", "metaspace"])
def test_text_is_tokenized_as_a_whole_and_cut(tmp_path: Path, kind: str):
    model = prefix_space_model(tmp_path / "m", kind)
    tokenizer = tokenizer_of(model)
    (pair,) = pairs_of(encode(model, {"prompt": "The sky", "chosen": ": blue.", "rejected": ": was green."}))
    end = [tokenizer.token_to_id("</s>")]
    assert pair[0][0] == tokenizer.token_to_id("<s>")
    assert pair[0] + pair[1] == tokenizer.encode("The sky: blue.").ids + end
    assert pair[0] + pair[2] == tokenizer.encode("The sky: was green.").ids + end


def test_bos_that_the_prompt_has_is_not_doubled(tmp_path: Path):
    model = prefix_space_model(tmp_path / "m", "metaspace")
    (pair,) = pairs_of(encode(model, SKY | {"prompt": "<s>The sky is"}))
    assert pair[0].count(tokenizer_of(model).token_to_id("<s>")) == 1


def test_bos_stands_for_an_empty_prompt(chatml: Path):
    rows = [SKY | {"prompt": ""}, {"chosen": "yes", "rejected": "no"}]
    bos = ids(chatml, "<s>")
    assert [pair[0] for pair in pairs_of(encode(chatml, *rows))] == [bos] * 2


def test_bos_stands_for_a_prompt_of_a_chat_that_the_template_writes_nothing_of(tmp_path: Path, chatml: Path):
    model = save_model(tmp_path / "m", tokenizer_of(chatml), "{% for m in messages %}{{ m.content }}{% endfor %}",
                       bos_token="<s>")  # fmt: skip
    (pair,) = pairs_of(encode(model, SKY_CHAT | {"prompt": []}))
    assert pair == (ids(chatml, "<s>"), ids(chatml, "blue"), ids(chatml, "green"))


def test_an_empty_prompt_without_bos_is_left_out(bare: Path):
    assert dropped(bare, {"chosen": "yes", "rejected": "no"}) is DropReason.EMPTY_PROMPT


@pytest.mark.parametrize("row", [SKY | {"chosen": ""}, SKY | {"rejected": ""}, SKY_CHAT | {"chosen": []},
                                 SKY_CHAT | {"rejected": [assistant("")]}])  # fmt: skip
def test_an_empty_response_is_left_out(chatml: Path, row: dict[str, Any]):
    assert dropped(chatml, row) is DropReason.EMPTY_RESPONSE


def test_identical_responses_are_left_out(chatml: Path):
    assert dropped(chatml, SKY | {"rejected": " blue."}) is DropReason.IDENTICAL_RESPONSES
    assert dropped(chatml, {"chosen": "The sky", "rejected": "The sky"}) is DropReason.IDENTICAL_RESPONSES


def test_responses_that_a_cut_makes_identical_are_left_out(chatml: Path):
    row = {"prompt": "The sky", "chosen": " is is is blue", "rejected": " is is is green"}
    max_length = len(ids(chatml, "The sky")) + 2
    assert dropped(chatml, row, max_length=max_length, overlong=Overlong.CUT_RESPONSE) is DropReason.IDENTICAL_RESPONSES


def test_a_conversation_that_the_template_refuses_is_left_out(tmp_path: Path, chatml: Path):
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
    model = save_model(tmp_path / "m", tokenizer_of(chatml), template)
    row = SKY_CHAT | {"prompt": [{"role": "system", "content": "be kind"}, *SKY_CHAT["prompt"]]}
    assert dropped(model, row) is DropReason.TEMPLATE
    assert encode(model, row).counts.examples == {DropReason.TEMPLATE: "train.jsonl:1: no system role"}


def test_a_conversation_that_does_not_begin_with_its_prompt_is_left_out(tmp_path: Path, chatml: Path):
    model = save_model(tmp_path / "m", tokenizer_of(chatml), "{{ messages | length }}" + CHATML)
    assert dropped(model, SKY_CHAT) is DropReason.BOUNDARY


def test_a_template_that_is_none_is_named(tmp_path: Path, chatml: Path):
    model = save_model(tmp_path / "m", tokenizer_of(chatml), "{% for %}")
    assert encode(model, SKY_CHAT).fault.startswith(f"{model}: chat template: ")


def test_truncation_and_padding_of_the_tokenizer_are_off(tmp_path: Path, bare: Path):
    tokenizer = tokenizer_of(bare)
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    assert (encode(save_model(tmp_path / "m", tokenizer), SKY).tokens == encode(bare, SKY).tokens).all()


def test_an_end_token_outside_the_vocabulary_is_named(tmp_path: Path):
    model = save_model(tmp_path / "m", byte_level_tokenizer([]), eos_token="</s>")
    with pytest.raises(InputError, match="eos_token: '</s>': a token of tokenizer"):
        ModelText.load(model)


def test_vocab_size_counts_gaps(tmp_path: Path):
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 7}, unk_token="a"))
    assert ModelText.load(save_model(tmp_path / "m", tokenizer)).vocab_size == 8
