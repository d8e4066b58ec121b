"""Plain values of a YAML file to typed dataclasses; what does not fit is told with the path of its field."""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from egorear.errors import UserError

WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", tuple: "a list"}


def build(kind: Any, value: Any, where: str = "") -> Any:
    """`value` as the annotated `kind`: dataclasses (fields may be left out where they have a default), tuples from
    lists, mappings, literals, optionals, numbers, texts.

    where: path of the value in its file, for messages.

    Raises:
        UserError: a field is missing, unknown or of the wrong kind.
    """
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else build(options[0], value, where)
    if origin is typing.Literal:
        if value in options and not isinstance(value, bool):
            return value
        raise UserError(f"'{where}' is {reprlib.repr(value)} but must be one of {', '.join(map(str, options))}")
    if origin is tuple and isinstance(value, list):
        kinds = [options[0]] * len(value) if options[-1] is ... else options
        if len(kinds) == len(value):
            return tuple(build(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
        raise UserError(f"'{where}' has {len(value)} entries but must have {len(kinds)}")
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {str(name): build(options[1], entry, f"{where}.{name}") for name, entry in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise UserError(f"'{where}' is {reprlib.repr(value)} but must be {WORDS.get(origin or kind, 'a mapping')}")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `changes` says otherwise, mappings within mappings too."""
    both = dict(base)
    for name, value in changes.items():
        before = both.get(name)
        both[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both


def plain(value: Any) -> Any:
    """A dataclass as what YAML and JSON know: mappings, lists, numbers, texts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    return value


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(
            f"'{where}' is {reprlib.repr(value)} but must be a mapping" if where else "it must be a mapping"
        )
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    before = f"{where}." if where else ""
    if unknown := [name for name in value if name not in fields]:
        raise UserError(f"'{before}{unknown[0]}' is unknown; there are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"'{before}{name}' is missing")
    given = {name: build(hints[name], entry, f"{before}{name}") for name, entry in value.items()}
    try:
        return kind(**given)
    except UserError as error:  # of its own checks, which do not know where it stands
        raise UserError(f"in '{where}': {error}" if where else str(error)) from error
