"""Chat messages -> the text of prompt and responses, as the model folder's template writes them."""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from .counts import DropReason, RowLost
from .errors import InputError, shown
from .messages import Message
from .model_text import ModelText
from .options import TemplateOptions
from .prompts import Turns
from .rows import PreferenceRow

Span = tuple[int, int]  # [begin, end) of characters
# A text that no template treats in a way of its own, and no data set has.
_PROBE = "\ue000\ue001"
_EMPTY_BLOCK = re.compile(r"\s*<(\w+)>\s*</\1>\s*")  # "<think>\n\n</think>\n\n": thinking is turned off


@dataclass(frozen=True)
class PairText:
    """Prompt and responses as text. What is tokenized is the prompt with each response, as a whole."""

    prompt: str
    chosen: str
    rejected: str
    is_rendered: bool  # by a template, which has written BOS and ends of turn itself
    # Of each response, where the assistant speaks, counted from the response's beginning; None: all of it counts.
    chosen_spans: list[Span] | None = None
    rejected_spans: list[Span] | None = None
    lost_text: str = ""  # of a response, what the template did not write
    repeats_prompt: bool = False


class FixedDate:
    """Stands for the clock that templates read as `strftime_now`: one moment for all rows, so that equal content is
    equal bytes."""

    def __init__(self, moment: datetime):
        self._moment = moment
        self.was_asked = False

    def now(self) -> datetime:
        self.was_asked = True
        return self._moment


class ChatRenderer:
    """Renders with the library's own renderer, so that a template writes what it writes in transformers."""

    def __init__(self, model: ModelText, options: TemplateOptions, labels_assistant: bool):
        self._model = model
        self._options = options
        self._labels_assistant = labels_assistant
        self.date = FixedDate(options.moment)

    def render(self, row: PreferenceRow, turns: Turns) -> PairText:
        """Throws RowLost with the template's own words when it refuses the conversation, or where the conversation does
        not begin with its prompt; InputError when there is no template, or it is not one."""
        # Imported here, since it takes half a second and text without chat needs none of it.
        from jinja2 import TemplateSyntaxError

        tools = self._tools(row)
        template = self._model.chat_template(with_tools=tools is not None)
        arguments = {**self._model.special_tokens, **self._options.kwargs, **row.template_kwargs, "tools": tools}
        conversation = _Conversation(template, arguments, self.date)
        try:
            return self._pieces(conversation, turns)
        except TemplateSyntaxError as error:
            raise InputError(f"{self._model.template_place}: chat template: {error}: a valid template") from None
        except (RowLost, InputError):
            raise
        except Exception as error:  # a template may run into whatever Python can raise
            raise RowLost(DropReason.TEMPLATE, f"{error}" or type(error).__name__) from None

    def unread_arguments(self, row: PreferenceRow) -> list[str]:
        """What this row gives to the template, which does not take it."""
        tools = self._tools(row)
        given = [*(["tools"] if tools else []), *self._options.kwargs, *row.template_kwargs]
        if not given:
            return []
        taken = variables_of(self._model.chat_template(with_tools=tools is not None))
        return [name for name in given if name not in taken]

    def _tools(self, row: PreferenceRow) -> list[dict[str, Any]] | None:
        return self._options.tools if row.tools is None else row.tools

    def _pieces(self, conversation: "_Conversation", turns: Turns) -> PairText:
        talks = [turns.prompt + turns.chosen, turns.prompt + turns.rejected]
        texts = [conversation.render(talk) for talk in talks]
        prompt, begin = self._prompt(conversation, turns.prompt, texts)
        lost = next(filter(None, map(_lost_text, (turns.chosen, turns.rejected), texts, [begin] * 2)), "")
        spans = [None, None]
        if self._labels_assistant:
            spans = [conversation.assistant_spans(talk, text, len(turns.prompt), begin)
                     for talk, text in zip(talks, texts, strict=True)]  # fmt: skip
        chosen, rejected = (text[begin:] for text in texts)
        return PairText(prompt, chosen, rejected, True, *spans, lost_text=lost)

    def _prompt(self, conversation: "_Conversation", messages: list[Message], texts: list[str]) -> tuple[str, int]:
        """The prompt's text, and where the responses begin in both conversations: after what these and the rendered prompt
        have in common. Throws RowLost when that does not hold all messages of the prompt."""
        if not messages:
            # What the template writes before the assistant's words, such as a system turn of its own, is not theirs.
            prompt = os.path.commonprefix([_before_answer(conversation, messages), *texts])
            return prompt, len(prompt)
        prompt = conversation.render(messages, add_generation_prompt=True)
        if all(text.startswith(prompt) for text in texts):
            return prompt, len(prompt)
        # The generation prompt may say more than the conversation has.
        common = os.path.commonprefix([prompt, _before_answer(conversation, messages), *texts])
        if not common or not common.startswith(conversation.render(messages).rstrip()):
            begin = len(os.path.commonprefix([prompt, *texts]))
            after = next(text for text in texts if not text.startswith(prompt))
            detail = f"the prompt goes on with {shown(prompt[begin:])}, the conversation with {shown(after[begin:])}"
            raise RowLost(DropReason.BOUNDARY, detail)
        # A block without reasoning stands before every answer. A block that is only opened waits for reasoning, which
        # the conversation does not have there.
        is_closed = _EMPTY_BLOCK.fullmatch(prompt[len(common) :])
        return prompt if is_closed else common, len(common)


