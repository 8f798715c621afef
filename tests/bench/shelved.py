"""Several thousand patients' stays and plans in a store, as messages have brought them, for the bench."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from typing import Any

from adapter.discharge.notices import AnswerValue, NoticeKind
from adapter.fhir.bundles import Bundle
from adapter.fhir.wire import to_json
from adapter.incoming import Incoming
from tests.conftest import StandingClock
from tests.plans import plan_message
from tests.stage import SYNNOVE, Stage

K = NoticeKind
START = datetime(2014, 3, 3, 8, 0, tzinfo=UTC)
_AT_ONCE = 50
_PARTS = 8  # of each kind in a plan
_MUNICIPALITIES = ("luster", "sogndal")
_REPEATED = ("Goal", "ServiceRequest", "Task")
_STAY = "LS-1"
_UUID = re.compile(rb"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-)[0-9a-f]{12}")
_NUMBER = SYNNOVE.identifiers[0][1]


def fill(made: Stage, clock: StandingClock, patients: int) -> dict[str, list[float]]:
    """So many patients with a stay, its readiness and a plan; every third one's is answered.

    Returns milliseconds a message, for every fifty: `take` in the inbox, `shelve` on the shelves. A plan is
    compared with the one before it when it is taken, so that part of the shelving is in `take`.
    """
    spent: dict[str, list[float]] = {"take": [], "shelve": []}
    moulds = [Mould(made, municipality) for municipality in _MUNICIPALITIES]
    contents = (c for n in range(patients) for c in moulds[n % len(moulds)].messages(n))
    while some := [content for _, content in zip(range(_AT_ONCE), contents, strict=False)]:
        clock.forward(seconds=30)
        prepared = [made.built.inbox.read(Incoming(content=content)) for content in some]
        began = perf_counter()
        done = made.write(lambda tx, p=prepared: [made.built.inbox.take(tx, one, clock()) for one in p])
        taken = perf_counter()
        made.write(made.built.shelves.shelve)
        spent["take"].append((taken - began) * 1000 / len(some))
        spent["shelve"].append((perf_counter() - taken) * 1000 / len(some))
        held = [(one.code, one.reason) for one in done if one.outcome != "accepted"]
        assert not held, held[0]
    return spent


class Mould:
    """The messages about one patient, whose ids and numbers are replaced for the next one."""

    def __init__(self, made: Stage, municipality: str) -> None:
        register = made.built.register
        ready = str(uuid.uuid4())
        told: dict[str, Any] = {"receivers": (municipality,), "encounter": _STAY, "at": START}
        answer = told | {"receivers": ("laerdal-sjukehus",), "sender": municipality, "refers_to": ready}
        plan = plan_message(register, at=START, receivers=(municipality,), asked=municipality)
        _enlarge(plan)
        self._moulds = [
            made.message(K.ADMITTED, **told),
            made.message(K.READY_FOR_DISCHARGE, ready=START, message_id=ready, **told),
            to_json(plan),
            made.message(K.ANSWER, answer=AnswerValue.CAN_RECEIVE, **answer),
        ]

    def messages(self, number: int) -> Iterator[bytes]:
        """Those about patient number so and so."""
        born = date(1920, 1, 1) + timedelta(days=number % 9000)
        person = f"{born.day:02}{born.month + 80:02}{born.year % 100:02}{number:05}"  # 80: a test person
        for mould in self._moulds[: 4 if number % 3 == 0 else 3]:
            content = mould.replace(f'"{_NUMBER}"'.encode(), f'"{person}"'.encode())
            content = content.replace(f'"{_STAY}"'.encode(), f'"LS-{number}"'.encode())
            yield _UUID.sub(rb"\g<1>%012x" % number, content)


def _enlarge(bundle: Bundle) -> None:
    """More goals, measures and tasks than one of each."""
    plan = next(i["resource"] for i in bundle["entry"] if i["resource"]["resourceType"] == "CarePlan")
    for item in [i for i in bundle["entry"] if i["resource"]["resourceType"] in _REPEATED]:
        for _ in range(_PARTS - 1):
            new = str(uuid.uuid4())
            bundle["entry"].append({"fullUrl": f"urn:uuid:{new}", "resource": item["resource"] | {"id": new}})
            referred = {"reference": f"urn:uuid:{new}"}
            if item["resource"]["resourceType"] == "Goal":
                plan["goal"].append(referred)
            else:
                plan["activity"].append({"reference": referred})
