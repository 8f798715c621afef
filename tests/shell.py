"""A folder in which commands of the adapter are run, and what each left behind."""

import io
import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from adapter.cli import main
from tests import warm

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
ALONE = FIXTURES / "regions" / "laerdal-alone.toml"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command left behind."""

    status: int
    out: bytes = field(repr=False)
    said: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)  # fails where anything else is printed beside the one document


@dataclass(frozen=True)
class Shell:
    """A folder in which commands are run."""

    folder: Path

    def __call__(self, *arguments: object, stdin: bytes = b"", **settings: str) -> Ended:
        words = [str(a) for a in arguments]
        env = environment() | {f"DISCHARGE_ADAPTER_{k.upper()}": v for k, v in settings.items()}
        if {"run", "simulate"} & set(words):
            done = warm.run(["-m", "adapter.cli", *words], cwd=self.folder, env=env, input=stdin, timeout=100)
            return Ended(status=done.returncode, out=done.stdout, said=done.stderr.decode())
        return self._here(words, stdin, env)

    def _here(self, words: list[str], stdin: bytes, env: dict[str, str]) -> Ended:
        """The same without starting Python anew: `main` in this process."""
        out, said = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in set(os.environ) - set(env):
                patch.delenv(name)
            for name, value in env.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["discharge-adapter", *words])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", said)
            try:
                main()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except Exception:  # noqa: BLE001  # what a process of its own would print
                status = 1
                said.write(traceback.format_exc())
            finally:
                structlog.reset_defaults()
        out.flush()
        return Ended(status=status, out=out.buffer.getvalue(), said=said.getvalue())  # type: ignore[attr-defined]

    def with_region(self, region: Path = ALONE) -> "Shell":
        (self.folder / "region.toml").write_bytes(region.read_bytes())
        (self.folder / "adapter.toml").write_text('region = "region.toml"\n')
        return self


def environment() -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("DISCHARGE_ADAPTER_", "_TYPER"))}
    return plain | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "LC_ALL": "C.UTF-8"}
