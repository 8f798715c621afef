"""What pydantic finds, in words for whoever wrote the file: file, entry, key, reason and what to write.

An entry is named by its id or name, as the file has it; a value is never repeated, for it may be a secret.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

_WORDS = {
    "extra_forbidden": "is not a setting; is it misspelt?",
    "missing": "is missing; it has no default",
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "time_delta_type": 'must be a duration, as "PT30S" or "P3D", or a number of seconds',
    "time_delta_parsing": 'must be a duration, as "PT30S" or "P3D", or a number of seconds',
    "date_type": "must be a day, as 2024-03-01",
    "date_parsing": "must be a day, as 2024-03-01",
    "date_from_datetime_parsing": "must be a day, as 2024-03-01",
    "date_from_datetime_inexact": "must be a day, as 2024-03-01",
    "tuple_type": "must be a list, in [ ]",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "path_type": "must be a path, in quotes",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
_NAMED_BY = ("id", "name")


def explained(
    error: ValidationError, file: str, document: Mapping[str, Any], elsewhere: Callable[[str], str | None]
) -> str:
    """A line each: where, key, reason. `elsewhere` says which other place has set a key."""
    lines = []
    for found in error.errors(include_input=False, include_url=False):
        path = tuple(found["loc"])
        where = elsewhere(str(path[0])) if path else None
        there = where or ": ".join((file, *place(path, document)))
        lines.append(f"{there}: {_reason(found['type'], found.get('ctx', {}), found['msg'])}")
    return "\n".join(lines)


def _reason(kind: str, context: Mapping[str, Any], otherwise: str) -> str:
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        return f"{words} {f'{bound:g}' if isinstance(bound, float) else bound}"
    return _WORDS.get(kind) or otherwise.removeprefix("Value error, ")


def place(path: tuple[int | str, ...], document: Any) -> list[str]:
    """The entry that a key stands in, where there are several, and the key."""
    places: list[str] = []
    keys: list[str] = []
    for part in path:
        document = _below(document, part)
        if isinstance(part, int) and isinstance(document, Mapping):
            places.append(f"[[{'.'.join(keys)}]] {_name(document, part)}")
            keys = []
        elif isinstance(part, int):
            keys.append(f"number {part + 1}")
        else:
            keys.append(part)
    return [*places, ".".join(keys)] if keys else places or ["settings"]


def _below(document: Any, part: int | str) -> Any:
    try:
        return document[part]
    except (KeyError, IndexError, TypeError):
        return None


def _name(entry: Mapping[str, Any], number: int) -> str:
    key = next((k for k in _NAMED_BY if isinstance(entry.get(k), str)), None)
    return f"number {number + 1}" if key is None else f"{key} = {entry[key]!r}"
