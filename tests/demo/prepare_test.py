"""Labels, and evaluation snippets that training never sees."""

import dataclasses
import json
from pathlib import Path

import pytest
from demo import prepare as prepare_module
from demo.prepare import PROMPT, PairOptions, agreement, prepare
from demo.source import Snippet

OPTIONS = PairOptions(seed=3, num_held_out=20, train_rounds=2, eval_rounds=2)


def snippets(count: int = 100) -> list[Snippet]:
    """Snippet i is rated i/10 - 5 and around there."""
    return [Snippet(f"snippet {i}", tuple(round(i / 10 - 5) + k for k in (-1, 0, 0, 1))) for i in range(count)]


def texts(rows: list[dict[str, object]]) -> set[object]:
    return {row[key] for row in rows for key in ("chosen", "rejected")}


def test_agreement_counts_rater_pairs_and_ties_half():
    first, second = Snippet("a", (3, 1)), Snippet("b", (1, 2))
    # 3 > 1, 3 > 2, 1 = 1, 1 < 2
    assert agreement(first, second) == pytest.approx(2.5 / 4)
    assert agreement(second, first) == pytest.approx(1.5 / 4)


def test_agreement_takes_raters_of_different_number():
    assert agreement(Snippet("a", (4,)), Snippet("b", (1, 2, 4, 5))) == pytest.approx(2.5 / 4)


def test_chosen_is_what_raters_liked_better_and_the_label_how_many():
    ratings = {f" {snippet.text}": snippet for snippet in snippets()}
    text = prepare(snippets(), OPTIONS)
    rows = text.dpo_train + text.dpo_eval
    assert rows
    for row in rows:
        assert row["prompt"] == PROMPT
        assert row["label"] == agreement(ratings[row["chosen"]], ratings[row["rejected"]]) >= 0.7


def test_pairs_that_raters_do_not_tell_apart_are_left_out():
    alike = [Snippet(f"snippet {i}", (1, 2)) for i in range(100)]
    text = prepare(alike, OPTIONS)
    assert text.dpo_train == text.dpo_eval == []


def test_held_out_snippets_are_in_no_training_row():
    text = prepare(snippets(), OPTIONS)
    held_out = {row["chosen"] for row in text.sft_eval}
    assert len(held_out) == 20
    assert texts(text.dpo_eval) <= held_out
    assert not held_out & {row["chosen"] for row in text.sft_train}
    assert not held_out & texts(text.dpo_train)


def test_every_training_snippet_is_once_in_the_sft_rows():
    text = prepare(snippets(), OPTIONS)
    assert len({row["chosen"] for row in text.sft_train}) == len(text.sft_train) == 80


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    assert prepare(snippets(), OPTIONS) == prepare(snippets(), OPTIONS)
    assert prepare(snippets(), OPTIONS) != prepare(snippets(), dataclasses.replace(OPTIONS, seed=4))


def test_the_step_writes_four_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_module, "read_snippets", lambda _: snippets(3000))
    prepare_module.main(["--source", "unread.tar.gz", "--output", str(tmp_path / "text")])
    names = ["dpo_eval.jsonl", "dpo_train.jsonl", "sft_eval.jsonl", "sft_train.jsonl"]
    assert sorted(file.name for file in (tmp_path / "text").iterdir()) == names
    row = json.loads((tmp_path / "text/dpo_train.jsonl").read_text().splitlines()[0])
    assert set(row) == {"prompt", "chosen", "rejected", "label"}
