"""The answers: what rules read in texts and pictures, put into the form that was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.fixai.events import Category
from services.fixai.gemini import words
from services.fixai.gemini.pictures import see

_PICTURE, _CLAIM = 0.75, 0.5
_TITLE_WORDS, _DESCRIPTION_CHARACTERS = 8, 400
_LEAST, _MOST = 1, 5
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rules see in a report, by the names under which forms ask for it."""

    title: str
    description: str
    category: Category
    severity: int
    spam: bool
    state: str
    reason: str


def read(text: str, pictures: Sequence[bytes] = (), claimed: str | None = None) -> Reading:
    """Read a report.

    Args:
        text: as it was written.
        pictures: as they were taken.
        claimed: the category that its author chose.
    """
    found = words.concepts(text)
    weight: Counter[Category] = Counter()
    for concept in found:
        weight[concept.category] += 1.0  # type: ignore[assignment]  # counts in halves
    for picture in pictures:
        if (seen := see(picture)) is not None:
            weight[seen] += _PICTURE  # type: ignore[assignment]
    if claimed in set(Category) - {Category.OTHER}:
        weight[Category(claimed)] += _CLAIM  # type: ignore[assignment]
    category = weight.most_common(1)[0][0] if weight else Category.OTHER
    about = [concept for concept in found if concept.category == category]
    severity = max((concept.severity for concept in about), default=2)
    severity += words.tells("danger", text) - words.tells("minor", text)
    spam = words.tells("spam", text) or not (found or pictures or words.content(text))
    gone = words.tells("gone", text) and not words.tells("not gone", text)
    clean = " ".join(text.split())
    label = about[0].name if about else category.value
    return Reading(
        title=f"{label.capitalize()}: {' '.join(clean.split()[:_TITLE_WORDS])}".rstrip(": "),
        description=clean[:_DESCRIPTION_CHARACTERS] or f"A picture of a {category.value} problem",
        category=category,
        severity=max(_LEAST, min(severity, _MOST)),
        spam=spam,
        state="gone" if gone else "there",
        reason=_reason(spam=spam, gone=gone, label=label),
    )


def _reason(*, spam: bool, gone: bool, label: str) -> str:
    if spam:
        return "The text advertises something or says nothing about the city"
    return f"The text says that it is gone: {label}" if gone else f"It is about: {label}"


def answer(schema: Mapping[str, Any], reading: Reading) -> Any:
    """A value of a JSON schema (or of Gemini's own form of it), filled from a reading."""
    known = {name: getattr(reading, name) for name in Reading.__slots__}
    return _fit(schema, known, schema, None, 0)


def _fit(
    schema: Mapping[str, Any],
    known: Mapping[str, Any],
    root: Mapping[str, Any],
    value: Any,
    depth: int,
) -> Any:
    if depth > _DEPTH:
        return None
    if "$ref" in schema:
        target: Any = root
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[step]
        return _fit(target, known, root, value, depth + 1)
    if "enum" in schema:
        options = list(schema["enum"])
        return value if value in options else options[0]
    kind = str(schema.get("type", "string")).lower()
    if kind == "object":
        parts: Mapping[str, Any] = schema.get("properties", {})
        return {
            name: _fit(part, known, root, known.get(name), depth + 1)
            for name, part in parts.items()
        }
    if kind == "array":
        return []
    return _plain(kind, schema, value)


def _plain(kind: str, schema: Mapping[str, Any], value: Any) -> Any:
    if kind == "boolean":
        return bool(value)
    if kind in {"integer", "number"}:
        number = value if isinstance(value, int | float) else schema.get("minimum", 0)
        return max(schema.get("minimum", number), min(number, schema.get("maximum", number)))
    return str(value or "")[: int(schema.get("maxLength", _DESCRIPTION_CHARACTERS))]
