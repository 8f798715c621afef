"""Plans on the partners' own FHIR servers: what to put there, what stands there, who decides in a conflict.

`Pushes` is the memory of the transport that puts plans (`transport.fhir_plans`), `Pulls` that of the mailbox
that reads back what has changed there (`transport.fhir_plans_mailbox`). Where a plan has changed at both ends
nothing is overwritten: a person keeps one of the two (`keep_ours`, `keep_theirs`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from adapter.copies import derived_id
from adapter.errors import MessageError, NotFound
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.pushing import Placed, Plan, Watched, digest, targets
from adapter.fhir.wire import to_json
from adapter.outbox import Outbox, plan_at
from adapter.phrases import Dated, Phrase, Value, phrase
from adapter.plans import Plans
from adapter.readers import organization
from adapter.shelves import Shelves
from adapter.store import Store, deliveries, messages, pushed, resources
from adapter.store.statements import Row
from adapter.transport.fhir_listing import parsed_instant


@dataclass(frozen=True, kw_only=True)
class Pushes:
    """What was put where, over one store."""

    store: Store
    shelves: Shelves
    clock: Callable[[], datetime]

    def plan(self, delivery_id: int) -> Plan:
        """The plan that a delivery carries. NotFound where there is none in it, or its bytes are gone."""
        self.shelves.catch_up()
        with self.store.read() as tx:
            row = deliveries.get(tx, delivery_id)
            if row is None or row["message_row"] is None:
                raise NotFound(phrase("delivery {delivery} carries no message", delivery=str(delivery_id)))
            version = self._plan_in(tx, row["message_row"])
            name = f"CarePlan/{version['fhir_id']}"
            there = pushed.of_names(tx, row["endpoint"], [name])
            return Plan(
                name=name,
                number=version["number"],
                by=version["by"],
                party=row["party"],
                graph=self._graph(tx, version),
                overtaken=any((one["version"] or 0) > version["number"] for one in there),
            )

    def _plan_in(self, tx: Connection, message_row: int) -> dict[str, Any]:
        """The version of the CarePlan that a message brought; its first, where it brought several.

        A cancellation brings none: what goes is the newest version of the plan that it takes back.
        """
        found = [v for v in resources.of_message(tx, message_row) if v["type"] == "CarePlan"]
        for one in sorted(found, key=lambda v: (v["place"] or 0, v["id"]))[:1]:
            version = resources.version(tx, one["id"])
            if version is not None:
                return {**version, "fhir_id": one["fhir_id"]}
        for name in self.shelves.names_in(tx, message_row):
            row = resources.named(tx, *name.split("/")) if name.startswith("CarePlan/") else None
            version = resources.version(tx, row["version"]) if row is not None else None
            if row is not None and version is not None:
                return {**version, "fhir_id": row["fhir_id"]}
        raise NotFound(phrase("the message has no CarePlan that could be put on a server"))

    def _graph(self, tx: Connection, version: Mapping[str, Any]) -> dict[str, Resource]:
        """Every part of the plan's message, and the Organizations that stand for its parties."""
        graph = self.shelves.graph(tx, version)
        _, told = self.shelves.notice_of(tx, version["message_row"])
        for target in {t for one in graph.values() for t in targets(one)} - set(graph):
            kind, _, party_id = target.partition("/")
            made = self._organization(told, party_id) if kind == "Organization" else None
            if made is not None:
                graph[target] = made
        return graph

    def _organization(self, told: Bundle, party_id: str) -> Resource | None:
        party = self.shelves.register.party(party_id)
        if party is not None:
            return organization(party)
        written = self.shelves.organization_in(told, party_id)
        return written | {"id": party_id} if written is not None else None

    # --- what is there ---

    def placed(self, endpoint: str, names: Iterable[str]) -> dict[str, Placed]:
        """What is known of these resources there."""
        with self.store.read() as tx:
            return {one.name: one for one in map(_placed, pushed.of_names(tx, endpoint, set(names)))}

    def place(self, endpoint: str, plan: Plan, found: Iterable[Placed]) -> None:
        """Remember it; a commit only where something is new."""
        placed = list(found)
        before = self.placed(endpoint, [one.name for one in placed])
        new = [one for one in placed if before.get(one.name) != one]
        if new:
            self.store.write(lambda tx: _put_all(tx, endpoint, plan.party, plan.name, new))

    def stands(self, endpoint: str, plan: Plan) -> None:
        """This version stands there now, with what has changed there since; no conflict is left."""
        values = {"version": plan.number, "conflict": None, "plan": plan.name, "party": plan.party}
        self.store.write(lambda tx: pushed.put(tx, endpoint, plan.name, values))

    # --- in conflict ---

    def overwritable(self, endpoint: str, plan: Plan) -> Mapping[str, str | None]:
        """What a person lets us overwrite: the ETag seen then, by name; None of what is deleted there."""
        with self.store.read() as tx:
            rows = pushed.of_names(tx, endpoint, [plan.name])
        told = _conflict(rows[0]) if rows else None
        return told["theirs"] if told is not None and told["keep"] == "ours" else {}

    def conflict(
        self, endpoint: str, plan: Plan, theirs: Mapping[str, str | None], when: str | None, delivery_id: int
    ) -> Phrase:
        """Note that it has changed at both ends; the sentence for people, without anything of the patient."""
        told = {
            "theirs": dict(theirs), "when": when, "delivery": delivery_id, "number": plan.number,
            "by": plan.by, "since": self.clock().isoformat(), "keep": None,
        }  # fmt: skip

        def note(tx: Connection) -> int:
            values = {"conflict": orjson.dumps(told).decode(), "plan": plan.name, "party": plan.party}
            pushed.put(tx, endpoint, plan.name, values)
            return int(pushed.of_names(tx, endpoint, [plan.name])[0]["id"])

        return self._sentence(self.store.write(note), plan, theirs, when)

    def _sentence(
        self, number: int, plan: Plan, theirs: Mapping[str, str | None], when: str | None
    ) -> Phrase:
        name = self.shelves.register.name
        what: Value = sorted({one.partition("/")[0] for one in theirs})
        if None in theirs.values():
            what = phrase("{kinds}, some of it deleted", kinds=what)
        if when is not None:
            at = parsed_instant(when)
            what = phrase("{what}, last at {at}", what=what, at=Dated(at, when) if at is not None else when)
        return phrase(
            "{party} has changed {plan} on its server ({what}), and {by} has changed it here (version "
            "{version}); nothing was overwritten. Compare the two, agree by telephone, then "
            "`discharge-adapter plan-conflicts keep ours {conflict}` or `keep theirs {conflict}`",
            party=name(plan.party),
            plan=plan.name,
            what=what,
            by=name(plan.by),
            version=str(plan.number),
            conflict=str(number),
        )