class _Conversation:
    """One template with the arguments of one row."""

    def __init__(self, template: str, arguments: dict[str, Any], date: FixedDate):
        self._template = template
        self._arguments = arguments
        self._date = date

    def render(self, messages: list[Message], **options: Any) -> str:
        return self._rendered(messages, **options)[0][0]

    def assistant_spans(self, talk: list[Message], text: str, num_prompt_messages: int, begin: int) -> list[Span]:
        """Where the assistant speaks in the response that begins at character `begin` of the conversation `text`: by
        the template's own marks, else from the end of what was said before to the end of the turn. Throws RowLost
        when neither can be told."""
        if marks_assistant(self._template):
            spans = self._rendered(talk, return_assistant_tokens_mask=True)[1][0]
        else:
            turns = [i for i in range(num_prompt_messages, len(talk)) if talk[i]["role"] == "assistant"]
            spans = [
                self._turn_span(talk, text, index, begin if index == num_prompt_messages else None) for index in turns
            ]
        return [(max(first, begin) - begin, end - begin) for first, end in spans if end > begin]

    def _turn_span(self, talk: list[Message], text: str, index: int, begin: int | None) -> Span:
        """Of message `index`, which begins at character `begin` where that is known."""
        is_last = index == len(talk) - 1
        through = text if is_last else self.render(talk[: index + 1])
        before = text[:begin] if begin is not None else self.render(talk[:index], add_generation_prompt=True)
        # The generation prompt alone may say more than the conversation has.
        is_there = text.startswith(before) or text.startswith(self.render(talk[:index]))
        if not is_there or not text.startswith(through):
            detail = f"message {index + 1} is rendered in another way when more follow: mark it by {{% generation %}}"
            raise RowLost(DropReason.BOUNDARY, detail)
        return len(os.path.commonprefix([before, text])), len(through)

    def _rendered(self, messages: list[Message], **options: Any) -> Any:
        from transformers.utils import chat_template_utils as library

        # The library lets nothing be called that is given to a template, and its own clock is today's.
        clock, library.datetime = library.datetime, self._date
        try:
            return library.render_jinja_template([messages], chat_template=self._template, **self._arguments, **options)
        finally:
            library.datetime = clock


def _before_answer(conversation: _Conversation, messages: list[Message]) -> str:
    """What the template writes up to the words of an answer to these messages."""
    return conversation.render([*messages, {"role": "assistant", "content": _PROBE}]).partition(_PROBE)[0]


def _lost_text(response: list[Message], conversation: str, begin: int) -> str:
    """What the template does not write of the assistant's texts in the response that begins at character `begin`: the
    beginning of the first one that is not there, or all of it."""
    for message in response:
        if message["role"] != "assistant":
            continue
        texts = [message.get(key) for key in ("reasoning_content", "reasoning", "thinking", "content")]
        texts += [call.get("function", call).get("name") for call in message.get("tool_calls", [])]
        for text in texts:
            lost = _unwritten(text.strip(), conversation, begin) if isinstance(text, str) else ""
            if lost:
                return lost
    return ""


def _unwritten(text: str, conversation: str, begin: int) -> str:
    """What must be taken from the beginning of `text`, word by word, so that the rest stands in the conversation and
    ends in the response. Bisected: what is left of a text that stands there does so too."""
    if _ends_in_response(text, conversation, begin):
        return ""
    starts = [found.start() for found in re.finditer(r"\S+", text)] + [len(text)]
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if _ends_in_response(text[starts[middle] :], conversation, begin):
            high = middle
        else:
            low = middle + 1
    return text[: starts[low]].rstrip()


def _ends_in_response(text: str, conversation: str, begin: int) -> bool:
    place = conversation.rfind(text)
    return place >= 0 and place + len(text) > begin


@lru_cache
def _parsed(template: str) -> tuple[frozenset[str], bool]:
    """The names that a template takes from outside, and whether it marks the assistant's words."""
    from jinja2 import Environment, TemplateSyntaxError, meta, nodes
    from jinja2.ext import Extension

    has_marks = False

    class Generation(Extension):
        """Knows the block that marks the assistant's words, and notes that there is one."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            nonlocal has_marks
            has_marks = True
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)

    try:
        tree = Environment(extensions=[Generation, "jinja2.ext.loopcontrols"]).parse(template)
    except TemplateSyntaxError:
        return frozenset(), False
    return frozenset(meta.find_undeclared_variables(tree)), has_marks


def variables_of(template: str) -> frozenset[str]:
    """The names that a template takes from outside."""
    return _parsed(template)[0]


def marks_assistant(template: str) -> bool:
    """Whether the template has blocks {% generation %} around the assistant's words."""
    return _parsed(template)[1]
