"""Describes the keys of a schema for people: names, types, defaults, bounds and meaning of each."""

import json
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

_BOUNDS = {
    "gt": "> {}",
    "ge": ">= {}",
    "lt": "< {}",
    "le": "<= {}",
    "multiple_of": "a multiple of {}",
    "min_length": "length >= {}",
    "max_length": "length <= {}",
    "pattern": "like {}",
}


@dataclass(frozen=True)
class KeyDescription:
    """One line of a table of all keys.

    Attributes:
        key: The dotted key.
        type: What values it takes.
        default: The value, as JSON, that holds if none is stated; None if one must be stated.
        bounds: What limits the value, in symbols; empty if nothing does.
        description: Meaning and unit.
    """

    key: str
    type: str
    default: str | None
    bounds: str
    description: str


def describe_keys(model: type[BaseModel], base: Mapping[str, Any] | None = None) -> list[KeyDescription]:
    """Describe every key of the schema, in the schema's order.

    Args:
        model: The schema.
        base: The values of a file that always holds, nested; they go before the schema's own defaults.
    """
    return list(_describe([model], "", base or {}))


def section_fields(models: Sequence[type[BaseModel]]) -> dict[str, list[FieldInfo]]:
    """Return the fields of a section by name; where there is a choice of sections, several fields a name."""
    fields: dict[str, list[FieldInfo]] = {}
    for model in models:
        for name, info in model.model_fields.items():
            fields.setdefault(name, []).append(info)
    return fields


def inner_sections(fields: Iterable[FieldInfo]) -> list[type[BaseModel]]:
    """Return the sections that the fields may hold: none for a value, several where there is a choice."""
    return [model for info in fields for model in _section_models(info.annotation)]


def takes_null(fields: Iterable[FieldInfo]) -> bool:
    """Tell whether one of the fields may be null."""
    return any(_has_null(info.annotation) for info in fields)


def _section_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if _is_choice(annotation) or get_origin(annotation) is Annotated:
        return [model for part in get_args(annotation) for model in _section_models(part)]
    return []


def _has_null(annotation: Any) -> bool:
    return annotation is type(None) or (_is_choice(annotation) and any(map(_has_null, get_args(annotation))))


def _is_choice(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _describe(
    models: Sequence[type[BaseModel]], prefix: str, base: Mapping[str, Any]
) -> Iterator[KeyDescription]:
    for name, fields in section_fields(models).items():
        sections = inner_sections(fields)
        if sections:
            yield from _describe(sections, f"{prefix}{name}.", base.get(name) or {})
        else:
            kinds = dict.fromkeys(_type(info.annotation) for info in fields)
            bounds = dict.fromkeys(_bounds([*fields[0].metadata, fields[0].annotation]))
            default = _json(base[name]) if name in base else _default(fields[0])
            yield KeyDescription(
                f"{prefix}{name}", " | ".join(kinds), default, ", ".join(bounds), fields[0].description or ""
            )


def _default(info: FieldInfo) -> str | None:
    return None if info.is_required() else _json(info.get_default(call_default_factory=True))


def _json(value: Any) -> str:
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(json.dumps(choice) for choice in arguments)
    if _is_choice(annotation):
        return " | ".join(_type(part) for part in arguments)
    if annotation is type(None):
        return "null"
    if origin is None:
        return getattr(annotation, "__name__", str(annotation))
    inner = ", ".join(_type(part) for part in arguments if part is not Ellipsis)
    return f"{origin.__name__} of {inner}"


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """Find the bounds in a field's metadata, also where they belong to one choice of a union."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _bounds(item.metadata)
        elif get_origin(item) is not Literal and get_args(item):
            yield from _bounds(get_args(item))
        else:
            found = {name: getattr(item, name, None) for name in _BOUNDS}
            yield from (_BOUNDS[name].format(bound) for name, bound in found.items() if bound is not None)