def conflicts(tx: Connection) -> list[dict[str, Any]]:
    """The plans that have changed at both ends, oldest first, as `plan-conflicts` shows them."""
    found = []
    for row in pushed.conflicts(tx):
        told = _conflict(row)
        if told is not None:
            found.append(
                {
                    "id": row["id"],
                    "plan": f"CarePlan/{row['fhir_id']}",
                    "party": row["party"],
                    "endpoint": row["endpoint"],
                    "since": told["since"],
                    "version": told["number"],
                    "changed_by": told["by"],
                    "changed_there": sorted({name.partition("/")[0] for name in told["theirs"]}),
                    "changed_there_at": told["when"],
                    "delivery": told["delivery"],
                    "keep": told["keep"],
                }
            )
    return found


def keep_ours(tx: Connection, outbox: Outbox, number: int, now: datetime, *, by: str | None) -> None:
    """What stood there when the conflict was seen may be overwritten; what has changed there since, not."""
    row, told = _in_conflict(tx, number)
    values = {"conflict": orjson.dumps(told | {"keep": "ours"}).decode()}
    pushed.put(tx, row["endpoint"], _name(row), values)
    why = phrase(
        "{plan}: our version is kept and overwrites that of {party}", plan=_name(row), party=row["party"]
    )
    outbox.once_more(tx, told["delivery"], now, by=by, why=why)


def keep_theirs(tx: Connection, outbox: Outbox, number: int, now: datetime, *, by: str | None) -> None:
    """What stands there becomes the next version here, with the next look at that server."""
    row, told = _in_conflict(tx, number)
    kind, _, fhir_id = _name(row).partition("/")
    here = resources.named(tx, kind, fhir_id)
    newest = resources.version(tx, here["version"]) if here is not None else None
    if newest is None:
        raise NotFound(
            phrase("{plan} is not known here any more; there is nothing to decide", plan=_name(row))
        )
    pushed.put(tx, row["endpoint"], _name(row), {"conflict": None, "version": newest["number"]})
    why = phrase("their version of {plan} is kept", plan=_name(row))
    outbox.close(tx, told["delivery"], why, now, by=by)
    outbox.alarms.end(tx, "plan-conflict", plan_at(_name(row), row["endpoint"]), now)


def _in_conflict(tx: Connection, number: int) -> tuple[Row, dict[str, Any]]:
    row = pushed.get(tx, number)
    told = _conflict(row) if row is not None else None
    if row is None or told is None:
        raise NotFound(
            phrase(
                "there is no conflict {conflict}; `discharge-adapter plan-conflicts` lists those that wait",
                conflict=str(number),
            )
        )
    return row, told


def _conflict(row: Row) -> dict[str, Any] | None:
    return orjson.loads(row["conflict"]) if row["conflict"] is not None else None


def _name(row: Row) -> str:
    return f"{row['type']}/{row['fhir_id']}"


def _placed(row: Row) -> Placed:
    return Placed(
        name=_name(row),
        their_id=row["their_id"],
        etag=row["etag"],
        hash=row["hash"],
        trying=row["trying"],
    )


