"""What the user can choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Overlong(StrEnum):
    """What happens to a pair whose prompt and longer response exceed max_length tokens together."""

    DROP = "drop"
    CUT_RESPONSE = "cut_response"
    CUT_PROMPT_LEFT = "cut_prompt_left"


class Labelled(StrEnum):
    """Which tokens of a response count in its log-probability and in the loss."""

    ALL = "all"
    ASSISTANT = "assistant"  # user and tool turns inside a response are context


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
    tools: Column = Column("tools")
    chat_template_kwargs: Column = Column("chat_template_kwargs")

    def all(self) -> list[Column]:
        return list(vars(self).values())


@dataclass(frozen=True)
class TemplateOptions:
    """What the chat template gets besides a row's messages. A row's own values come before these."""

    file: Path | None = None  # instead of the model folder's template
    tools: list[dict[str, Any]] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    moment: datetime = field(default_factory=lambda: datetime.combine(datetime.now(), datetime.min.time()))


@dataclass(frozen=True)
class EncodingOptions:
    """All that decides which tokens a row becomes; the workers get this."""

    model: Path
    max_length: int
    overlong: Overlong = Overlong.DROP
    columns: Columns = field(default_factory=Columns)
    labelled: Labelled = Labelled.ALL
    template: TemplateOptions = field(default_factory=TemplateOptions)


@dataclass(frozen=True)
class TokenizeOptions:
    encoding: EncodingOptions
    inputs: list[Path]
    output: Path
    num_workers: int
    is_strict: bool = False  # columns that nothing reads and malformed rows are errors
    max_dropped: float = 0.1  # the share of rows that may be left out
