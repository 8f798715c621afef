"""The plans that the pages show, as they stand on the shelves."""

from adapter.errors import NotFound
from adapter.fhir.bundles import Resource
from adapter.shelves import Shelves
from adapter.sight import Sight
from adapter.store import resources
from adapter.web.plan_pages import LoadedPlan, PlanLoader, PlanVersion

_WAIT = 5.0  # seconds until what has come in can be read


def stored_plans(shelves: Shelves) -> PlanLoader:
    """Finds a plan by its id at /fhir, in its newest version or the one that is asked for.

    Those who care find what lies on their parties' shelves, with all its past and nothing that came later.
    """

    def load(plan_id: str, version: int | None, sight: Sight) -> LoadedPlan | None:
        shelves.catch_up(_WAIT)
        with shelves.store.read() as tx:
            row = resources.named(tx, "CarePlan", plan_id)
            if row is None:
                return None
            versions = resources.versions(tx, row["id"])
            if sight.patients:
                lying = resources.seen(tx, sight.over(row["patient"]).eyes, "CarePlan", plan_id)
                if lying is None:
                    return None
                versions = [v for v in versions if v["id"] <= lying["version"]]
            chosen = next((v for v in versions if version in (None, v["number"])), None)
            if chosen is None:
                return None
            try:
                graph = shelves.graph(tx, chosen, parties=True)
            except NotFound:
                return None
        plan: Resource = graph[f"CarePlan/{plan_id}"]
        return LoadedPlan(
            resources=list(graph.values()),
            plan=plan,
            versions=tuple(
                PlanVersion(number=v["number"], at=v["at"], by=shelves.register.name(v["by"]))
                for v in reversed(versions)
            ),
            case_id=chosen["case_id"] if not sight.patients else None,
            patient=row["patient"],
        )

    return load
