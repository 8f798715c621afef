"""Two adapters in real processes, a hospital's and a municipality's, with a fault proxy between them.

The hospital tells in our own FHIR messages, the wire speaks MedCom. Both know the same parties: what is ours
here is theirs there. Both make the same pseudonyms, so that what each holds of a patient can be compared.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import requests

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.fhir.bundles import CPR, SOR, Subject
from adapter.fhir.notices import message_bundle
from adapter.fhir.wire import to_json
from adapter.messaging.envelope import Address
from tests import warm
from tests.between import Proxy
from tests.rig import ROOT, AProcess, Rig, free_port, warmed

GLN = "https://www.gs1.org/gln"
TOKEN = "between-two"
HOSPITAL = Address(identifiers=((GLN, "5790000000011"), (SOR, "1110000016001")), name="Nordby Hospital")
AABY = Address(identifiers=((GLN, "5790000000035"), (SOR, "1110000016003")), name="Aaby Kommune")
CEBY = Address(identifiers=((GLN, "5790000000059"), (SOR, "1110000016005")), name="Ceby Kommune")
DEBY = Address(identifiers=((GLN, "5790000000066"), (SOR, "1110000016006")), name="Deby Kommune")

_PARTIES = {
    "nordby": (HOSPITAL, "hospital"),
    "aaby": (AABY, "municipality"),
    "ceby": (CEBY, "municipality"),
    "deby": (DEBY, "municipality"),
}
BEHIND = ("ceby", "deby")
"""Those with a system of their own behind the adapter, whose word travels back; Deby's refuses everything."""


def cpr(number: int) -> str:
    """Of somebody born in 1860, as the seventh digit says: nobody's today."""
    return f"{1 + number % 28:02}0{1 + number % 9}60{5000 + number:04}"


@dataclass
class Instance(Rig):
    """One of the two: the process, its settings and its region file."""

    ours: tuple[str, ...] = ()
    more: dict[str, str] = field(default_factory=dict)  # further lines of a party
    peer_port: int = 0  # of the proxy before the other one

    def write_configuration(self) -> None:
        lines = ['name = "Danmark"', 'agreement = "denmark"', ""]
        for party, (address, kind) in _PARTIES.items():
            ids = [f'"{"GLN" if system == GLN else "SOR"}|{value}"' for system, value in address.identifiers]
            lines += ["[[party]]", f'id = "{party}"', f'name = "{address.name}"', f'kind = "{kind}"']
            lines += [f"identifiers = [{', '.join(ids)}]"]
            if party not in self.ours:
                lines += ['side = "theirs"', 'endpoint = "other"']
            elif party in BEHIND:
                lines += ['receipt = "delivered"', f'endpoint = "{party}"']
            else:
                lines += ['receipt = "stored"']
            lines += [self.more.get(party, ""), ""]
        lines += _endpoint("other", self.peer_port, "medcom")
        for name, port in self.ports.items():
            lines += _endpoint(name, port, "fhir")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        named = ", ".join(f'"{party}"' for party in _PARTIES)
        lines += ["[[partner]]", 'name = "other"', f"parties = [{named}]", f'token_sha256 = "{digest}"', ""]
        (self.folder / "region.toml").write_text("\n".join(lines))
        self.config.write_text(
            f'region = "region.toml"\nstore = "{self.url_of_store}"\nport = {self.port}\n'
            'pseudonym_key = "the same on both sides"\n\n'
            '[retry]\ndelays = ["PT0.1S", "PT0.2S", "PT0.5S"]\nrest_after = 100000\n'
        )

    def process(self, role: str, **_: Any) -> "AProcess":  # type: ignore[override]
        words = ["-m", "adapter.cli", "--config", str(self.config), "run", "--role", role]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        with (self.folder / "adapter.log").open("ab") as log:
            if warmed():
                return warm.start(words, cwd=self.folder, env=env, stdout=log, stderr=log)
            return subprocess.Popen(
                [sys.executable, *words], cwd=self.folder, env=env, stdout=log, stderr=log
            )

    def came(self) -> dict[str, tuple[str, str]]:
        """Of each message of the other one: what became of it here, and the last word that was said of it."""
        passed_on = "delivery.message_row = message.id AND delivery.kind <> 'receipt'"
        query = (
            "SELECT message.message_id, message.outcome, delivery.state FROM message "
            f"LEFT JOIN delivery ON {passed_on} "
            "WHERE message.dialect = 'medcom' AND message.sender = 'nordby'"
        )
        return {
            str(number): (str(outcome), str(state or "acknowledged"))
            for number, outcome, state in self.rows(query)
        }

    def notices(self) -> dict[str, set[tuple[str, ...]]]:
        """The notices that each patient's facts hold: what, whether new or of an earlier one, and when."""
        found: dict[str, set[tuple[str, ...]]] = {}
        kinds = ", ".join(f"'{kind}'" for kind in NoticeKind)
        for patient, kind, body in self.rows(f"SELECT patient, kind, body FROM fact WHERE kind IN ({kinds})"):
            said = orjson.loads(str(body))
            occurred = datetime.fromisoformat(said["occurred"]).astimezone(UTC)
            notice = (str(kind), str(said.get("standing", "new")), occurred.isoformat())
            found.setdefault(str(patient), set()).add(notice)
        return found

    def by_patient(self, where: str) -> set[str]:
        """The patients of whom there are such deliveries."""
        cases = "delivery JOIN discharge_case ON discharge_case.id = delivery.case_id"
        return {str(row[0]) for row in self.rows(f"SELECT patient FROM {cases} WHERE {where}")}

    def cases(self) -> dict[str, list[tuple[object, ...]]]:
        """What the cases of each patient have come to."""
        columns = "patient, state, admitted_at, discharged_at"
        found: dict[str, list[tuple[object, ...]]] = {}
        for patient, *case in self.rows(f"SELECT {columns} FROM discharge_case WHERE merged_into IS NULL"):
            found.setdefault(str(patient), []).append(tuple(case))
        return {patient: sorted(cases, key=str) for patient, cases in found.items()}


