"""What stands on the outside of a message: who to whom, when, under which number.

The dialect's own address block is kept opaque beside it, so that a receipt can mirror it to the letter
(HIS 80415, N-04).
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

HER = "urn:oid:2.16.578.1.12.4.1.2"
"""Identifier system of the Norwegian address register's HER-id."""

PERSON_SYSTEMS = (
    "urn:oid:2.16.578.1.12.4.1.4.1",
    "urn:oid:2.16.578.1.12.4.1.4.2",
    "urn:oid:2.16.578.1.12.4.1.4.3",
    "http://electronichealth.se/identifier/personnummer",
    "urn:oid:1.2.208.176.1.2",
    "http://electronichealth.se/identifier/samordningsnummer",
    "urn:oid:1.2.752.129.2.1.3.1",
    "urn:oid:1.2.752.129.2.1.3.3",
)
"""Identifier systems of persons: fødselsnummer, D-nummer, hjelpenummer, personnummer, CPR, samordningsnummer.

The last two are Sweden's personnummer and samordningsnummer as OIDs.
"""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

LONGEST_ID = 200
"""Characters of an identifier or a message id. None in use has half of it, and databases look them up."""

_LONG_OF_THEIR_OWN = re.compile(
    r"https://www\.gs1\.org/gln\|\d{13}|urn:oid:1\.2\.752\.29\.4\.19\|SE\d{10}-\w+"
)
_LIKE_A_NUMBER = re.compile(r"(?<!\d)\d(?:[\W_]{0,3}\d){9,12}(?!\d)")
"""10 to 13 digits, as a person's number has, however they are set apart."""

_NUMBER_IN_A_SYSTEM = re.compile(r"(?<!\d)(?:\d{2})?\d{6}[-+ ]?\d{4,5}(?!\d)")  # the dots there are an OID's
_LONGEST_SAID = 80  # characters: an address is said in alarms and on pages, where nobody reads more


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A communication party as a message writes it.

    `identifiers` are `(system, value)` pairs, the most specific level (service, person) first; HER-ids
    come without dots.
    """

    identifiers: tuple[tuple[str, str], ...]
    name: str | None = None
    copy: bool = False  # a copy receiver (RoleReceiver COP)
    persons: int = field(default=0, compare=False)  # how many of the first identifiers are a person's

    @property
    def token(self) -> str:
        """The most specific identifier as `system|value`, for logs and for parties nobody registered."""
        if not self.identifiers:
            return "unaddressed"
        system, value = self.identifiers[0]
        return f"{system}|{value}"

    @property
    def fits(self) -> bool:
        """Whether no identifier is longer than `LONGEST_ID`."""
        return all(len(part) <= LONGEST_ID for pair in self.identifiers for part in pair)

    @property
    def said(self) -> str:
        """The same for people: `HER-id 8143501`, without what may be the number of a person."""
        system, bar, value = self.token.partition("|")
        text = f"{system}{bar}{value}"
        if not _LONG_OF_THEIR_OWN.fullmatch(text):
            told = "*" if system in PERSON_SYSTEMS else masked(value)
            text = f"{_NUMBER_IN_A_SYSTEM.sub('*', system)}{bar}{told}"
        if system == HER:
            text = f"HER-id {masked(value)}"
        if len(text) > _LONGEST_SAID:
            text = f"{text[:_LONGEST_SAID]}…"
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    @property
    def party_id(self) -> str:
        """The id of the party where nobody has registered it: `her-8143510`, of its organisation.

        Such an id stands in logs, in URLs and on pages, so it holds nothing that may be a person's number.
        """
        if not self.identifiers:
            return "unaddressed"
        system, value = self.identifiers[-1]
        short = "her" if system == HER else system.rsplit(":", 1)[-1].rsplit("/", 1)[-1]
        return f"{_impersonal('', short)}-{_impersonal(system, value)}"


def _impersonal(system: str, value: str) -> str:
    """An identifier's value without what may be the number of a person, or what no reader could use.

    Three hexadecimal digits in its place tell most values apart, and are far too few to find the number by.
    """
    digits = f"*{sha256(value.encode()).hexdigest()[:3]}"
    if system in PERSON_SYSTEMS or len(value) > _LONGEST_SAID or not value.isprintable():
        return digits
    if _LONG_OF_THEIR_OWN.fullmatch(f"{system}|{value}"):
        return value
    return (_LIKE_A_NUMBER if system else _NUMBER_IN_A_SYSTEM).sub(digits, value)


def is_uuid(text: str) -> bool:
    """Whether that is a UUID as text, in small letters or capitals (RFC 9562, 4)."""
    return _UUID.fullmatch(text) is not None


def masked(text: str) -> str:
    """`text` without what may be the number of a person."""
    return _LIKE_A_NUMBER.sub("*", text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The outside of one message, in terms that every dialect shares."""

    dialect: str  # the name under which `mappings` knows it, version included: plo-1.6, fhir, …
    message_id: str
    type: str  # the dialect's own: LOG_INNLAGT, APPREC, an event code
    sent_at: datetime
    sender: Address
    receivers: tuple[Address, ...]
    content_type: str
    transmission_id: str | None = None  # Bundle.id: changes from sending to sending where the dialect says so
    refers_to: str | None = None  # the message this one answers, corrects or cancels (RefToParent)
    conversation: str | None = None
    production: bool | None = None  # ProcessingStatus P; None where it is not said
    opaque: Any = field(default=None, repr=False, compare=False)  # the dialect's own addresses
