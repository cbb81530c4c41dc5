"""What the user can choose."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Overlong(StrEnum):
    """What happens to a pair whose prompt and longer response exceed max_length tokens together."""

    DROP = "drop"
    CUT_RESPONSE = "cut_response"
    CUT_PROMPT_LEFT = "cut_prompt_left"


@dataclass(frozen=True)
class Column:
    """A column's name, and whether a row without it is wrong: so it is when the user named it."""

    name: str
    is_required: bool = False


@dataclass(frozen=True)
class Columns:
    prompt: Column = Column("prompt")
    chosen: Column = Column("chosen", is_required=True)
    rejected: Column = Column("rejected", is_required=True)
    label: Column = Column("label")
    weight: Column = Column("weight")
    source: Column = Column("source")

    def all(self) -> list[Column]:
        return [self.prompt, self.chosen, self.rejected, self.label, self.weight, self.source]


@dataclass(frozen=True)
class EncodingOptions:
    """All that decides which tokens a row becomes; the workers get this."""

    model: Path
    max_length: int
    overlong: Overlong = Overlong.DROP
    columns: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class TokenizeOptions:
    encoding: EncodingOptions
    inputs: list[Path]
    output: Path
    num_workers: int
