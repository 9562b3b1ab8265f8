"""Conversations as requests: an answer of the assistant is an output, all text before it the prompt.

Text has words, not tokens; without the model's tokenizer a length is ``ceil(words * tokens_per_word)``, words
being what white space separates. The default of 4/3 is the usual rule of thumb for English ("100 tokens are
75 words"); it is far off for languages written without spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TextIO

from kvopt.errors import InputError, UnknownNameError
from kvopt.io.traces.row import Malformed, TraceRow, Unusable
from kvopt.io.traces.stream import json_items

#: Tokens of a word where nothing else is said.
TOKENS_PER_WORD = Fraction(4, 3)

#: Names that the files use for the two sides; all others (system, tool) are context.
USERS = frozenset({"human", "user"})
ASSISTANTS = frozenset({"gpt", "chatgpt", "assistant", "bing", "bard"})


def conversations(
    stream: TextIO, keys: tuple[str, str, str], tokens_per_word: Fraction, turns: str
) -> Iterator[TraceRow | Unusable]:
    """Requests of a file of conversations (a JSON list or JSON lines).

    Parameters
    ----------
    stream : text stream
    keys : (str, str, str)
        Keys of the list of messages, of a message's author and of its text.
    tokens_per_word : Fraction
        Above 0.
    turns : {"first", "all"}
        The first answer of each conversation, or every answer (each with the whole history as prompt).

    Raises
    ------
    InputError
        If `tokens_per_word` or `turns` is out of range.
    """
    if tokens_per_word <= 0:
        raise InputError(f"the number of tokens per word must be above 0, got {tokens_per_word}")
    if turns not in ("first", "all"):
        raise UnknownNameError("choice of turns", turns, ["first", "all"])
    return read(stream, keys, tokens_per_word, turns == "first")


def read(
    stream: TextIO, keys: tuple[str, str, str], ratio: Fraction, only_first: bool
) -> Iterator[TraceRow | Unusable]:
    """The requests of each conversation in turn."""
    for item in json_items(stream):
        if isinstance(item, Unusable):
            yield item
            continue
        line, conversation = item
        try:
            answers = list(exchanges(conversation, keys))
        except Malformed as error:
            yield Unusable(line, str(error))
            continue
        if not answers:
            yield Unusable(line, "no answer to a user", malformed=False)
        for before, words in answers[:1] if only_first else answers:
            yield TraceRow(line, scaled(before, ratio), scaled(words, ratio))


def scaled(words: int, ratio: Fraction) -> int:
    """Tokens of a number of words, rounded up.

    >>> scaled(10, Fraction(4, 3))
    14
    """
    return -(-words * ratio.numerator // ratio.denominator)


def exchanges(conversation: Any, keys: tuple[str, str, str]) -> Iterator[tuple[int, int]]:
    """Words before each answer that follows a user's message, and words of the answer."""
    messages_key, author_key, text_key = keys
    messages = conversation.get(messages_key) if isinstance(conversation, dict) else None
    if not isinstance(messages, list):
        raise Malformed(f"expected an object with a list {messages_key!r}")
    before, asked = 0, False
    for number, message in enumerate(messages):
        author = message.get(author_key) if isinstance(message, dict) else None
        text = message.get(text_key) if isinstance(message, dict) else None
        if not isinstance(author, str) or not isinstance(text, str):
            raise Malformed(f"message {number}: expected text in {author_key!r} and {text_key!r}")
        words = len(text.split())
        if author in ASSISTANTS and asked:
            yield before, words
        asked = asked or author in USERS
        before += words
