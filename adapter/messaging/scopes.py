"""What a machine may do: SMART App Launch 2.2 system scopes, `system/<Resource|*>.<c r u d s>`.

The older forms `.read`, `.write` and `.*` are read as `.rs`, `.cud` and `.cruds` (SMART 2.2, "Scopes for
requesting FHIR resources"). There is no patient and no user behind a machine, so no other scope is read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ACTIONS = "cruds"
"""Create, read (with vread and history of one resource), update, delete, search (with history of a type)."""

EVERY_TYPE = "*"

_FIRST_VERSION = {"read": "rs", "write": "cud", "*": ACTIONS}
_FORM = re.compile(r"system/(\*|[A-Z][A-Za-z]{1,60})\.(read|write|\*|(?=[cruds])c?r?u?d?s?)", re.ASCII)

MOST = 200
"""Scopes in one request; FHIR R4 has fewer kinds of resources."""

SAY = "system/<Resource or *>.<one or more of c, r, u, d, s, in that order>"


class UnreadableScope(ValueError):
    """A scope that is none of ours; its text says which one by its place, and never repeats it."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """What is allowed: actions by resource type, in the order in which they were first named."""

    by_type: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join(f"system/{name}.{actions}" for name, actions in self.by_type)

    def __bool__(self) -> bool:
        return bool(self.by_type)


def parse(text: str) -> Scopes:
    """The scopes of a text, with blanks between them. Raises UnreadableScope."""
    words = text.split()
    if len(words) > MOST:
        raise UnreadableScope(f"more than {MOST} scopes; ask for fewer")
    pairs = []
    for number, word in enumerate(words, start=1):
        form = _FORM.fullmatch(word)
        if form is None:
            raise UnreadableScope(f"scope number {number} is not {SAY}")
        pairs.append((form[1], _FIRST_VERSION.get(form[2], form[2])))
    return _together(pairs)


def granted(asked: Scopes, allowed: Scopes) -> Scopes:
    """What is both asked for and allowed; may be less than was asked for, and nothing at all."""
    return _together(
        (name if other == EVERY_TYPE else other, _shared(actions, others))
        for name, actions in asked.by_type
        for other, others in allowed.by_type
        if EVERY_TYPE in (name, other) or name == other
    )


def permits(scopes: Scopes, resource_type: str, action: str) -> bool:
    """Whether `action` (one of c, r, u, d, s) may be done to resources of that type."""
    return any(name in (EVERY_TYPE, resource_type) and action in actions for name, actions in scopes.by_type)


def _shared(one: str, other: str) -> str:
    return "".join(action for action in ACTIONS if action in one and action in other)


def _together(pairs: Iterable[tuple[str, str]]) -> Scopes:
    found: dict[str, str] = {}
    for name, actions in pairs:
        if actions:
            found[name] = found.get(name, "") + actions
    return Scopes(tuple((name, _shared(ACTIONS, actions)) for name, actions in found.items()))


ALL = parse("system/*.cruds")
"""Everything: what a region entry allows that says nothing of scopes."""

PROCESS_MESSAGE = ("Bundle", "c")
"""What `$process-message` asks for: it takes a Bundle in, and so needs `system/Bundle.c`."""
