"""A communication party as the Norwegian address register (Adresseregisteret) has it.

Organisations are HER-ids of level 1, services and persons of level 2 below one. What the register says of a
person beside name, place and addresses (national number, date of birth, authorisations) has no field here,
so it is neither shown nor kept.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

EDI = "E_EDI"
"""Code of an electronic address (list 9044): where messages for the party go in the ebXML network."""

TELEPHONE = "E_TLF"
"""Code of an electronic address (list 9044): a telephone number."""

CERTIFICATE = "E_DS"
"""Code of an electronic address (list 9044): where the party's certificates are found, an LDAP URL."""

_HER_ID = re.compile(r"[1-9]\d{0,8}", re.ASCII)  # the register's own type is a 32-bit number


class PartyKind(StrEnum):
    """What kind of party it is."""

    ORGANISATION = "organisation"
    SERVICE = "service"
    PERSON = "person"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectronicAddress:
    """An address of list 9044: `kind` is its code, as E_EDI, E_DS, E_TLF."""

    kind: str
    address: str
    inherited: bool  # the organisation's, not the party's own


@dataclass(frozen=True, kw_only=True, slots=True)
class PostalAddress:
    """A place of list 3401: `kind` is its code, as PST (post), RES (to visit)."""

    kind: str
    street: str | None
    postbox: str | None
    postal_code: str | None
    city: str | None
    country: str | None  # code of list 9043; None is mostly Norway
    inherited: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CommunicationParty:
    """One party; times are in UTC, an absent one is no bound."""

    her_id: str
    kind: PartyKind
    name: str | None
    display_name: str | None  # what people call it, where that is another
    active: bool
    receives: bool  # IsValidCommunicationParty: may be sent messages to, as the register sees it
    valid_from: datetime | None
    valid_to: datetime | None
    parent_her_id: str | None
    parent_name: str | None
    parent_organisation_number: str | None
    organisation_number: str | None
    municipality: str | None  # number, four digits (list 3402)
    electronic: tuple[ElectronicAddress, ...] = ()
    postal: tuple[PostalAddress, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called, each once."""
        return tuple(dict.fromkeys(n for n in (self.name, self.display_name) if n))

    @property
    def edi(self) -> str | None:
        """Where messages for it go in the ebXML network."""
        return next(iter(self._electronic(EDI)), None)

    @property
    def certificates(self) -> tuple[str, ...]:
        """Where its certificates are found."""
        return self._electronic(CERTIFICATE)

    @property
    def telephone(self) -> str | None:
        """The first number under which it can be called."""
        return next(iter(self._electronic(TELEPHONE)), None)

    def _electronic(self, kind: str) -> tuple[str, ...]:
        return tuple(e.address for e in self.electronic if e.kind == kind)


def her_id(text: str) -> str | None:
    """A HER-id without dots and spaces; None where the text is none (a person's number never is one)."""
    plain = re.sub(r"[.\s]", "", text)
    return plain if _HER_ID.fullmatch(plain) else None


@cache
def _form() -> TypeAdapter[CommunicationParty]:
    return TypeAdapter(CommunicationParty)


def document(party: CommunicationParty) -> dict[str, Any]:
    """The party as JSON has it."""
    made: dict[str, Any] = _form().dump_python(party, mode="json")
    return made


def written(party: CommunicationParty | None) -> str | None:
    """The party as text, to be kept; None where the register knows none."""
    return None if party is None else _form().dump_json(party).decode()


def read(text: str) -> CommunicationParty:
    """And back. Raises ValueError where another version of this program has written it in another form."""
    try:
        return _form().validate_json(text)
    except ValidationError:
        raise ValueError("a communication party of another form") from None
