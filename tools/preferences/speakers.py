"""Where the prompt ends in text that has no prompt column, and whose words are whose in it.

Text of conversations bears speakers' marks: "\\n\\nHuman: ...\\n\\nAssistant: ...", "### Response:", or those of a chat
template that was applied already.
"""

import os
import re
import unicodedata
from dataclasses import dataclass

_ASSISTANTS = r"(?:assistant|ai|bot|chatbot|gpt|model|response|answer|output|a)"
_OTHERS = r"(?:human|user|system|question|instruction|input|context|tool|observation|q)"
# At the beginning of a line: a name and a colon. Anywhere: what templates write.
_LINE_MARK = r"(?:^|(?<=\n))[ \t]*(?:\#+[ \t]*|\*\*)?{names}[ \t]*:(?:\*\*)?"
_MARKS = re.compile(
    rf"""
    (?P<assistant>
        {_LINE_MARK.format(names=_ASSISTANTS)}
      | <\|im_start\|>assistant\n? | <\|(?:assistant|ai|bot)\|>\n? | \[/INST\]
      | <\|start_header_id\|>assistant<\|end_header_id\|>(?:\n\n)?
      | <start_of_turn>model\n? | <｜Assistant｜>
    )
  | (?P<other>
        {_LINE_MARK.format(names=_OTHERS)}
      | <\|im_start\|>(?:user|system|tool)\n? | <\|(?:user|human|system)\|>\n? | \[INST\]
      | <\|start_header_id\|>(?:user|system|ipython)<\|end_header_id\|>(?:\n\n)?
      | <start_of_turn>user\n? | <｜User｜>
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_USER = re.compile(r"human|user|\[INST\]", re.IGNORECASE)


@dataclass(frozen=True)
class Mark:
    """Where a speaker's turn begins in a text: [begin, end) is the mark, the speaker's words follow."""

    begin: int
    end: int
    is_assistant: bool
    is_user: bool = False  # by a name that no heading of an answer has


def marks_of(text: str) -> list[Mark]:
    return [_mark(found) for found in _MARKS.finditer(text)]


def first_mark(text: str) -> Mark | None:
    """The mark that a text begins with, after blanks, if it does; begin and end are counted from after the blanks."""
    found = _MARKS.match(text.lstrip())
    return None if found is None else _mark(found)


def _mark(found: re.Match[str]) -> Mark:
    return Mark(found.start(), found.end(), found["assistant"] is not None, _USER.search(found[0]) is not None)


def text_border(chosen: str, rejected: str) -> tuple[int, Mark | None]:
    """How long the prompt is that two texts have in common, and the mark that it ends with. In a conversation, which has
    a mark of the assistant's, it ends with the last mark that both texts have, else between words; spaces before the
    first word of the responses are theirs, and each response keeps something."""
    marks, rejected_marks = marks_of(chosen), marks_of(rejected)
    if any(mark.is_assistant for mark in (*marks, *rejected_marks)):
        common = len(os.path.commonprefix([chosen, rejected]))
        # The same mark in both texts, not one that is the beginning of the other.
        shared = [mark for mark in marks if mark.end <= common and mark in rejected_marks]
        if shared:
            return shared[-1].end, shared[-1]
    common = common_length(chosen, rejected)
    end = next((end for end in range(common, 0, -1) if _is_between_words(chosen, rejected, end)), 0)
    while end > 0 and chosen[end - 1] == " ":
        end -= 1
    return end, None


def is_conversation(prompt: str) -> bool:
    """Whether the turns of a text with this prompt bear marks: it begins with one, or ends with the assistant's."""
    marks = marks_of(prompt.rstrip())
    ends_with_assistant = bool(marks) and marks[-1].is_assistant and not prompt[marks[-1].end :].strip()
    return ends_with_assistant or first_mark(prompt) is not None


def assistant_spans(prompt: str, response: str) -> list[tuple[int, int]]:
    """[begin, end) of the assistant's words in a response: all up to the lines of another speaker, and what follows
    each mark of the assistant's own. Where the prompt bears no marks, only a user's line is another speaker's: an answer
    may have headings such as "Input:"."""
    spans, begin, has_marks = [], 0, is_conversation(prompt)
    for mark in marks_of(response):
        if begin is not None and not mark.is_assistant and (has_marks or mark.is_user):
            spans.append((begin, begin + len(response[begin : mark.begin].rstrip("\n"))))
            begin = None
        elif begin is None and mark.is_assistant:
            begin = mark.end
    return spans if begin is None else [*spans, (begin, len(response))]


def common_length(first: str, second: str) -> int:
    """How long the common beginning is, when each is to keep at least its last character. Bisected: texts can be long."""
    low, high = 0, max(0, min(len(first), len(second)) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_between_words(chosen: str, rejected: str, end: int) -> bool:
    before = chosen[end - 1]
    return all(
        before.isspace() or after.isspace() or _part_anywhere(before, after) for after in (chosen[end], rejected[end])
    )


def _part_anywhere(before: str, after: str) -> bool:
    """Whether two characters may be parted in a script that writes no spaces: Chinese and Japanese."""
    return (_is_ideograph(before) or _is_ideograph(after)) and not unicodedata.combining(after)


def _is_ideograph(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA"))
