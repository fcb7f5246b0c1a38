"""YAML files with the line of every value, and overlays of one file on another.

An overlay names its base by `extends:` and is merged onto it as RFC 7386 (JSON Merge
Patch) says: mappings merge, everything else replaces, null removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inventory.errors import SiteError, SiteErrors

Path_ = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; the line is counted from 1."""

    file: str
    line: int


@dataclass(slots=True)
class Document:
    """Plain data and where each of its values stands.

    Attributes:
        data: what the YAML says, in dicts, lists and scalars.
        positions: a value's path to its place; a mapping's entry stands where its key does.
    """

    data: dict[str, Any]
    positions: dict[Path_, Position]
    errors: list[SiteError] = field(default_factory=list)

    def position(self, path: Path_) -> Position:
        """The place of a value, or of the nearest thing that should hold it."""
        while path not in self.positions and path:
            path = path[:-1]
        return self.positions[path]

    def error(self, path: Path_, what: str) -> SiteError:
        """An error at a value's place."""
        position = self.position(path)
        return SiteError(position.file, position.line, ".".join(map(str, path)), what)


def read(path: Path) -> Document:
    """A YAML file without its overlay. Raises SiteErrors where it is not YAML or no mapping."""
    file = path.name
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SiteErrors(
            [SiteError(file, line, "", f"is not YAML ({error.problem}); mend the syntax here")]
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SiteErrors(
            [SiteError(file, 1, "", f"is not YAML ({error}); write it as UTF-8 text")]
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise SiteErrors([SiteError(file, 1, "", "has no names at its top; start with `name:`")])
    document = Document({}, {(): Position(file, 1)})
    document.data = _plain(loader, node, (), file, document)
    if document.errors:
        raise SiteErrors(document.errors)
    return document


def _plain(loader: Any, node: yaml.Node, path: Path_, file: str, document: Document) -> Any:
    """The node's value; notes places and doubled keys on the way."""
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            below = (*path, key)
            if key in result:
                first = document.positions[below].line
                document.errors.append(
                    SiteError(
                        file,
                        line,
                        ".".join(map(str, below)),
                        f"stands twice (first in line {first}); remove one",
                    )
                )
            document.positions[below] = Position(file, line)
            result[key] = _plain(loader, value_node, below, file, document)
        return result
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            below = (*path, index)
            document.positions[below] = Position(file, item.start_mark.line + 1)
            items.append(_plain(loader, item, below, file, document))
        return items
    return loader.construct_object(node)


def overlay(base: Document, patch: Document) -> Document:
    """The base with the patch merged onto it; each value keeps the place that it came from."""
    positions = dict(base.positions)
    positions[()] = patch.positions[()]
    data = _merge(base.data, patch.data, (), positions, patch.positions)
    return Document(data, positions)


def _merge(
    base: Any,
    patch: Any,
    path: Path_,
    positions: dict[Path_, Position],
    news: dict[Path_, Position],
) -> Any:
    if not isinstance(patch, dict):
        for stale in [p for p in positions if len(p) > len(path) and p[: len(path)] == path]:
            del positions[stale]
        positions.update(_below(news, path))
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        below = (*path, key)
        positions[below] = news[below]
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value, below, positions, news)
    return merged


def _below(positions: dict[Path_, Position], path: Path_) -> Iterator[tuple[Path_, Position]]:
    return ((p, at) for p, at in positions.items() if p[: len(path)] == path)
