"""Where a text may be cut so that the tokens of both parts are those of the whole: conversations with the same prompt
then need its tokens once."""

import re

from tokenizers import Tokenizer

# The one part of a tokenizer that looks whether a piece of text is the first one.
_LOOKS_FOR_BEGINNING = re.compile(r'"prepend_scheme"\s*:\s*"first"')


class TextCutter:
    """Cuts after added tokens that are found in the text as it is: what lies between them is tokenized by itself."""

    def __init__(self, tokenizer: Tokenizer):
        added = tokenizer.get_added_tokens_decoder().values()
        contents = sorted((token.content for token in added if not token.normalized and token.content), key=len)
        # Such tokens take in what stands around them, or depend on it.
        is_local = not any(token.lstrip or token.rstrip or token.single_word for token in added)
        self._longest = len(contents[-1]) if contents else 0
        self._pattern: re.Pattern[str] | None = None
        if contents and is_local and not _LOOKS_FOR_BEGINNING.search(tokenizer.to_str()):
            # The first one in the text and, of those that begin there, the longest one: as the library looks for them.
            self._pattern = re.compile("|".join(map(re.escape, reversed(contents))))

    def place(self, text: str) -> int:
        """The last place where `text` may be cut, whatever follows on it; 0: none."""
        place = 0
        for found in self._pattern.finditer(text) if self._pattern else ():
            # A longer token could begin here and end in what follows.
            if found.start() + self._longest > len(text):
                break
            place = found.end()
        return place