def _put_all(tx: Connection, endpoint: str, party: str, plan: str, found: Iterable[Placed]) -> None:
    for one in found:
        values = {
            "plan": plan, "party": party, "their_id": one.their_id, "etag": one.etag, "hash": one.hash,
            "trying": one.trying,
        }  # fmt: skip
        pushed.put(tx, endpoint, one.name, values)


# --- what comes back --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pulls:
    """Plans that are read back from the servers on which they were put."""

    pushes: Pushes
    plans: Plans

    @property
    def _store(self) -> Store:
        return self.pushes.store

    def watched(self, endpoint: str, *, after: int, most: int) -> list[Watched]:
        """Plans that stand there, in turn; of one in conflict, or with a version on its way, no parts."""
        self.pushes.shelves.catch_up()
        with self._store.read() as tx:
            return [self._watched(tx, row) for row in pushed.plans(tx, endpoint, after=after, limit=most)]

    @staticmethod
    def _watched(tx: Connection, row: Row) -> Watched:
        name, endpoint = _name(row), row["endpoint"]
        quiet = row["conflict"] is None and not pushed.unfinished(tx, endpoint, name)
        parts = map(_placed, pushed.of_plan(tx, endpoint, name)) if quiet else ()
        return Watched(row=row["id"], name=name, number=row["version"], placed=tuple(parts))

    def name_of(self, endpoint: str, theirs: str) -> str:
        """Our name for a resource of theirs, which may be new to us."""
        kind, _, their_id = theirs.partition("/")
        with self._store.read() as tx:
            row = pushed.of_theirs(tx, endpoint, kind, their_id)
        return _name(row) if row is not None else f"{kind}/{derived_id(theirs, endpoint, 'pulled')}"

    def message(
        self, endpoint: str, seen: Watched, theirs: Mapping[str, Resource], when: datetime | None
    ) -> bytes | None:
        """The `care-plan` message that the party might have sent, made from what stands on its server.

        It was sent `when` that was last changed there, as the server says, so that the same is always told in
        the same bytes; now, where it does not say, or what cannot be: before the version that it follows, or
        a time to come.
        It is the next version after the one that was put there: where somebody else has changed it here
        meanwhile, the inbox holds it. Masters, and what cannot be read there, are as they were put. None
        where nobody else takes part, something has been put there since it was looked at, or retention has
        taken what was put.
        """
        self.pushes.shelves.catch_up()
        plan = seen.name
        with self._store.read() as tx:
            (row,) = pushed.of_names(tx, endpoint, [plan])
            if self._watched(tx, row) != seen:
                return None
            here = resources.named(tx, "CarePlan", row["fhir_id"])
            before = resources.numbered(tx, here["id"], row["version"]) if here is not None else None
            if here is None or before is None:
                return None
            message_id = self._message_id(endpoint, f"{plan}/_history/{row['version']}", theirs)
            made = replace(self.plans, new_id=lambda: message_id)
            try:
                put = self.pushes.shelves.graph(tx, before)
                graph = _needed({**put, **theirs}, theirs)
                told_at = _told_at(when, before["at"], self.pushes.clock())
                message = made.next_version(tx, graph, here, before, row["party"], told_at)
            except (MessageError, NotFound):
                return None
        return to_json(message)

    @staticmethod
    def _message_id(endpoint: str, plan: str, theirs: Mapping[str, Resource]) -> str:
        said = b"".join(digest(one) for _, one in sorted(theirs.items())).hex()
        return derived_id(plan, endpoint, said)

    def pulled(self, endpoint: str, plan: str, found: Sequence[Placed], content: bytes) -> bool:
        """Once their version has been taken: it is what stands at both ends. False where it was not taken."""
        head = orjson.loads(content)["entry"][0]["resource"]
        self.pushes.shelves.catch_up()

        def settle(tx: Connection) -> bool:
            (row,) = pushed.of_names(tx, endpoint, [plan])
            told = messages.known(tx, row["party"], head["id"])
            if told is None or told["outcome"] not in ("accepted", "released"):
                return False
            version = self.pushes._plan_in(tx, told["id"])
            _put_all(tx, endpoint, row["party"], plan, found)
            pushed.put(tx, endpoint, plan, {"version": version["number"]})
            return True

        return self._store.write(settle)


def _told_at(when: datetime | None, before: datetime, now: datetime) -> datetime:
    return when if when is not None and before < when <= now else now


def _needed(graph: Mapping[str, Resource], theirs: Mapping[str, Resource]) -> dict[str, Resource]:
    """What stands there, and of the rest what it leads to, the Patient always."""
    kept = dict(theirs)
    kept |= {
        n: r for n, r in graph.items() if n.partition("/")[0] in ("Patient", "Encounter") and n not in kept
    }
    waiting = list(kept)
    while waiting:
        for target in targets(kept[waiting.pop()]):
            if target in graph and target not in kept:
                kept[target] = graph[target]
                waiting.append(target)
    return kept
