"""A plan as a PDF to print and hand over: A4, large type, text that can be searched and copied.

The type is DejaVu Sans, packaged in `fonts/` with its licence: the core fonts of PDF have no letters of
Northern Sámi or Polish. Equal plans at an equal instant give equal bytes. A sign that the type lacks is □.
"""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from functools import lru_cache
from math import ceil
from pathlib import Path

from fpdf import FPDF, XPos, YPos
from fpdf.enums import WrapMode
from fpdf.fonts import TTFFont

from adapter.fhir.plan import Plan
from adapter.web.plan_layout import Line, Section, Sheet, sheet
from adapter.web.plan_words import PlanWords

_FONTS = Path(__file__).parent / "fonts"
_FACE = "DejaVu"
_BODY, _SMALL, _HEADING, _TITLE = 13, 10, 16, 21  # points: for old eyes
_LEADING = 1.4
_POINT = 25.4 / 72  # mm
_MARGIN = 18  # mm
_INDENT = 5  # mm
_LONGEST_BLOCK = 12  # lines that are kept together on a page
_LACKING = "□"


def plan_pdf(plan: Plan, *, language: str, now: datetime, older: int | None = None) -> bytes:
    """The plan as it stands at `now`, by the clock of its zone, in one of `plan_words.LANGUAGES`.

    `older`: the number of this version, where it is not the newest.
    """
    words = PlanWords(language=language, zone=_zone(now))
    laid = sheet(plan, words, now, older=older)
    print_ = _Print(laid, words)
    print_.set_creation_date(now)
    print_.write_out()
    return bytes(print_.output())


def _zone(now: datetime) -> tzinfo:
    if now.tzinfo is None:
        raise ValueError("`now` has no zone; give an aware instant")
    return now.tzinfo


class _Print(FPDF):
    """One plan on paper; every page has its number, the plan's title and the instant."""

    def __init__(self, laid: Sheet, words: PlanWords) -> None:
        super().__init__(format="A4", unit="mm")
        self._laid, self._words = laid, words
        _with_type(self)
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=_MARGIN + 6)
        self.set_title(printable(laid.title))
        self.set_lang(laid.language)
        self.set_creator("discharge-adapter")
        self.set_producer("discharge-adapter")

    def footer(self) -> None:
        """The number of the page, and as of when the plan is."""
        self.set_y(-_MARGIN)
        self.set_font(_FACE, "", _SMALL)
        page = self._words.of("Page {number} of {total}", number=self.page_no(), total="{nb}")
        half = self.epw / 2
        self.cell(half, 6, printable(self._laid.as_of))
        self.cell(half, 6, page, align="R")

    def write_out(self) -> None:
        """Everything, from the title to the last section."""
        self.add_page()
        self._text(self._laid.title, _TITLE, bold=True)
        self._text(self._laid.as_of, _SMALL)
        for notice in self._laid.notices:
            self._text(notice, _BODY, bold=True)
        self._text(self._laid.description, _BODY)
        self.ln(2)
        for label, text in self._laid.facts:
            self._text(f"{label}: {text}", _BODY)
        for section in self._laid.sections:
            self._section(section)

    def _section(self, section: Section) -> None:
        self.ln(4)
        if self.will_page_break(_HEADING * _LEADING * _POINT + 3 * _BODY * _LEADING * _POINT):
            self.add_page()
        self.start_section(printable(section.heading))
        self._text(section.heading, _HEADING, bold=True)
        if section.text:
            self._text(section.text, _BODY)
        for line in section.lines:
            self._block(section, line)

    def _block(self, section: Section, line: Line) -> None:
        """A line of a table as a block on one page: its first cell, then each other one after its heading."""
        first, *rest = line.cells
        mark = f"{self._words.of('Late')}: " if line.late else ""
        labelled = zip(section.columns[1:], rest, strict=True)
        told = [f"{label}: {text}" for label, text in labelled if text]
        if self.will_page_break(self._lines(f"{mark}{first}", *told) * _BODY * _LEADING * _POINT):
            self.add_page()
        self._text(f"{mark}{first}", _BODY, bold=True)
        for text in told:
            self._text(text, _BODY, indent=_INDENT)
        self.ln(2)

    def _lines(self, *texts: str) -> int:
        """About how many lines the texts take, and never more than keep a long block from beginning here."""
        self.set_font(_FACE, "B", _BODY)
        width = self.epw - _INDENT
        found = sum(ceil(self.get_string_width(printable(text)) / width) for text in texts)
        return min(found, _LONGEST_BLOCK)

    def _text(self, text: str, size: int, *, bold: bool = False, indent: int = 0) -> None:
        if not text:
            return
        self.set_font(_FACE, "B" if bold else "", size)
        self.set_x(_MARGIN + indent)
        self.multi_cell(
            self.epw - indent,
            size * _LEADING * _POINT,
            printable(text),
            align="L",
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            wrapmode=WrapMode.WORD,
        )


def _with_type(pdf: FPDF) -> FPDF:
    pdf.add_font(_FACE, "", _FONTS / "DejaVuSans.ttf")
    pdf.add_font(_FACE, "B", _FONTS / "DejaVuSans-Bold.ttf")
    return pdf


def printable(text: str) -> str:
    """The text with what the type lacks, or what is no sign at all, shown as □."""
    return "".join(_signs(text))


def _signs(text: str) -> Iterator[str]:
    known = _known()
    for sign in text:
        yield sign if sign == "\n" or ord(sign) in known else " " if sign.isspace() else _LACKING


@lru_cache
def _known() -> frozenset[int]:
    """The signs that both cuts of the type have."""
    cuts = _with_type(FPDF()).fonts.values()
    return frozenset.intersection(*(frozenset(cut.cmap) for cut in cuts if isinstance(cut, TTFFont)))
