"""What reaches the chat template, where the prompt ends in what it writes, and whose tokens count."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import pytest
import xxhash
from model_folders import CHATML, assistant, byte_level_tokenizer, encode, pairs_of, save_model, user
from preferences.chat import variables_of
from preferences.counts import CutPart, DropReason, Noted
from preferences.model_text import ModelText
from preferences.options import Labelled, Overlong, TemplateOptions
from program import run, write_lines
from tokenizers import Tokenizer

SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
ROW = {"prompt": [user("Is it blue?")], "chosen": [assistant("yes")], "rejected": [assistant("no")]}
TOOLS = [{"type": "function", "function": {"name": "rain"}}]
WITH_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}{% if loud %}LOUD{% endif %}" + CHATML


def model_with(folder: Path, template: str) -> Path:
    return save_model(folder / "m", byte_level_tokenizer(SPECIAL), template, bos_token="<s>", eos_token="<|im_end|>")


def texts(model: Path, *rows: dict[str, Any], **options: Any) -> list[tuple[str, ...]]:
    """Prompt, chosen and rejected of each pair, decoded."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    chunk = encode(model, *rows, **options)
    assert chunk.fault is None and chunk.counts.num_dropped == 0, chunk
    return [tuple(tokenizer.decode(part, skip_special_tokens=False) for part in pair) for pair in pairs_of(chunk)]


# --- arguments of the template


def test_columns_for_the_template_reach_it_before_constants(tmp_path: Path):
    model = model_with(tmp_path, WITH_TOOLS)
    constant = TemplateOptions(tools=[{"name": "other"}], kwargs={"loud": True})
    rows = [ROW, ROW | {"tools": TOOLS}, ROW | {"tools": json.dumps(TOOLS)}, ROW | {"chat_template_kwargs": {"loud": False}},
            ROW | {"tools": None, "chat_template_kwargs": None}]  # fmt: skip
    plain = texts(model, ROW)[0][0]
    assert [prompt for prompt, *_ in texts(model, *rows)] == [
        plain,
        json.dumps(TOOLS) + plain,
        json.dumps(TOOLS) + plain,
        plain,
        plain,
    ]
    assert [prompt for prompt, *_ in texts(model, *rows, template=constant)] == [
        '[{"name": "other"}]LOUD' + plain,
        json.dumps(TOOLS) + "LOUD" + plain,
        json.dumps(TOOLS) + "LOUD" + plain,
        '[{"name": "other"}]' + plain,
        '[{"name": "other"}]LOUD' + plain,
    ]


def test_arguments_that_the_template_does_not_take_are_named(chatml: Path):
    row = ROW | {"tools": TOOLS, "chat_template_kwargs": {"loud": True}}
    assert encode(chatml, ROW, row).counts.unread == {
        "tools, which the chat template does not take": "train.jsonl:2",
        "loud, which the chat template does not take": "train.jsonl:2",
    }
    text = {"prompt": "a", "chosen": "b", "rejected": "c", "tools": TOOLS}
    assert encode(chatml, text).counts.unread == {"arguments of the chat template, beside plain text": "train.jsonl:1"}


def test_the_arguments_that_a_template_takes_are_those_it_does_not_set_itself():
    template = (
        "{% if not tools is defined %}{% set tools = none %}{% endif %}{% set x = 1 %}{{ x }}{% for m in messages %}"
        "{% generation %}{{ y }}{% endgeneration %}{% continue %}{% endfor %}"
    )
    assert variables_of(template) >= {"tools", "messages", "y"} and "x" not in variables_of(template)


def test_a_template_may_not_be_given_what_it_gets_anyway(chatml: Path):
    row = ROW | {"chat_template_kwargs": {"messages": []}}
    assert encode(chatml, row).counts.dropped == {DropReason.MALFORMED: 1}


def test_the_template_for_tools_is_taken_where_there_are_tools(tmp_path: Path):
    named = [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": WITH_TOOLS}]
    model = save_model(tmp_path / "m", byte_level_tokenizer(SPECIAL), eos_token="<|im_end|>", chat_template=named)
    plain, with_tools = texts(model, ROW, ROW | {"tools": TOOLS})
    assert with_tools == (json.dumps(TOOLS) + plain[0], *plain[1:])


def test_an_absent_content_is_absent(tmp_path: Path):
    model = model_with(
        tmp_path,
        "{% for m in messages %}{{ m.role }}{{ '!' if m.content is defined else '?' }}{{ m.content }};{% endfor %}",
    )
    calls = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "rain"}}]}
    assert texts(model, ROW | {"chosen": [calls, assistant("wet")]})[0][1].startswith("assistant?;assistant!wet;")


