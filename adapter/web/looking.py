"""Who has looked at whom, written down: every page and form about a patient becomes an AuditEvent.

A page is given out only when its look is in the store (HSLF-FS 2016:40 4 kap. 9 §; pasientjournalloven § 22).
"""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from adapter.messaging.people import Person, Role
from adapter.sight import Sight
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import messages as message_rows
from adapter.store import resources
from adapter.web.site import number

_CASES = ("/cases/{id}", "/stays/{id}")

LASTS = timedelta(minutes=30)
"""For how long an open page that keeps itself up to date is one look, and not a new one each time."""

_MOST = 200_000  # looks that are remembered


class Repeats:
    """Remembers which looks this process has written down lately, the oldest first.

    That a page says it is only kept up to date is not believed: whoever was not written down, is now.
    """

    def __init__(self) -> None:
        self._written: dict[tuple[str, str, str], datetime] = {}
        self._alone = threading.Lock()

    def new(
        self, person: Person, page: str, patients: frozenset[str], now: datetime, *, again: bool
    ) -> frozenset[str]:
        """Those of the patients whose look is to be written down; all, unless it is looked `again`."""
        if not again:
            return patients
        with self._alone:
            written = {one: self._written.get((person.id, page, one)) for one in patients}
        return frozenset(one for one, at in written.items() if at is None or not at <= now < at + LASTS)

    def keep(self, person: Person, page: str, patients: frozenset[str], now: datetime) -> None:
        """These have been written down."""
        with self._alone:
            for one in patients:
                self._written.pop((person.id, page, one), None)
                self._written[person.id, page, one] = now
            while len(self._written) > _MOST:
                del self._written[next(iter(self._written))]


def about(tx: Connection, pattern: str, path: Mapping[str, str]) -> frozenset[str]:
    """The pseudonym of the patient whom an address is about; nobody where it is about none."""
    wanted = number(path.get("id"))
    if wanted is None:
        return frozenset()
    case_id: int | None = None
    if pattern.startswith(_CASES):
        case_id = wanted
    elif pattern.startswith("/deliveries/{id}"):
        row = delivery_rows.get(tx, wanted)
        case_id = row["case_id"] if row is not None else None
    elif pattern.startswith("/messages/{id}"):
        row = message_rows.get(tx, wanted)
        case_id = row["case_id"] if row is not None else None
    case = case_rows.get(tx, case_id) if case_id is not None else None
    return frozenset({case["patient"]}) if case is not None else frozenset()


def write(
    tx: Connection, what: str, page: str, patients: Collection[str], sight: Sight, now: datetime
) -> None:
    """A line for each patient: who, in which role, on which page, and why where it was an emergency."""
    person = sight.person
    common = {
        "at": now,
        "partner": None,
        "what": what,
        "type": "Patient",
        "fhir_id": None,
        "found": 1,
        "person": person.id,
        "name": person.name,
        "role": ", ".join(role.value for role in Role if role in person.roles),
        "page": page,
    }
    rows = [common | {"patient": one, "why": sight.emergencies.get(one)} for one in sorted(patients)]
    if rows:
        resources.accessed(tx, rows)
