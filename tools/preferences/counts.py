"""What became of the rows, by reason, with an example of each."""

import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import shown


class DropReason(StrEnum):
    """Why a row was left out."""

    MALFORMED = "malformed"  # no row of any form that is known: a value of another kind, columns that contradict
    NULL = "null"  # a column that is there has no value
    EMPTY_PROMPT = "empty_prompt"  # and the tokenizer has no BOS to stand for it
    EMPTY_RESPONSE = "empty_response"
    FOREIGN_TURN = "foreign_turn"  # a response begins with another turn than the assistant's
    IDENTICAL_RESPONSES = "identical_responses"  # after any cut
    TEMPLATE = "template"  # the chat template refuses the conversation
    BOUNDARY = "boundary"  # prompt and response have no border in the text or between its tokens
    UNLABELLED = "unlabelled"  # no token of a response is the assistant's
    OVER_LONG = "over_long"


class CutPart(StrEnum):
    """What was shortened in a pair that was kept."""

    PROMPT = "prompt"
    RESPONSE = "response"


class Noted(StrEnum):
    """What is worth knowing of a pair that was kept."""

    LOST_TEXT = "lost_text"  # the chat template does not write a part of a response
    BORDER = "border"  # the prompt alone has other tokens; one that spans the border went to the response
    REPEATED_PROMPT = "repeated_prompt"  # both responses begin with the prompt's text


class RowLost(Exception):
    """Leaves one row out: carries the reason, and what is wrong with which column, to the loop over all rows."""

    def __init__(self, reason: DropReason, detail: str = ""):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def malformed(column: str, value: object, expected: str) -> RowLost:
    """A row with a value that nothing can be made of."""
    return RowLost(DropReason.MALFORMED, f"{column}: {shown(value)}: {expected}")


@dataclass
class Counts:
    """Rows read = pairs written + rows dropped. `examples` has of each reason what was met first."""

    num_written: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)
    cut: Counter[CutPart] = field(default_factory=Counter)
    noted: Counter[Noted] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)  # columns and arguments that nothing reads, with an example
    writes_date: bool = False  # a chat template asked for the date

    @property
    def num_dropped(self) -> int:
        return self.dropped.total()

    @property
    def num_read(self) -> int:
        return self.num_written + self.num_dropped

    def drop(self, reason: DropReason, place: str, detail: str = "") -> None:
        self.dropped[reason] += 1
        self._exemplify(reason, place, detail)

    def write(self, cut: set[CutPart], place: str) -> None:
        self.num_written += 1
        for part in cut:
            self.cut[part] += 1
            self._exemplify(part, place)

    def note(self, what: Noted, place: str, detail: str) -> None:
        self.noted[what] += 1
        self._exemplify(what, place, detail)

    def leave_unread(self, name: str, place: str) -> None:
        self.unread.setdefault(name, place)

    def add(self, later: "Counts") -> None:
        """Adds the counts of rows that come after these."""
        self.num_written += later.num_written
        self.dropped.update(later.dropped)
        self.cut.update(later.cut)
        self.noted.update(later.noted)
        self.examples = later.examples | self.examples
        self.unread = later.unread | self.unread
        self.writes_date = self.writes_date or later.writes_date

    def to_json(self) -> str:
        """Every reason of the closed sets, also those not met."""
        groups = {"dropped": (DropReason, self.dropped), "cut": (CutPart, self.cut), "noted": (Noted, self.noted)}
        counted = {name: {item.value: number[item] for item in kinds} for name, (kinds, number) in groups.items()}
        return json.dumps({"read": self.num_read, "written": self.num_written, **counted})

    def table(self) -> str:
        """A line for each thing that happened, with its first example."""
        lines = [("read", self.num_read, ""), ("written", self.num_written, "")]
        for name, kinds, number in (
            ("dropped", DropReason, self.dropped),
            ("cut", CutPart, self.cut),
            ("noted", Noted, self.noted),
        ):
            lines += [(f"{name}: {item}", number[item], self.examples[item]) for item in kinds if number[item]]
        return "\n".join(
            f"{name:<30}{number:>12,}" + (f"   first at {example}" if example else "")
            for name, number, example in lines
        )

    def reasons(self) -> str:
        """The reasons for which rows were left out, the most frequent first: "over_long 3, template 1"."""
        return ", ".join(f"{reason} {number:,}" for reason, number in self.dropped.most_common())

    def _exemplify(self, key: str, place: str, detail: str = "") -> None:
        if key not in self.examples:
            example = f"{place}: {detail}" if detail else place
            self.examples[key] = example.replace("\n", "\\n")