def test_the_date_is_one_for_all_rows_and_recorded(tmp_path: Path):
    model = model_with(tmp_path, "{{ strftime_now('%d %b %Y') }}" + CHATML)
    lines = write_lines(tmp_path / "a.jsonl", [ROW])
    for name, options in (
        ("a", ["--template-date", "2026-07-26"]),
        ("b", ["--template-date", "2026-07-26"]),
        ("c", []),
    ):
        done = run(model, lines, tmp_path / f"{name}.h5", *options)
        assert done.returncode == 0 and "the chat template writes the date" in done.stdout, done
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["template_date"] == "2026-07-26T00:00:00"
        text = Tokenizer.from_file(str(model / "tokenizer.json")).decode(file["tokens"][:].tolist())
        assert text.startswith("26 Jul 2026")
    with h5py.File(tmp_path / "c.h5") as file:
        datetime.fromisoformat(file.attrs["template_date"])


def test_a_template_from_a_file_is_the_way_out_of_none(bare: Path, tmp_path: Path):
    lines = write_lines(tmp_path / "a.jsonl", [ROW] * 5)
    done = run(bare, lines, tmp_path / "a.h5")
    assert done.returncode == 2
    assert (
        done.stderr == f"{bare}: chat messages, but the folder has no chat template: --chat-template FILE gives one\n"
    )
    (tmp_path / "t.jinja").write_text("{% for m in messages %}{{ m.content }};{% endfor %}")
    done = run(bare, lines, tmp_path / "a.h5", "--chat-template", str(tmp_path / "t.jinja"))
    assert done.returncode == 0 and f"{bare} has no chat template: copy " in done.stdout, done


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_fingerprint_of_a_template_is_of_its_files_bytes(tmp_path: Path, ending: str):
    content = f"{{# a #}}{ending}{CHATML}{ending}".encode()
    own, given = (save_model(tmp_path / name, byte_level_tokenizer(SPECIAL)) for name in ("own", "given"))
    for file in (own / "chat_template.jinja", tmp_path / "t.jinja"):
        file.write_bytes(content)
    loaded = [
        ModelText.load(own),
        ModelText.load(given, tmp_path / "t.jinja"),
        ModelText.load(own, tmp_path / "t.jinja"),
    ]
    assert {model.chat_template_fingerprint for model in loaded} == {xxhash.xxh3_128_hexdigest(content)}
    assert len({model.chat_templates["default"] for model in loaded}) == 1
    folders = [model.folder_template_fingerprint for model in loaded]
    assert folders == [loaded[0].chat_template_fingerprint, None, loaded[0].chat_template_fingerprint]


# --- where the prompt ends

TURNS = ("{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}<|im_end|>{% else %}"
         "{{ m.content.split('</think>')[-1] }}<s>{% endif %}{% endfor %}{% if add_generation_prompt %}")  # fmt: skip
THOUGHTFUL = ROW | {"chosen": [assistant("<think>\nthe sky\n</think>\n\nyes")]}


DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"


@pytest.mark.parametrize("before", ["", "<s>", DEFAULT_SYSTEM])
def test_what_stands_before_the_assistants_words_is_the_prompt_of_a_row_without_one(tmp_path: Path, before: str):
    written = {DEFAULT_SYSTEM: "<|im_start|>system\nBe kind.<|im_end|>\n"}.get(before, before)
    model = model_with(tmp_path, before + CHATML)
    pairs = [(f"{written}<|im_start|>assistant\n", "yes<|im_end|>\n", "no<|im_end|>\n")] * 2
    assert texts(model, ROW | {"prompt": []}, {name: ROW[name] for name in ("chosen", "rejected")}) == pairs


@pytest.mark.parametrize("opening", ["<think>\n", "<think>", ""])
def test_a_generation_prompt_that_opens_a_thought_is_no_part_of_an_answer_without(tmp_path: Path, opening: str):
    model = model_with(tmp_path, TURNS + opening + "{% endif %}")
    assert texts(model, THOUGHTFUL) == [("<|im_start|>Is it blue?<|im_end|>", "\n\nyes<s>", "no<s>")]
    counts = encode(model, THOUGHTFUL, ROW).counts
    assert counts.noted == {Noted.LOST_TEXT: 1}
    assert (
        counts.examples[Noted.LOST_TEXT] == f"train.jsonl:1: {'<think>' + chr(10) + 'the sky' + chr(10) + '</think>'!r}"
    )


def test_thoughts_that_the_template_writes_stay(tmp_path: Path):
    model = model_with(tmp_path, CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}"))
    both = THOUGHTFUL | {"rejected": [assistant("<think>\nthe sea\n</think>\n\nno")]}
    ((prompt, chosen, _),) = texts(model, both)
    assert prompt.endswith("assistant\n<think>\n") and chosen.startswith("the sky\n</think>")
    assert encode(model, both).counts.noted == {}


