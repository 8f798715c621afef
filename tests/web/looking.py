"""Who looks at the pages in a test: somebody at the door who is whom the test says."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapter.messaging.people import Person, Role
from adapter.web.entrance import Came, Entrance


def care(role: Role, *parties: str, named: bool = True) -> Person:
    """Somebody who cares for patients, for these parties; for all where none is named."""
    return Person(
        id=f"{role}-{'-'.join(parties)}",
        name="Solveig Hauge",
        roles=frozenset({role}),
        parties=parties or None,
        named=named,
    )


def ward(*parties: str) -> Person:
    return care(Role.WARD, *(parties or ("laerdal-sjukehus",)))


def municipality(*parties: str) -> Person:
    return care(Role.MUNICIPALITY, *parties)


@contextmanager
def at_the_door(person: Person) -> Iterator[None]:
    """Whoever asks is this person."""

    async def came(_keeper: Entrance, _request: object) -> Came:
        return Came(person=person)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Entrance, "person", came)
        yield