def _endpoint(name: str, port: int, dialect: str) -> list[str]:
    return [
        "[[endpoint]]", f'name = "{name}"', 'transport = "fhir"', f'dialect = "{dialect}"',
        f'address = "http://127.0.0.1:{port}/fhir/$process-message"', f'token = "{TOKEN}"',
        'timeout = 3\nreceipt_within = "PT1S"\nresends = 10\nconcurrency = 4', "",
    ]  # fmt: skip


@dataclass
class Two:
    """Both adapters, and the proxies in front of each."""

    hospital: Instance
    municipality: Instance
    there: Proxy  # before the municipality
    back: Proxy  # before the hospital

    def calm(self) -> None:
        self.there.calm()
        self.back.calm()

    def post(self, content: bytes) -> None:
        """From the hospital's own system to its adapter, which no fault lies between: it is stored there."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
        answer = requests.post(self.hospital.url, data=content, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something to hold."""
        limit = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < limit, f"{what}: not within {seconds} s\n{self.tail()}"
            time.sleep(0.05)

    def settled(self) -> bool:
        """Whether nothing is on its way, and every receipt has come."""
        return not self.hospital.unfinished() and not self.municipality.unfinished()

    def resent(self) -> int:
        """How often the hospital has sent something again because no acknowledgement came in time."""
        query = "SELECT count(*) FROM attempt WHERE trigger = 'missing-receipt' AND outcome = 'sent'"
        return self.hospital.number(query)

    def tail(self) -> str:
        waiting = "SELECT id, kind, party, state, attempts, error FROM delivery WHERE state <> 'acknowledged'"
        sides = (self.hospital, self.municipality)
        return "\n".join(f"{side.rows(waiting)[:20]}\n{side.log()[-1500:]}" for side in sides)


