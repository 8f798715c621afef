"""The catalogs of the law's sentences and of the words of the pages, a folder for each part.

After a change to a .po file: `python -m tests.catalogs`.
"""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

DATED = datetime(2026, 11, 25, tzinfo=UTC)
_ADAPTER = Path(__file__).parent.parent / "adapter"
LOCALES = _ADAPTER / "discharge" / "locales"
PLAN_LOCALES = _ADAPTER / "web" / "locales" / "plan"
PAGE_LOCALES = _ADAPTER / "web" / "locales"


def catalog(language: str, folder: Path = LOCALES) -> Catalog:
    """The catalog of a language, as its file has it."""
    return read_po(BytesIO((folder / f"{language}.po").read_bytes()), locale=language)


def compiled(language: str, folder: Path = LOCALES) -> bytes:
    """What gettext reads at run time."""
    made, written = catalog(language, folder), BytesIO()
    made.creation_date = made.revision_date = DATED
    write_mo(written, made)
    return written.getvalue()


if __name__ == "__main__":
    for folder in (LOCALES, *sorted(path for path in PAGE_LOCALES.iterdir() if path.is_dir())):
        for po in folder.glob("*.po"):
            po.with_suffix(".mo").write_bytes(compiled(po.stem, folder))
