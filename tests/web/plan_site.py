"""The pages of plans behind a real server: the plans are the fixtures', and nothing else is made up."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from adapter.config import Operator, Settings
from adapter.fhir.bundles import Bundle
from adapter.runtime import Adapter, stations
from adapter.web.plan_pages import LoadedPlan, PlanPages, PlanVersion
from adapter.web.signing_in import Doorkeeper, hash_password
from tests.conftest import OSLO, StandingClock
from tests.plan_fixtures import INDIVIDUAL, SIP, all_of, bundle, care_plan, protect

AT = datetime(2024, 4, 10, 9, 5, tzinfo=OSLO)
PASSWORD = "a long enough secret"
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


def load(plan_id: str, version: int | None = None) -> LoadedPlan | None:
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
        operators = {one.name: one.password_scrypt for one in self.built.settings.operators}
        pages = PlanPages(
            load=load,
            doorkeeper=Doorkeeper(register=self.built.register, operators=operators),
            clock=self.built.clock,
            zone=OSLO,
            country=self.country,
        )
        made.router.routes[:0] = pages.routes()
        return made


@dataclass
class PlanSite:
    """A running adapter with plans."""

    url: str

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, **more)


@contextmanager
def plan_site(folder: Path, *, signed: bool = False, country: str | None = "sweden") -> Iterator[PlanSite]:
    """The adapter on a free port; `signed` where people must sign in."""
    operators = (Operator(name="kari", password_scrypt=hash_password(PASSWORD)),) if signed else ()
    settings = Settings(store=f"sqlite:///{folder}/store.db", port=0, operators=operators)
    running = _Adapter(stations(settings, region=None, clock=StandingClock(AT)), role="web")
    running.country = country
    url = running.start()
    assert url is not None
    try:
        yield PlanSite(url=url)
    finally:
        running.stop()