@contextmanager
def two(folder: Path, *, seed: int, share: float, roster: tuple[str, ...]) -> Iterator[Two]:
    """Both running; of `roster` Aaby Kommune may be told."""
    ports = free_port(), free_port()
    there, back = Proxy(ports[1], seed=seed, share=share), Proxy(ports[0], seed=seed + 1, share=share)
    sides = []
    for name, port, peer, ours in (
        ("hospital", ports[0], there.port, ("nordby",)),
        ("municipality", ports[1], back.port, ("aaby", "ceby", "deby")),
    ):
        (folder / name).mkdir()
        behind = tuple(party for party in ours if party in BEHIND)
        made = Instance(folder=folder / name, names=behind, ours=ours, port=port, peer_port=peer)
        made.faults = "reject=deby:1,not-now=ceby:0.2,reset=ceby:0.2"
        sides.append(made)
    both = Two(hospital=sides[0], municipality=sides[1], there=there, back=back)
    both.municipality.more = {"aaby": 'roster = "roster"'}
    (folder / "municipality" / "roster").write_text("".join(f"{number}\n" for number in roster))
    try:
        both.municipality.start_receivers()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda side: side.start(wait=60), sides))
        yield both
    finally:
        for side in sides:
            side.stop()
        there.close()
        back.close()


# --- what the hospital tells ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stay:
    """One patient's messages, in order; each with the id under which it is told."""

    number: int
    receivers: tuple[Address, ...]
    messages: tuple[bytes, ...]


def stay(number: int, receivers: tuple[Address, ...], dice: random.Random, now: datetime) -> Stay:
    """One of the ways in which a stay may go; it began some hours ago.

    What rests on a refused message waits for a person, so Deby's stays go straight on.
    """
    way = dice.choice(_WAYS if DEBY not in receivers else _STRAIGHT_ON)
    at = now - timedelta(hours=10 + number % 5)
    admitted = at
    said: list[tuple[Notice, str]] = []
    for kind, standing in way:
        before = next((n for n, base in reversed(said) if base == kind), None) if standing else None
        at += timedelta(minutes=dice.randint(20, 60))
        occurred = before.occurred if before is not None else admitted if kind == "admitted" else at
        if standing is Standing.CORRECTION and before is not None:
            occurred = before.occurred + timedelta(minutes=5)
        if kind == "admitted":
            admitted = occurred if isinstance(occurred, datetime) else admitted
        made = Notice(
            kind=NoticeKind(kind),
            message_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
            sender=HOSPITAL.token,
            occurred=occurred,
            sent_at=at,
            admitted=admitted,
            standing=standing or Standing.NEW,
            refers_to=before.message_id if before is not None else None,
            encounter=f"stay-{number}",
        )
        said.append((made, kind))
    subject = Subject(
        identifiers=((CPR, cpr(number)),), family="Prøve", given=f"Nr {number}", gender="female"
    )
    bundles = (
        message_bundle(
            notice,
            subject=subject,
            sender=HOSPITAL,
            receivers=list(receivers),
            hospital=HOSPITAL,
            transmission_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        )
        for notice, _ in said
    )
    return Stay(number=number, receivers=receivers, messages=tuple(to_json(bundle) for bundle in bundles))


_CORRECTED, _CANCELLED = Standing.CORRECTION, Standing.CANCELLATION
_Way = tuple[tuple[str, Standing | None], ...]
_STRAIGHT_ON: tuple[_Way, ...] = (
    (("admitted", None), ("discharged", None)),
    (("admitted", None), ("deceased", None)),
)
_WAYS: tuple[_Way, ...] = (
    *_STRAIGHT_ON,
    (("admitted", None), ("leave-started", None), ("leave-ended", None), ("discharged", None)),
    (("admitted", None), ("admitted", _CORRECTED), ("discharged", None)),
    (("admitted", None), ("admitted", _CANCELLED)),
    (("admitted", None), ("leave-started", None), ("leave-started", _CANCELLED)),
)
