"""The catalogs of `adapter/discharge/locales`: after a change to a .po file, `python -m tests.catalogs`."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

DATED = datetime(2026, 11, 25, tzinfo=UTC)
LOCALES = Path(__file__).parent.parent / "adapter" / "discharge" / "locales"


def catalog(language: str) -> Catalog:
    """The catalog of a language, as its file has it."""
    return read_po(BytesIO((LOCALES / f"{language}.po").read_bytes()), locale=language)


def compiled(language: str) -> bytes:
    """What gettext reads at run time."""
    made, written = catalog(language), BytesIO()
    made.creation_date = made.revision_date = DATED
    write_mo(written, made)
    return written.getvalue()


if __name__ == "__main__":
    for po in LOCALES.glob("*.po"):
        po.with_suffix(".mo").write_bytes(compiled(po.stem))
