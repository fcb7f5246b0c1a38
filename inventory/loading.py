"""From a site's name or file to a checked `Site`, or to everything that is wrong with it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from inventory import document
from inventory.checks import check
from inventory.document import Document
from inventory.errors import HearthError, SiteError, SiteErrors
from inventory.model import Site
from inventory.paths import PROJECT
from inventory.units import NAME_PATTERN

M = TypeVar("M", bound=BaseModel)
SITES = PROJECT / "inventory" / "sites"


def site_path(site: str) -> Path:
    """The file of a site, given by name (`homelab`) or path (`my/lab.yaml`)."""
    path = Path(site)
    if path.suffix not in {".yaml", ".yml"}:
        path = SITES / f"{site}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SITES.glob("*.yaml")))
        raise HearthError(
            f"{site}: no such site ({path}); name one of {known}, or give the path of a .yaml file"
        )
    return path


def load(site: str) -> Site:
    """A site that passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
        HearthError: where there is no such file.
    """
    return load_file(site_path(site), Site, check, SITES)


def load_file(
    path: Path, kind: type[M], check: Callable[[M, Document], list[SiteError]], home: Path
) -> M:
    """What a file describes, once it passed every check.

    Args:
        path: the file.
        kind: what it describes.
        check: what is wrong with it, beyond the types of its fields.
        home: where a file that it extends is looked for, if it is not beside.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
    """
    source = _read_with_bases(path, (), home)
    try:
        loaded = kind.model_validate(source.data)
    except ValidationError as error:
        raise SiteErrors([_explain(source, detail) for detail in error.errors()]) from None
    if errors := check(loaded, source):
        raise SiteErrors(errors)
    return loaded


def _read_with_bases(path: Path, above: tuple[Path, ...], home: Path) -> Document:
    """The file merged onto the file that it extends, and so on."""
    source = document.read(path)
    base = source.data.pop("extends", None)
    if base is None:
        return source
    beside = path.parent / f"{base}.yaml"
    base_path = beside if beside.is_file() else home / f"{base}.yaml"
    if not base_path.is_file() or base_path.resolve() in {p.resolve() for p in (path, *above)}:
        raise SiteErrors(
            [source.error(("extends",), f"no other site of that name ({base}); name one to extend")]
        )
    return document.overlay(_read_with_bases(base_path, (path, *above), home), source)


_REMEDIES = {
    "extra_forbidden": "unknown name; remove it, or see `hearth schema` for what may stand here",
    "missing": "missing; add it",
}


def _explain(source: Document, detail: ErrorDetails) -> SiteError:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if remedy := _REMEDIES.get(detail["type"]):
        return source.error(path, remedy)
    if detail.get("ctx", {}).get("pattern") == NAME_PATTERN:
        what = "is no name; use lower-case letters, digits and dashes, at most 31, a letter first"
        return source.error(path, what)
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if message.startswith("unknown "):
        return source.error(path, message)
    return source.error(path, f"{message} ({_shown(detail['input'])})")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return textwrap.shorten(text, width=40, placeholder="...")


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a site file: complete, or an overlay in which nothing is required."""
    whole = Site.model_json_schema()
    definitions = whole.pop("$defs")
    patch = _optional({**whole, "$defs": definitions}, "Patch")
    patch_definitions = patch.pop("$defs")
    patch["properties"]["extends"] = {"type": "string", "description": "the site to start from"}
    patch["title"] = "Overlay"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hearth site",
        "if": {"required": ["extends"]},
        "then": patch,
        "else": whole,
        "$defs": definitions | {f"{name}Patch": d for name, d in patch_definitions.items()},
    }


def _optional(part: Any, suffix: str) -> Any:
    """A copy of a schema in which nothing is required and null removes."""
    if isinstance(part, list):
        return [_optional(item, suffix) for item in part]
    if not isinstance(part, dict):
        return part
    copy = {key: _optional(value, suffix) for key, value in part.items() if key != "required"}
    if isinstance(reference := copy.get("$ref"), str):
        copy["$ref"] = reference + suffix
    for named in ("properties", "patternProperties"):
        if named in copy:
            copy[named] = {key: _or_null(value) for key, value in copy[named].items()}
    if isinstance(copy.get("additionalProperties"), dict):
        copy["additionalProperties"] = _or_null(copy["additionalProperties"])
    return copy


def _or_null(part: Any) -> dict[str, Any]:
    return {"anyOf": [part, {"type": "null"}]}
