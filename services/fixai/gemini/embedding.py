"""Texts as vectors: concepts, words, pairs of words and letters, each hashed to a direction.

Texts about the same thing share features, so the angle between them is small; what two languages
share is the concepts, names and numbers. Unit length, so that a product is the cosine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from services.fixai.gemini import words

DIMENSIONS = 768
_CONCEPT, _WORD, _NAME, _PAIR, _LETTERS = 1.5, 0.8, 2.0, 0.7, 0.25
"""Names and numbers weigh most: they tell one place from another."""
_GRAM = 3


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of a text; the zero vector of one without words."""
    vector = [0.0] * dimensions
    for feature, weight in _features(text):
        hashed = _hashed(feature)
        vector[(hashed >> 1) % dimensions] += weight if hashed & 1 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    return [round(value / length, 6) for value in vector] if length else vector


def _features(text: str) -> Iterator[tuple[str, float]]:
    for concept in words.concepts(text):
        yield f"concept {concept.name}", _CONCEPT
    found, names = words.content(text), words.names(text)
    for word in dict.fromkeys(found):
        yield f"word {word}", _NAME if word in names else _WORD
        bounded = f"^{word}$"
        for at in range(len(bounded) - _GRAM + 1):
            yield f"letters {bounded[at : at + _GRAM]}", _LETTERS
    for first, second in dict.fromkeys(pairwise(found)):
        yield f"pair {first} {second}", _PAIR


@lru_cache(maxsize=65536)
def _hashed(feature: str) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