def test_a_closed_block_without_thoughts_stands_before_the_answer(tmp_path: Path):
    off = "{% if add_generation_prompt and quiet %}<think>\n\n</think>\n\n{% endif %}"
    model = model_with(tmp_path, CHATML + off)
    ((prompt, chosen, _),) = texts(model, ROW | {"chat_template_kwargs": {"quiet": True}})
    assert prompt.endswith("assistant\n<think>\n\n</think>\n\n") and chosen == "yes<|im_end|>\n"


def test_what_differs_is_shown_where_a_conversation_has_another_prompt(tmp_path: Path):
    model = model_with(tmp_path, "{{ messages | length }}" + CHATML)
    counts = encode(model, ROW).counts
    assert counts.dropped == {DropReason.BOUNDARY: 1}
    assert counts.examples[DropReason.BOUNDARY].startswith("train.jsonl:1: the prompt goes on with '1<|im_start|>")


# As Mistral's: the system's text stands in the last message, as long as that is the user's.
LATE_SYSTEM = (
    "{% set system = 'Be kind.' %}{% for m in messages %}{% if m.role == 'user' %}<|im_start|>"
    "{{ system + ' ' if loop.last }}{{ m.content }}<|im_end|>{% else %}{{ m.content }}<s>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("question", ["Is it blue?", "why", ""])
def test_no_prompt_ends_inside_the_last_question(tmp_path: Path, question: str):
    model = model_with(tmp_path, LATE_SYSTEM)
    talk = [user("Is it blue? why"), assistant("yes"), user(question)]
    assert encode(model, ROW | {"prompt": talk}).counts.dropped == {DropReason.BOUNDARY: 1}


def test_a_reasoning_field_that_the_template_does_not_write_is_lost_text(chatml: Path):
    counts = encode(chatml, ROW | {"chosen": [assistant("yes") | {"reasoning_content": "the sky"}]}).counts
    assert counts.examples[Noted.LOST_TEXT] == "train.jsonl:1: 'the sky'"


# --- whose tokens count

AGENT = {
    "prompt": [user("Is it blue?")],
    "chosen": [
        assistant("rain"),
        {"role": "tool", "content": "the sea"},
        assistant("yes"),
        user("why"),
        assistant("deep"),
    ],
    "rejected": [assistant("no")],
}
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>\n"
    "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def labelled(model: Path, row: dict[str, Any], **options: Any) -> list[str]:
    """The runs of tokens of the first pair that count, decoded."""
    chunk = encode(model, row, labelled=Labelled.ASSISTANT, **options)
    assert chunk.fault is None and len(chunk.lengths) == 1, chunk.counts
    assert not chunk.is_labelled[: chunk.lengths[0][0]].any()
    tokenizer, runs, before = Tokenizer.from_file(str(model / "tokenizer.json")), [], False
    num_kept = int(chunk.lengths[0][:2].sum())
    for token, counts in zip(chunk.tokens[:num_kept].tolist(), chunk.is_labelled[:num_kept], strict=True):
        if counts:
            runs = [*runs[:-1], [*runs[-1], token]] if before else [*runs, [token]]
        before = bool(counts)
    return [tokenizer.decode(run, skip_special_tokens=False) for run in runs]


@pytest.mark.parametrize("template", [CHATML, MARKED], ids=["by turns", "by marks"])
def test_only_the_assistants_turns_count(tmp_path: Path, template: str):
    model = model_with(tmp_path, template)
    assert labelled(model, AGENT) == [f"{text}<|im_end|>\n" for text in ("rain", "yes", "deep")]
    (all_of_it,), (of_assistant,) = (
        pairs_of(encode(model, AGENT)),
        pairs_of(encode(model, AGENT, labelled=Labelled.ASSISTANT)),
    )
    assert all_of_it == of_assistant


def test_labels_equal_those_of_transformers(tmp_path: Path):
    from transformers import AutoTokenizer

    model = model_with(tmp_path, MARKED)
    chunk = encode(model, AGENT, labelled=Labelled.ASSISTANT)
    right = AutoTokenizer.from_pretrained(model).apply_chat_template(
        AGENT["prompt"] + AGENT["chosen"], return_assistant_tokens_mask=True, return_dict=True
    )
    assert chunk.is_labelled[: len(right["input_ids"])].tolist() == right["assistant_masks"]


def test_a_response_of_one_turn_counts_whole_and_keeps_its_id(chatml: Path):
    first, second = encode(chatml, ROW), encode(chatml, ROW, labelled=Labelled.ASSISTANT)
    assert second.is_labelled[second.lengths[0][0] :].all()
    assert (first.pair_id == second.pair_id).all()
    assert (encode(chatml, AGENT).pair_id != encode(chatml, AGENT, labelled=Labelled.ASSISTANT).pair_id).any()


def test_turns_that_are_written_in_another_way_later_need_marks(tmp_path: Path):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ '' if loop.last else '…' }}{{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    row = AGENT | {"chosen": AGENT["chosen"][:3]}
    counts = encode(model_with(tmp_path, template), row, labelled=Labelled.ASSISTANT).counts
    assert counts.dropped == {DropReason.BOUNDARY: 1}


def test_text_of_a_conversation_counts_between_marks(chatml: Path):
    talk = "\n\nHuman: Is it blue?\n\nAssistant:"
    row = {"chosen": f"{talk} yes\n\nHuman: why\n\nAssistant: deep", "rejected": f"{talk} no"}
    assert labelled(chatml, row) == [" yes", " deep<|im_end|>"]


@pytest.mark.parametrize(
    ("chosen", "counting"),
    [("yes", ["yes<|im_end|>"]), ("yes\n\nHuman: why", ["yes"]), ("yes\n\nHuman: why\n\nAssistant: deep", ["yes", " deep<|im_end|>"])],
)  # fmt: skip
def test_the_end_that_a_text_gets_counts_as_its_last_token_does(chatml: Path, chosen: str, counting: list[str]):
    assert labelled(chatml, {"prompt": "Is it blue?", "chosen": chosen, "rejected": "no"}) == counting


HEADINGS = ["Input: 3", "Question: what?", "Context:", "### Instruction:", "System: on", "Tool: a saw", "Q: why"]


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize("prompt", ["Explain it.", "Explain it.\nInput: 2\nOutput: 4\nAnd 3?", ""])
def test_headings_of_a_plain_answer_count(chatml: Path, prompt: str, heading: str):
    answer = f"Of course.\n{heading}\nNow you know.\n"
    row = {"prompt": prompt, "chosen": answer, "rejected": "no"}
    assert labelled(chatml, row) == [answer + "<|im_end|>"]


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("Be kind.\n\n### Instruction:\nAdd.\n\n### Response:\n", ""),
        ("Question: Is it blue?\nAnswer:", ""),
        ("Question: Is it blue?", "\nAnswer:"),
    ],
)
def test_marks_of_other_speakers_end_the_assistants_words_where_the_prompt_bears_marks(
    chatml: Path, prompt: str, mark: str, heading: str
):
    row = {"prompt": prompt, "chosen": f"{mark} yes\n{heading}\nAssistant: deep", "rejected": f"{mark} no"}
    assert labelled(chatml, row) == [f"{mark} yes", " deep<|im_end|>"]


