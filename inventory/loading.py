"""From a site's name or file to a checked `Site`, or to everything that is wrong with it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

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


@dataclass(frozen=True, slots=True)
class Form(Generic[M]):
    """A kind of file that describes something.

    Attributes:
        model: what it describes.
        check: what is wrong with one, beyond the types of its fields.
        home: where a file that it extends is looked for, if it is not beside.
        noun: what a person calls it.
        schema_command: prints its JSON Schema.
    """

    model: type[M]
    check: Callable[[M, Document], list[SiteError]]
    home: Path
    noun: str
    schema_command: str

    def names(self) -> list[str]:
        """Those that the project has."""
        return sorted(path.stem for path in self.home.glob("*.yaml"))

    def path(self, argument: str) -> Path:
        """The file of one that is given by name (`homelab`) or path (`my/lab.yaml`).

        Raises:
            HearthError: there is none.
        """
        path = Path(argument)
        if path.suffix not in {".yaml", ".yml"}:
            path = self.home / f"{argument}.yaml"
        if not path.is_file():
            raise HearthError(
                f"{argument}: no such {self.noun} ({path}); name one of "
                f"{', '.join(self.names())}, or give the path of a .yaml file"
            )
        return path

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a file: complete, or an overlay in which nothing is required."""
        return _schema(self.model, self.noun)


SITE = Form(Site, check, SITES, "site", "hearth schema")


def site_path(site: str) -> Path:
    """The file of a site, given by name (`homelab`) or path (`my/lab.yaml`)."""
    return SITE.path(site)


def load(site: str) -> Site:
    """A site that passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
        HearthError: where there is no such file.
    """
    return load_file(site_path(site), SITE)


def load_file(path: Path, form: Form[M]) -> M:
    """What a file of some form describes, once it passed every check.

    Raises:
        SiteErrors: with all that is wrong, one error a line.
    """
    source = _read_with_bases(path, (), form.home)
    try:
        loaded = form.model.model_validate(source.data)
    except ValidationError as error:
        found = _without_echoes(error.errors())
        raise SiteErrors([_explain(source, e, form.schema_command) for e in found]) from None
    if errors := form.check(loaded, source):
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
            [source.error(("extends",), f"no other file of that name ({base}); name one to extend")]
        )
    return document.overlay(_read_with_bases(base_path, (path, *above), home), source)


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those of lists that are too short because an item of them is wrong."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(p != error["loc"] and p[: len(error["loc"])] == error["loc"] for p in places)
    ]


def _explain(source: Document, detail: ErrorDetails, schema_command: str) -> SiteError:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if remedy := _remedy(detail, schema_command):
        return source.error(path, remedy)
    if detail.get("ctx", {}).get("pattern") == NAME_PATTERN:
        what = "is no name; use lower-case letters, digits and dashes, at most 31, a letter first"
        return source.error(path, what)
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if message.startswith("unknown "):
        return source.error(path, message)
    return source.error(path, f"{message} ({_shown(detail['input'])})")


def _remedy(detail: ErrorDetails, schema_command: str) -> str:
    """What to do, where pydantic's own words do not say it; empty elsewhere."""
    kind, shown, context = detail["type"], _shown(detail["input"]), detail.get("ctx", {})
    return {
        "missing": "missing; add it",
        "extra_forbidden": f"unknown name; remove it, or see `{schema_command}` for what may "
        "stand here",
        "string_type": f"is no text; write it in quotes ({shown})",
        "ip_v4_network": "is no network; write its first address and prefix, as 10.20.0.0/16 "
        f"({shown})",
        "too_short": f"has {context.get('actual_length')} entries; give it at least "
        f"{context.get('min_length')}",
    }.get(kind, "")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return textwrap.shorten(text, width=40, placeholder="...")


def schema() -> dict[str, Any]:
    """The JSON Schema of a site file."""
    return SITE.schema()


@cache
def _schema(model: type[BaseModel], noun: str) -> dict[str, Any]:
    whole = model.model_json_schema()
    definitions = whole.pop("$defs")
    patch = _optional({**whole, "$defs": definitions}, "Patch")
    patch_definitions = patch.pop("$defs")
    patch["properties"]["extends"] = {"type": "string", "description": f"the {noun} to start from"}
    patch["title"] = "Overlay"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Hearth {noun}",
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
