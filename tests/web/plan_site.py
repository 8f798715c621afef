"""The pages of plans behind a real server: the plans are the fixtures', and nothing else is made up."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from adapter.config import Settings
from adapter.fhir.bundles import Bundle
from adapter.messaging.people import Person, Role
from adapter.runtime import Adapter, stations
from adapter.runtime.people import entrance_of
from adapter.sight import Sight
from adapter.web.plan_pages import LoadedPlan, PlanPages, PlanVersion
from tests.conftest import OSLO, StandingClock
from tests.people import people_file
from tests.plan_fixtures import INDIVIDUAL, SIP, all_of, bundle, care_plan, protect

from .conftest import signed_in

AT = datetime(2024, 4, 10, 9, 5, tzinfo=OSLO)
SCRIPT = "<script>alert('plan')</script>"


def before_the_meeting() -> Bundle:
    """The SIP as it was: the training not yet declined, another day, one fewer to take part."""
    made = copy.deepcopy(bundle())
    tasks = {task["restriction"]["period"]["end"]: task for task in all_of(made, "Task")}
    tasks["2024-03-20"]["status"] = "requested"
    tasks["2024-03-20"].pop("statusReason")
    tasks["2024-04-03"]["restriction"]["period"]["end"] = "2024-03-27"
    all_of(made, "CareTeam")[0]["participant"].pop(3)
    return made


def hostile() -> Bundle:
    """A plan whose texts try to run something, and are long without a space."""
    made = bundle()
    plan = care_plan(made)
    plan["title"] = SCRIPT
    plan["description"] = "å" * 500
    plan["note"].append({"text": f"{SCRIPT}{'x' * 300}", "authorString": "<img src=x onerror=alert(1)>"})
    return made


def secret() -> Bundle:
    """The SIP of somebody with protected identity."""
    made = bundle()
    protect(made)
    return made


PLANS: Mapping[str, Sequence[Bundle]] = {
    SIP: (before_the_meeting(), bundle()),
    INDIVIDUAL: (bundle(INDIVIDUAL),),
    "hostile": (hostile(),),
    "secret": (bundle(), secret()),  # protected since the second version
}


def load(plan_id: str, version: int | None, sight: Sight) -> LoadedPlan | None:
    """A plan of `PLANS`; one fails as a broken store would, with a name in its error."""
    if plan_id == "broken":
        raise RuntimeError("Märta Lindqvist cannot be read")
    kept = PLANS.get(plan_id)
    if kept is None or not 0 < (version or len(kept)) <= len(kept):
        return None
    shown = kept[(version or len(kept)) - 1]
    versions = tuple(
        PlanVersion(number=n, at=datetime(2024, 3, 10 + n, 9, 0, tzinfo=UTC), by="Vindelns vårdcentral")
        for n in range(1, len(kept) + 1)
    )
    return LoadedPlan(resources=shown["entry"], plan=care_plan(shown), versions=versions, case_id=None)


class _Adapter(Adapter):
    """The adapter with the pages of plans before its own."""

    country: str | None = None

    def app(self) -> Any:
        made = super().app()
        pages = PlanPages(
            load=load,
            entrance=entrance_of(self.built),
            store=self.built.store,
            register=self.built.register,
            clock=self.built.clock,
            zone=OSLO,
            country=self.country,
        )
        made.router.routes[:0] = pages.routes()
        return made


@dataclass
class PlanSite:
    """A running adapter with plans, and who looks."""

    url: str
    cookies: dict[str, str]

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, **({"timeout": 10, "cookies": self.cookies} | more))

    def seen_by(self, who: Person | Role | None) -> "PlanSite":
        """As somebody else sees it; None is nobody."""
        return replace(self, cookies={} if who is None else {"session": signed_in(self.url, who)})


@contextmanager
def plan_site(
    folder: Path, *, people: tuple[Person, ...] = (), country: str | None = "sweden"
) -> Iterator[PlanSite]:
    """The adapter on a free port, as an operator sees it, or the first of the people."""
    named = {"people": people_file(folder / "people.toml", people)} if people else {}
    settings = Settings(store=f"sqlite:///{folder}/store.db", port=0, **named)
    running = _Adapter(stations(settings, region=None, clock=StandingClock(AT)), role="web")
    running.country = country
    url = running.start()
    assert url is not None
    try:
        yield PlanSite(url=url, cookies={}).seen_by(people[0] if people else Role.OPERATIONS)
    finally:
        running.stop()
