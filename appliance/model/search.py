"""How words are looked for in texts: the same letters, whatever their case or form.

"STRASSE" finds "Straße", full-width and composed letters find plain ones (Unicode's NFKC and
casefold).  Every word has to be there, in any place and any order; also as a part of another.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_WORDS: Final = 16
MAX_CHARS: Final = 200
"""Of all words together."""


class SearchError(ValueError):
    """There is nothing to look for, or too much."""


def fold(text: str) -> str:
    """Return a text in the form in which texts are compared."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", plain)


def words_of(query: str) -> tuple[str, ...]:
    """Return the words to look for, folded; raises SearchError."""
    if len(query) > MAX_CHARS:
        raise SearchError(f"at most {MAX_CHARS} characters can be looked for")
    words = tuple(dict.fromkeys(fold(query).split()))
    if not words:
        raise SearchError("there is no word to look for")
    if len(words) > MAX_WORDS:
        raise SearchError(f"at most {MAX_WORDS} words can be looked for")
    return words


def matches(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether all folded words are in a text."""
    folded = fold(text)
    return all(word in folded for word in words)
