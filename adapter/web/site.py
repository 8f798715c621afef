"""What the pages are made of: a page shows, an action does; each says in which roles people may.

Every part of the site (operations, the boards, the signing in) is a module with its `PAGES`, `ACTIONS` and
`NAV`; `pages.Pages` puts them together and guards them all alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from sqlalchemy import Connection
from starlette.requests import Request

from adapter.errors import AdapterError, NotFound
from adapter.inbox import Inbox
from adapter.messaging.people import Person, Role
from adapter.messaging.register import Register
from adapter.phrases import phrase
from adapter.sight import Sight
from adapter.web.wording import Wording
from adapter.web.words import Words

EVERYBODY = frozenset(Role)
"""All who have signed in."""

_LARGEST_ID = 2**63 - 1
_LONGEST_FORM = 64 * 1024  # bytes
_MOST_FIELDS = 300


async def read_form(request: Request) -> dict[str, list[str]] | None:
    """A short form; None where what came is no form, or too long for one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return None
    try:
        return parse_qs(body.decode(), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None


def number(text: str | None) -> int | None:
    """A row number out of an address; None where it cannot be one."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    return value if (value := int(text)) <= _LARGEST_ID else None


_NUMBERED = {
    "delivery": "A delivery has a number, as in /deliveries/17.",
    "case": "A case has a number, as in /cases/17.",
    "message": "A message has a number, as in /messages/17.",
}


class Mistake(AdapterError):
    """A form that cannot be taken as it is: by the name of each field, what is wrong and what to do.

    The key "" is for what is about no single field. The sentences are in the reader's language.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = dict(fields)


def no_stay() -> NotFound:
    """Of a stay that is not there, or that somebody is not to know of."""
    return NotFound(phrase("There is no such stay. Your list shows those that there are."))


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """Bytes that somebody else has written, or that we made to be kept; never run, and no page of ours."""

    content: bytes
    media_type: str
    name: str
    shown: bool = False  # whether the browser may show it; else it is saved


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One template with its documents; or, for an alias, the address of what it stands for; or a file."""

    template: str
    title: str
    values: Mapping[str, Any]
    elsewhere: str | None = None
    patients: frozenset[str] = frozenset()  # pseudonyms of those whose data is shown: each look is recorded
    file: File | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One look at the store: who looks, what for, when, and with what to find it."""

    tx: Connection
    inbox: Inbox
    register: Register
    query: Mapping[str, str]
    path: Mapping[str, str]
    now: datetime
    person: Person
    sight: Sight
    words: Wording
    emergency_access: timedelta = timedelta(hours=1)  # how long one lasts
    typed: Mapping[str, str] = field(default_factory=dict)  # a form shown once more, as it was filled in
    mistakes: Mapping[str, str] = field(default_factory=dict)  # and what is wrong with it

    def row(self, what: str) -> int:
        """The row number in the path; NotFound where it cannot be one."""
        found = number(self.path["id"])
        if found is None:
            raise NotFound(phrase(_NUMBERED[what]))
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Doing:
    """One thing that somebody does with a form, in one unit of work."""

    tx: Connection
    inbox: Inbox
    register: Register
    form: Mapping[str, Sequence[str]]
    path: Mapping[str, str]
    now: datetime
    person: Person
    sight: Sight
    words: Words
    emergency_access: timedelta = timedelta(hours=1)  # how long one lasts
    concerns: set[str] = field(default_factory=set)  # pseudonyms of those it is about, besides the address's

    def text(self, name: str) -> str:
        """What was written in a field, without the space around it; empty where it was not sent."""
        return next(iter(self.form.get(name, ())), "").strip()

    def row(self) -> int:
        """The row number in the path; NotFound where it cannot be one."""
        found = number(self.path["id"])
        if found is None:
            raise NotFound(phrase("There is nothing with that number."))
        return found

    @property
    def by(self) -> str:
        """Who does it, as the history keeps it."""
        return self.person.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A way to a page that stands at the top of every page; `label` is a key of the catalogs."""

    path: str
    label: str
    roles: frozenset[Role]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page: its address, what it shows, and to whom."""

    path: str
    view: Callable[[Look], View]
    roles: frozenset[Role]


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """A form's address, what it does, and who may; `act` returns the address to go on to.

    `again` is the page on which a form with a Mistake is shown once more, as it was filled in.
    """

    path: str
    act: Callable[[Doing], str]
    roles: frozenset[Role]
    again: Callable[[Look], View] | None = None
