"""The standard's code lists, loaded once from the commented tables under `codes/`."""

import tomllib
from importlib.resources import files
from typing import Any


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("codes", f"{name}.toml").read_text(encoding="utf-8"))


MESSAGES: dict[str, str] = _table("messages")["name"]
"""Message types of list 8279 with their names."""

LOGISTICS = _table("logistics")
RECEIPTS = _table("receipts")
FORMATS = _table("formats")
PEOPLE = _table("people")
DIALOGUE = _table("dialogue")

OID = "2.16.578.1.12.4.1.1."
"""Prefix of the object identifiers of the code lists: the list's number follows."""
