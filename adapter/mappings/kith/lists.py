"""The standard's code lists, loaded once from the commented tables under `codes/`."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """A table of `codes/`; those that few messages need are read with the first of them."""
    return tomllib.loads(files(__package__).joinpath("codes", f"{name}.toml").read_text(encoding="utf-8"))


MESSAGES: dict[str, str] = table("messages")["name"]
"""Message types of list 8279 with their names."""

LOGISTICS = table("logistics")
RECEIPTS = table("receipts")
FORMATS = table("formats")
PEOPLE = table("people")
DIALOGUE = table("dialogue")

OID = "2.16.578.1.12.4.1.1."
"""Prefix of the object identifiers of the code lists: the list's number follows."""
