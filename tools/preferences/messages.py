"""The forms in which data sets write a chat's messages -> the one that chat templates take."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .counts import malformed

Message = dict[str, Any]  # {"role": ..., "content": ...} and whatever else the template may read
Text = str | list[Message]  # plain text, or the messages of a chat

TEXT_OR_MESSAGES = 'text, or a list of messages {"role": ..., "content": ...}'

# What "from" says in the conversations of ShareGPT and its kind.
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "assistant",
}
_KNOWN_ROLES = {*_ROLES, "developer", "function", "ipython"}
# The beginning of messages that somebody wrote as text: JSON's or Python's.
_BEGINS_AS_MESSAGES = re.compile(r"""\[?\s*\{\s*['"](role|from|content|value)['"]\s*:""")
_NAMES_A_ROLE = re.compile(r"""['"](role|from)['"]\s*:\s*['"](\w+)['"]""")


def read_text(column: str, value: object) -> Text:
    """Text as it is; messages of any form, also written as text, in the one form. Throws RowLost, naming the column."""
    if isinstance(value, str):
        require_unicode(column, value)
        messages = _messages_in_text(column, value)
        return value if messages is None else [_message(column, message) for message in messages]
    if isinstance(value, Mapping):
        return [_message(column, value)]
    if not isinstance(value, list):
        raise malformed(column, value, TEXT_OR_MESSAGES)
    return [_message(column, message) for message in value]


def read_tools(column: str, value: object) -> list[dict[str, Any]]:
    """Tool schemas, also written as JSON text. Throws RowLost."""
    expected = "a list of JSON schemas, or its text"
    tools = _parsed(value, json.loads) if isinstance(value, str) else value
    if not isinstance(tools, list):
        raise malformed(column, value, expected)
    tools = [_parsed(tool, json.loads) if isinstance(tool, str) else tool for tool in tools]
    if not all(isinstance(tool, Mapping) for tool in tools):
        raise malformed(column, value, expected)
    return [without_nulls(column, tool) for tool in tools]


def read_object(column: str, value: object) -> dict[str, Any]:
    """A JSON object, also written as text. Throws RowLost."""
    content = _parsed(value, json.loads) if isinstance(value, str) else value
    if not isinstance(content, Mapping):
        raise malformed(column, value, "a JSON object, or its text")
    return without_nulls(column, content)


def without_nulls(column: str, value: Any) -> Any:
    """Without the entries that are null, at every depth: columnar files give every struct the fields that any has.
    Throws RowLost for text that is no Unicode."""
    if isinstance(value, str):
        require_unicode(column, value)
    elif isinstance(value, Mapping):
        for key in value:
            require_unicode(column, str(key))
        return {str(key): without_nulls(column, item) for key, item in value.items() if item is not None}
    elif isinstance(value, list | tuple):
        return [without_nulls(column, item) for item in value]
    return value


def is_same_message(one: Message, other: Message) -> bool:
    """By what a template writes: role, content, reasoning and calls. Names, ids and the like are not compared."""
    return _essence(one) == _essence(other)


def _essence(message: Message) -> tuple[Any, ...]:
    reasoning = next((message[key] for key in ("reasoning_content", "reasoning", "thinking") if key in message), None)
    calls = [call.get("function", call) for call in message.get("tool_calls", [])]
    return message["role"], message.get("content") or "", reasoning, calls


def _message(column: str, value: object) -> Message:
    written = _parsed(value, json.loads) if isinstance(value, str) else value
    if not isinstance(written, Mapping):
        raise malformed(column, value, 'a message {"role": ..., "content": ...}')
    message = without_nulls(column, written)
    if "role" not in message and "from" in message:
        message = _from_value(column, message)
    if not isinstance(message.get("role"), str):
        raise malformed(column, value, 'a message with a "role", which is text')
    if isinstance(message.get("tool_calls"), str):
        message["tool_calls"] = read_tools(f"{column}: tool_calls", message["tool_calls"])
    calls = message.get("tool_calls", [])
    if not isinstance(calls, list) or not all(map(_is_call, calls)):
        raise malformed(column, value, 'a message whose "tool_calls" are a list of objects, and so is each "function"')
    if "content" in message:
        message["content"] = _content(column, message["content"])
    elif not message.get("tool_calls"):
        raise malformed(column, value, 'a message with a "content", which is text')
    return message


def _is_call(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("function", value), dict)


def _from_value(column: str, message: Message) -> Message:
    speaker, value = message["from"], message.get("value")
    if not isinstance(speaker, str) or speaker not in _ROLES or not isinstance(value, str):
        raise malformed(column, message, f'a "value", which is text, "from" one of {", ".join(_ROLES)}')
    rest = {key: item for key, item in message.items() if key not in ("from", "value")}
    if speaker != "function_call":
        return {"role": _ROLES[speaker], "content": value, **rest}
    calls = _parsed(value, json.loads)
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, dict) and "name" in call for call in calls):
        raise malformed(column, message, 'a function_call whose "value" is JSON with a "name"')
    calls = [{"type": "function", "function": without_nulls(column, call)} for call in calls]
    return {"role": "assistant", "tool_calls": calls, **rest}


def _content(column: str, content: object) -> str:
    """Text, or parts of text put together."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type", "text") == "text" else None for part in parts
    ]
    if not isinstance(content, list) or not all(isinstance(text, str) for text in texts):
        raise malformed(column, content, 'a content of text, or of parts {"type": "text", "text": ...}')
    return "".join(texts)


def _messages_in_text(column: str, text: str) -> list[Any] | None:
    """Messages that were stored as text; None for text that is just text. Throws RowLost where it is neither."""
    head = text.lstrip("\ufeff \t\r\n")
    if head.startswith('"[') or head.startswith('"{'):
        inner = _parsed(head, json.loads)
        return _messages_in_text(column, inner) if isinstance(inner, str) else None
    if not head.startswith(("[", "{")) or not _NAMES_A_ROLE.search(head):
        return None
    content = _parsed(head, json.loads)
    if content is None:
        content = _parsed(head, ast.literal_eval)
    if isinstance(content, list) and content and all(map(_looks_like_message, content)):
        return content
    if _looks_like_message(content):
        return [content]
    if content is None and _BEGINS_AS_MESSAGES.match(head) and _NAMES_A_ROLE.search(head)[2] in _KNOWN_ROLES:
        raise malformed(column, text, "messages as JSON text that can be read, or a list of messages")
    return None


def _looks_like_message(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    role = value.get("role", value.get("from"))
    return role in _KNOWN_ROLES if isinstance(role, str) else False


def _parsed(text: str, parse: Callable[[str], Any]) -> Any:
    """None for text that cannot be read."""
    try:
        return parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def require_unicode(column: str, text: str) -> None:
    """Throws RowLost for text that UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed(column, text, "valid Unicode, without lone surrogates") from None
