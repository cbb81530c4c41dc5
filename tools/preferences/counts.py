"""What became of the rows, by reason."""

import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class DropReason(StrEnum):
    """Why a pair was left out."""

    EMPTY_PROMPT = "empty_prompt"  # and the tokenizer has no BOS to stand for it
    EMPTY_RESPONSE = "empty_response"
    IDENTICAL_RESPONSES = "identical_responses"  # after any cut
    TEMPLATE = "template"  # the chat template refuses the conversation
    BOUNDARY = "boundary"  # the rendered conversation does not begin with the rendered prompt
    OVER_LONG = "over_long"


class CutPart(StrEnum):
    """What was shortened in a pair that was kept."""

    PROMPT = "prompt"
    RESPONSE = "response"


@dataclass
class Counts:
    """Rows read = pairs written + pairs dropped. `first_places` says where each reason was met first."""

    num_written: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)
    cut: Counter[CutPart] = field(default_factory=Counter)
    first_places: dict[str, str] = field(default_factory=dict)

    @property
    def num_read(self) -> int:
        return self.num_written + self.dropped.total()

    def drop(self, reason: DropReason, place: str) -> None:
        self.dropped[reason] += 1
        self.first_places.setdefault(reason, place)

    def write(self, cut: set[CutPart], place: str) -> None:
        self.num_written += 1
        for part in cut:
            self.cut[part] += 1
            self.first_places.setdefault(part, place)

    def add(self, later: "Counts") -> None:
        """Adds the counts of rows that come after these."""
        self.num_written += later.num_written
        self.dropped.update(later.dropped)
        self.cut.update(later.cut)
        self.first_places = later.first_places | self.first_places

    def to_json(self) -> str:
        """Every reason of the closed sets, also those not met."""
        dropped = {reason.value: self.dropped[reason] for reason in DropReason}
        cut = {part.value: self.cut[part] for part in CutPart}
        return json.dumps({"read": self.num_read, "written": self.num_written, "dropped": dropped, "cut": cut})

    def table(self) -> str:
        """A line for each thing that happened."""
        lines = [("read", self.num_read, ""), ("written", self.num_written, "")]
        lines += [
            (f"dropped: {reason}", self.dropped[reason], self.first_places[reason])
            for reason in DropReason
            if self.dropped[reason]
        ]
        lines += [(f"cut: {part}", self.cut[part], self.first_places[part]) for part in CutPart if self.cut[part]]
        return "\n".join(
            f"{name:<30}{number:>12,}" + (f"   first at {place}" if place else "") for name, number, place in lines
        )
