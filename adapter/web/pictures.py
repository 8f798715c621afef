"""Pictures of figures: SVG made here, small, and readable in black and white.

What is told apart is told by pattern and by words beside it; colour only repeats it. Each has a title and a
description for those who do not see it. Colours are presentation attributes, so that a picture that is saved
or opened by itself is right on white paper; on a page the stylesheet sets them anew, light or dark.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from xml.sax.saxutils import escape

WIDTH = 720
_EDGE = 10  # of nothing around each picture
_ROW = 34
_NAMES = 190  # for the words before a row of bars
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"

INK, SOFT, LINE, SHEET = "#16242a", "#4c5f66", "#b9c4c2", "#ffffff"

FILLS = ("full", "hatched", "dotted", "empty", "crossed")
"""The ways to fill a bar, each of which is another without any colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of every bar: what it stands for, and how it is filled."""

    label: str
    fill: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar: its name, the size of each of its parts, and what is written after it."""

    label: str
    values: Sequence[float]
    told: str = ""
    hint: str = ""  # below the name


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture: its name in addresses, what it is in words, and what is drawn."""

    name: str
    title: str
    description: str
    height: float
    drawn: tuple[str, ...] = field(repr=False)

    def svg(self, *, alone: bool = False) -> str:
        """The element for a page; or, `alone`, a document with its own white ground."""
        width, height = WIDTH + 2 * _EDGE, round(self.height) + 2 * _EDGE
        around = f"{-_EDGE} {-_EDGE} {width} {height}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{around}" role="img"'
            f' class="picture" aria-labelledby="{self.name}-title {self.name}-desc"'
            f' font-family="{_FONT}" font-size="13"'
        )
        ground = ""
        if alone:
            head = f'<?xml version="1.0" encoding="UTF-8"?>\n{head} width="{width}" height="{height}"'
            ground = f'<rect x="{-_EDGE}" y="{-_EDGE}" width="{width}" height="{height}" fill="{SHEET}"/>'
        return (
            f'{head}><title id="{self.name}-title">{said(self.title)}</title>'
            f'<desc id="{self.name}-desc">{said(self.description)}</desc>'
            f"<defs>{''.join(_pattern(self.name, fill) for fill in FILLS)}</defs>"
            f"{ground}{''.join(self.drawn)}</svg>"
        )


def said(words: str) -> str:
    """Words as XML has them; what no XML document may hold is left out."""
    return escape(_FORBIDDEN.sub("", words))


# --- pictures ---------------------------------------------------------------------------------------------


def bars(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Bar],
    parts: Sequence[Part],
    *,
    share: bool = False,
    told: int = 150,
) -> Picture:
    """A row for each bar, its parts one after another; with `share` every bar is as long as any other."""
    drawn = _Drawing(name)
    y = drawn.legend(parts, 4.0) if len(parts) > 1 else 6.0
    length = WIDTH - _NAMES - told - 16
    most = max((sum(row.values) for row in rows), default=0) or 1
    for row in rows:
        whole = sum(row.values)
        scale = length / (whole if share else most) if whole else 0
        middle = y + _ROW / 2
        drawn.text(_NAMES, middle - 7 if row.hint else middle, _short(row.label, 27), anchor="end")
        if row.hint:
            drawn.text(_NAMES, middle + 7, _short(row.hint, 32), anchor="end", soft=True, size=11)
        x: float = _NAMES + 10
        drawn.line(x, y + 3, x, y + _ROW - 3)
        for part, value in zip(parts, row.values, strict=True):
            size = value * scale
            if value:
                size = max(size, 3.0)
                drawn.rect(x, y + 7, size, _ROW - 14, part.fill)
            x += size
        drawn.text((_NAMES + 10 + length if share else x) + 8, middle, row.told)
        y += _ROW
    return Picture(name=name, title=title, description=description, height=y + 6, drawn=drawn.made)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: what stands below it, its parts, and what stands above it."""

    label: str
    values: Sequence[float]
    told: str = ""
    mark: bool = False  # a line before it: here another day begins


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Columns over one ground, with words above them."""

    heading: str
    columns: Sequence[Column]


def columns(
    name: str,
    title: str,
    description: str,
    panels: Sequence[Panel],
    parts: Sequence[Part],
    *,
    number: Callable[[float], str] = "{:g}".format,
) -> Picture:
    """Columns side by side, one panel below the other; each panel has a scale of its own."""
    drawn = _Drawing(name)
    y = drawn.legend(parts, 4.0) if len(parts) > 1 else 6.0
    tall, left = 120.0, 44.0
    for panel in panels:
        if panel.heading:
            drawn.text(0, y + 10, panel.heading, bold=True)
            y += 26
        most = nice(max((sum(c.values) for c in panel.columns), default=0))
        ground = y + tall + 16
        for value in dict.fromkeys((most / 2, most)):
            if value == int(value):
                height = ground - tall * value / most
                drawn.line(left, height, WIDTH, height, faint=True)
                drawn.text(left - 6, height, number(value), anchor="end", soft=True, size=11)
        wide = (WIDTH - left) / max(1, len(panel.columns))
        for place, column in enumerate(panel.columns):
            x, top = left + place * wide, ground
            if column.mark:
                drawn.line(x, y + 2, x, ground + 22, dashed=True)
            for part, value in zip(parts, column.values, strict=True):
                size = tall * value / most
                if value:
                    size = max(size, 2.0)
                    drawn.rect(x + wide * 0.14, top - size, wide * 0.72, size, part.fill)
                top -= size
            if column.told:
                drawn.text(x + wide / 2, top - 8, column.told, anchor="middle", size=11)
            drawn.text(x + wide / 2, ground + 12, column.label, anchor="middle", soft=True, size=11)
        drawn.line(left, ground, WIDTH, ground)
        drawn.text(left - 6, ground, "0", anchor="end", soft=True, size=11)
        y = ground + 36
    return Picture(name=name, title=title, description=description, height=y - 6, drawn=drawn.made)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How one number went: its name, its values at equal distances, and the words at its end."""

    label: str
    values: Sequence[int]
    told: str


