"""A message as it came in beside what went out, with what differs marked.

In one dialect the lines are compared; between two dialects the values, for what says the same looks different
there. However long or alike the two are, the time is bounded.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from adapter.web.pretty import Pretty

SHOWN = 60_000
"""Characters of each side that a page shows."""

MOST_LINES = 1_500
"""Lines of each side that are compared in their order; of more, each is only looked for on the other side."""

_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"\s*:|"((?:[^"\\]|\\.)*)"|>([^<>]+)<|(?<=[\s\[])(-?[0-9][0-9.]*)')
_STRUCTURE = ("http://", "https://", "urn:", "xmlns")
_SHORT = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines that follow each other: as on the other side, gone there, or new here."""

    change: str  # "", del, ins
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Both sides, marked."""

    came: tuple[Chunk, ...]
    went: tuple[Chunk, ...]
    by_values: bool  # the two are of different forms
    cut: bool  # not all of them is shown

    @property
    def alike(self) -> bool:
        """Whether nothing differs in what is shown."""
        return not any(chunk.change for chunk in (*self.came, *self.went))


def compared(came: Pretty, went: Pretty) -> Compared:
    """Mark what of `came` is not in `went`, and the other way round."""
    cut = max(len(came.text), len(went.text)) > SHOWN
    before, after = (side.text[:SHOWN].split("\n") for side in (came, went))
    by_values = came.form != went.form
    if by_values:
        gone, new = _missing_values(before, after), _missing_values(after, before)
    else:
        gone, new = _other_lines(before, after)
    return Compared(
        came=tuple(_chunks(before, gone, "del")),
        went=tuple(_chunks(after, new, "ins")),
        by_values=by_values,
        cut=cut,
    )


def _chunks(lines: Sequence[str], marked: set[int], change: str) -> Iterator[Chunk]:
    start = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or (number in marked) != (start in marked):
            yield Chunk(change if start in marked else "", tuple(lines[start:number]))
            start = number


def _other_lines(before: Sequence[str], after: Sequence[str]) -> tuple[set[int], set[int]]:
    """The numbers of the lines that are not on the other side, in their order."""
    first = 0
    while first < min(len(before), len(after)) and before[first] == after[first]:
        first += 1
    last = 0
    shorter = min(len(before), len(after)) - first
    while last < shorter and before[-1 - last] == after[-1 - last]:
        last += 1
    a, b = before[first : len(before) - last], after[first : len(after) - last]
    if max(len(a), len(b)) > MOST_LINES:
        return _unknown(a, b, first), _unknown(b, a, first)
    gone, new = set[int](), set[int]()
    for what, i, j, k, m in SequenceMatcher(None, a, b).get_opcodes():
        if what != "equal":
            gone.update(range(first + i, first + j))
            new.update(range(first + k, first + m))
    return gone, new


def _unknown(lines: Sequence[str], others: Sequence[str], first: int) -> set[int]:
    left = Counter(others)
    marked = set[int]()
    for number, line in enumerate(lines, first):
        if left[line] > 0:
            left[line] -= 1
        else:
            marked.add(number)
    return marked


def _missing_values(lines: Sequence[str], others: Sequence[str]) -> set[int]:
    """The lines with a value that is nowhere on the other side."""
    there = {value for line in others for value in _values(line)}
    return {n for n, line in enumerate(lines) if any(value not in there for value in _values(line))}


def _values(line: str) -> Iterator[str]:
    for found in _VALUE.finditer("" if line.startswith("<?xml") else line):
        value = " ".join((found[1] or found[2] or found[3] or "").split()).casefold()
        if len(value) > _SHORT and not value.startswith(_STRUCTURE):
            yield value
