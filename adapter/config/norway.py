"""The settings that only Norway has: the table `[norway]` of `adapter.toml`."""

from pathlib import Path
from typing import Literal

from adapter.config.values import Frozen


class NorwaySettings(Frozen):
    """See docs/settings.md."""

    schemas: Path | None = None  # a folder with the official XSD files; none = the typed reading alone
    schema_errors: Literal["warn", "refuse"] = "warn"  # what becomes of a message that is not valid (N-05)