def courses(
    name: str, title: str, description: str, rows: Sequence[Course], below: Sequence[tuple[float, str]]
) -> Picture:
    """One number below the other over the same time, each with a scale of its own, filled to its ground.

    `below` has the words of the axis, each at a share of the width.
    """
    drawn = _Drawing(name)
    left, right, tall, y = 170.0, 560.0, 44.0, 8.0
    for row in rows:
        ground = y + tall
        most = max([*row.values, 1])
        drawn.text(left - 10, y + tall / 2, _short(row.label, 24), anchor="end")
        steps = max(1, len(row.values) - 1)
        points: list[str] = []
        for place, value in enumerate(row.values):
            x, height = left + (right - left) * place / steps, ground - (tall - 6) * value / most
            if points:
                points.append(f"{x:.1f},{points[-1].split(',')[1]}")
            points.append(f"{x:.1f},{height:.1f}")
        if any(row.values):
            drawn.area([f"{left:.1f},{ground:.1f}", *points, f"{right:.1f},{ground:.1f}"])
        drawn.line(left, ground, right, ground)
        drawn.text(right + 10, y + tall / 2, row.told)
        y = ground + 12
    for share, words in below:
        x = left + (right - left) * share
        drawn.line(x, 6, x, y - 6, faint=True)
        anchor = "start" if share < 0.05 else "end" if share > 0.95 else "middle"
        drawn.text(x, y + 4, words, anchor=anchor, soft=True, size=11)
    return Picture(name=name, title=title, description=description, height=y + 16, drawn=drawn.made)


def words_alone(name: str, title: str, description: str) -> Picture:
    """Where there is nothing to draw: the words that say so."""
    drawn = _Drawing(name)
    drawn.text(8, 24, description)
    return Picture(name=name, title=title, description=description, height=48, drawn=drawn.made)


def nice(most: float) -> float:
    """A round number that is not less: 1, 2, 4, 6, 8 or 10 times a power of ten; at least 2."""
    if most <= 2:
        return 2
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= most - 1e-9)


# --- strokes ----------------------------------------------------------------------------------------------


class _Drawing:
    """What has been drawn so far of one picture."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: list[str] = []

    @property
    def made(self) -> tuple[str, ...]:
        return tuple(self._made)

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self._made.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="filled {fill}"'
            f' fill="url(#{self._name}-{fill})" stroke="{INK}" stroke-width="1"/>'
        )

    def line(
        self, x: float, y: float, to_x: float, to_y: float, *, faint: bool = False, dashed: bool = False
    ) -> None:
        kind, colour = ("faint", LINE) if faint else ("axis", SOFT)
        dashes = ' stroke-dasharray="3 3"' if dashed else ""
        self._made.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"'
            f' stroke="{colour}"{dashes}/>'
        )

    def area(self, points: Iterable[str]) -> None:
        self._made.append(
            f'<polygon points="{" ".join(points)}" class="filled hatched" fill="url(#{self._name}-hatched)"'
            f' stroke="{INK}" stroke-width="1.5" stroke-linejoin="round"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        soft: bool = False,
        bold: bool = False,
        size: int = 13,
    ) -> None:
        if not words:
            return
        kind, colour = ("soft", SOFT) if soft else ("words", INK)
        weight = ' font-weight="650"' if bold else ""
        self._made.append(
            f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" class="{kind}" fill="{colour}" text-anchor="{anchor}"'
            f' font-size="{size}"{weight}>{said(words)}</text>'
        )

    def legend(self, parts: Sequence[Part], y: float) -> float:
        """What each way of filling stands for, in as many lines as it takes; where they end."""
        x = 0.0
        for part in parts:
            width = 34 + 7.2 * len(part.label)
            if x and x + width > WIDTH:
                x, y = 0.0, y + 24
            self.rect(x + 1, y + 3, 20, 14, part.fill)
            self.text(x + 28, y + 10, part.label)
            x += width + 14
        return y + 32


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def _pattern(name: str, fill: str) -> str:
    strokes = {
        "full": f'<rect width="8" height="8" class="solid" fill="{INK}"/>',
        "hatched": f'<path d="M-2 2 2-2M0 8 8 0M6 10 10 6" class="stroke" stroke="{INK}"'
        ' stroke-width="1.6"/>',
        "dotted": f'<circle cx="2" cy="2" r="1.3" class="solid" fill="{INK}"/>'
        f'<circle cx="6" cy="6" r="1.3" class="solid" fill="{INK}"/>',
        "empty": "",
        "crossed": f'<path d="M0 0 8 8M0 8 8 0" class="stroke" stroke="{INK}" stroke-width="1.2"/>',
    }
    return (
        f'<pattern id="{name}-{fill}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" class="ground" fill="{SHEET}"/>{strokes[fill]}</pattern>'
    )


def marks(count: int, most: int = 6) -> list[int]:
    """Which of so many places get words below them: at most that many, at equal distances."""
    step = max(1, ceil(count / most))
    return list(range(0, count, step))
