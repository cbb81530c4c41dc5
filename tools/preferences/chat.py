"""Chat messages -> the text of prompt and responses, as the model folder's template writes them."""

from dataclasses import dataclass
from typing import Any

from .counts import DropReason
from .errors import Problem
from .model_text import ModelText
from .prompts import Turns
from .rows import Message, RowProblem


@dataclass(frozen=True)
class PairText:
    """The pieces that are tokenized each on its own, so that no token spans prompt and response."""

    prompt: str
    chosen: str
    rejected: str
    is_rendered: bool  # by a template, which has written BOS and ends of turn itself


class ChatRenderer:
    """Renders with the library's own renderer, so that training sees what inference will send."""

    def __init__(self, model: ModelText):
        self._model = model

    def render(self, place: str, turns: Turns) -> PairText | DropReason:
        """Throws RowProblem when there is no template, or it is not one."""
        # Imported here, since it takes half a second and text without chat needs none of it.
        from jinja2 import TemplateError, TemplateSyntaxError

        if self._model.chat_template is None:
            expected = "text, or a model folder with a chat template"
            raise RowProblem(Problem(place, "chat messages", f"{expected} ({self._model.folder} has none)"))
        try:
            return self._pieces(turns)
        except TemplateSyntaxError as error:
            problem = Problem(f"{self._model.folder}: chat template", str(error), "a valid template")
            raise RowProblem(problem) from None
        except (TemplateError, TypeError, KeyError, ValueError):
            return DropReason.TEMPLATE

    def _pieces(self, turns: Turns) -> PairText | DropReason:
        answers = turns.chosen[0]["role"] == turns.rejected[0]["role"] == "assistant"
        chosen, rejected = self._render([turns.prompt + turns.chosen, turns.prompt + turns.rejected])
        if turns.prompt:
            (prompt,) = self._render([turns.prompt], add_generation_prompt=answers)
        else:
            # Responses without anything before them: what the template puts before every conversation is BOS at most.
            bos = self._model.special_tokens.get("bos_token", "")
            prompt = bos if chosen.startswith(bos) and rejected.startswith(bos) else ""
        if not (chosen.startswith(prompt) and rejected.startswith(prompt)):
            return DropReason.BOUNDARY
        return PairText(prompt, chosen[len(prompt) :], rejected[len(prompt) :], is_rendered=True)

    def _render(self, conversations: list[list[Message]], **options: Any) -> list[str]:
        from transformers.utils.chat_template_utils import render_jinja_template

        template, tokens = self._model.chat_template, self._model.special_tokens
        return render_jinja_template(conversations, chat_template=template, **options, **tokens)[0]
