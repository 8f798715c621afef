"""Somebody who has signed in, for tests of the boards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapter.messaging.people import Person, Role
from adapter.web.entrance import Came, Entrance

WARD = Person(id="solveig", name="Solveig Ness", roles=frozenset({Role.WARD}), parties=("laerdal-sjukehus",))
SOGNDAL = Person(id="marta", name="Marta Kvam", roles=frozenset({Role.MUNICIPALITY}), parties=("sogndal",))
LUSTER = Person(id="olav", name="Olav Hatle", roles=frozenset({Role.MUNICIPALITY}), parties=("luster",))
BACKA = Person(
    id="elin", name="Elin Berg", roles=frozenset({Role.PRIMARY_CARE}), parties=("backa-vardcentral",)
)
VANNAS = Person(id="per", name="Per Lind", roles=frozenset({Role.MUNICIPALITY}), parties=("vannas",))
UMEA = Person(id="ida", name="Ida Ström", roles=frozenset({Role.WARD}), parties=("umea-lasarett",))
OPERATOR = Person(id="drift", name="Drift", roles=frozenset({Role.OPERATIONS}), parties=None)


@dataclass
class Door:
    """Who is at the door; a test says it."""

    person: Person


@contextmanager
def signed_in(person: Person) -> Iterator[Door]:
    """Every request is that person's, until the test says that another one has come."""
    door, before = Door(person), Entrance.person

    async def came(_self: Entrance, _request: object) -> Came:
        return Came(person=door.person)

    Entrance.person = came  # type: ignore[assignment, method-assign]
    try:
        yield door
    finally:
        Entrance.person = before  # type: ignore[method-assign]
