"""The rosters of a process: read at the start, looked at every second, and told of where one is wanting.

Every process that takes messages has its own. One that can no longer be read is told of at once; what was
read before holds until it is too old.
"""

import socket
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

import structlog
from sqlalchemy import Connection

from adapter.alarming import Alarms
from adapter.config.roster import source
from adapter.config.values import written
from adapter.errors import AdapterError, ConfigurationError
from adapter.messaging.register import Party, Register
from adapter.phrases import English, Lasting, Phrase, dated, phrase
from adapter.relevance import Roster
from adapter.store import Store

log = structlog.get_logger("rosters")

EVERY = 1.0
"""Seconds between two looks."""


class Rosters:
    """What each party's roster says now, by the party's id."""

    def __init__(
        self,
        register: Register,
        *,
        key: bytes,
        clock: Callable[[], datetime],
        zone: tzinfo,
        machine: str | None = None,
    ) -> None:
        self._clock, self._zone = clock, zone
        self._machine = machine or socket.gethostname()
        self.parties: Mapping[str, Party] = {p.id: p for p in register.parties if p.roster is not None}
        self._sources = {
            name: source(name, party.roster, key)
            for name, party in self.parties.items()
            if party.roster is not None
        }
        self._known: dict[str, Roster] = {}
        self._faults: dict[str, str] = {}
        self._told: dict[str, Phrase | None] = {}
        self._looked = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, party: str) -> Roster | None:
        """The party's roster; None where none could be read."""
        if not self._looked:
            self.look()
        return self._known.get(party)

    def look(self) -> None:
        """Read what has changed."""
        for name, asked in self._sources.items():
            try:
                found = asked(self._clock())
            except ConfigurationError as error:
                self._faults[name] = str(error)
                continue
            self._faults.pop(name, None)
            if found is not None:
                self._known[name] = found
        self._looked = True

    def problems(self) -> dict[str, Phrase]:
        """What is wanting, in a sentence, by party."""
        found = {name: self._problem(name, party) for name, party in self.parties.items()}
        return {name: text for name, text in found.items() if text is not None}

    def _problem(self, name: str, party: Party) -> Phrase | None:
        known, fault = self._known.get(name), self._faults.get(name)
        assert party.roster is not None
        if known is None:
            return phrase(
                "the roster of {party} cannot be used: {fault}; what hospitals tell it is not taken until it "
                "can",
                party=name,
                fault=English(fault) if fault else phrase("it is being written"),
            )
        until = known.as_of + party.roster.within
        since, ends = (dated(at.astimezone(self._zone)) for at in (known.as_of, until))
        old = self._clock() > until
        if old:
            text = phrase(
                "the roster of {party} is of {since}, more than {span} ago; bring it up to date: what "
                "hospitals tell it is not taken until then",
                party=name,
                since=since,
                span=Lasting(party.roster.within, written(party.roster.within)),
            )
            return phrase("{what} ({fault})", what=text, fault=English(fault)) if fault is not None else text
        if fault is not None:
            return phrase(
                "the roster of {party} cannot be used: {fault}; the one of {since} holds until {ends}, then "
                "what hospitals tell it is not taken",
                party=name,
                fault=English(fault),
                since=since,
                ends=ends,
            )
        return None

    # --- in a running process ---

    def start(self, store: Store, alarms: Alarms) -> None:
        """Look now, then again and again, and tell people in alarms."""
        if not self.parties:
            return
        self.look()
        self.tell(store, alarms)
        self._thread = threading.Thread(target=self._run, args=(store, alarms), name="rosters", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def tell(self, store: Store, alarms: Alarms) -> None:
        """Raise or end the alarm of each party whose roster has become wanting, or no longer is."""
        problems = self.problems()
        news = {
            name: problems.get(name)
            for name in self.parties
            if name not in self._told or (self._told[name] is None) != (name not in problems)
        }
        if not news:
            return

        def unit(tx: Connection) -> None:
            for name, text in news.items():
                subject = f"roster of {name} on {self._machine}"
                if text is None:
                    alarms.end(tx, "roster", subject, self._clock())
                else:
                    alarms.start(tx, kind="roster", subject=subject, text=text, now=self._clock())

        store.write(unit)
        self._told |= news
        for name, text in news.items():
            if text is not None:
                log.error("a roster is wanting", party=name, problem=text)

    def _run(self, store: Store, alarms: Alarms) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.look()
                self.tell(store, alarms)
            except Exception as error:  # noqa: BLE001  # nobody else would notice that the looks have ended
                said = str(error) if isinstance(error, AdapterError) else type(error).__name__
                log.error("the rosters could not be looked at", error=said)


def roster_findings(register: Register, clock: Callable[[], datetime], zone: tzinfo) -> list[str]:
    """What `check` says of the rosters."""
    made = Rosters(register, key=b"check", clock=clock, zone=zone)
    made.look()
    return list(made.problems().values())