def test_a_line_of_the_users_ends_the_assistants_words_in_any_text(chatml: Path):
    row = {"prompt": "Is it blue?", "chosen": "yes\n\nHuman: why\n\nAssistant: deep", "rejected": "no"}
    assert labelled(chatml, row) == ["yes", " deep<|im_end|>"]


def test_a_cut_may_leave_no_token_that_counts(chatml: Path):
    row = AGENT | {"chosen": [{"role": "assistant", "content": ""}, *AGENT["chosen"][1:]]}
    length = len(encode(chatml, ROW).tokens)
    chunk = encode(chatml, row, labelled=Labelled.ASSISTANT, overlong=Overlong.CUT_RESPONSE, max_length=length)
    assert chunk.counts.cut == {CutPart.RESPONSE: 1} and chunk.counts.num_written == 1


def test_the_file_says_which_tokens_count(chatml: Path, tmp_path: Path):
    lines = write_lines(tmp_path / "a.jsonl", [AGENT, ROW])
    done = run(chatml, lines, tmp_path / "a.h5", "--label", "assistant", "--max-length", "200")
    assert done.returncode == 0, done.stderr
    chunk = encode(chatml, AGENT, ROW, labelled=Labelled.ASSISTANT)
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file.attrs["format_version"], file.attrs["labelled"]) == (2, "assistant")
        assert file["is_labelled"].dtype == "u1" and file["is_labelled"][:].tolist() == chunk.is_labelled.tolist()
        for i, begin in enumerate(file["offsets"][:-1].tolist()):
            prompt, chosen, rejected = (int(file[f"num_{part}_tokens"][i]) for part in ("prompt", "chosen", "rejected"))
            flags = file["is_labelled"][begin : begin + prompt + chosen + rejected]
            assert file["num_labelled_chosen_tokens"][i] == flags[prompt : prompt + chosen].sum()
            assert file["num_labelled_rejected_tokens"][i] == flags[prompt + chosen :].sum()
