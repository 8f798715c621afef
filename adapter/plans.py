"""What a partner changes at /fhir goes the same road as any message.

A Task that was asked by a notice of readiness becomes the municipality's answer; a Task or CarePlan of a
shared plan becomes the next version of that plan, sent to everybody who takes part. A change is made to the
version that the caller has read (`If-Match`), so that nobody's change is lost.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from adapter.closing import report_sent
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
from adapter.errors import MessageError, NotFound, Quarantined, Refused
from adapter.fhir.asking import is_asked
from adapter.fhir.bundles import (
    ANSWER_SYSTEM,
    CANONICAL,
    Bundle,
    Resource,
    address_of,
    header,
    with_extension,
)
from adapter.fhir.negotiating import OWNER, REQUESTER, check_plan, check_task, joins, new_team, with_member
from adapter.fhir.notices import message_bundle, subject_in
from adapter.fhir.parts import TASK_STATUS
from adapter.fhir.serving import references, same_content
from adapter.fhir.validation import validate_collection
from adapter.fhir.wire import JSON, to_json
from adapter.inbox import Inbox
from adapter.incoming import Incoming
from adapter.messaging.envelope import Address
from adapter.messaging.register import Partner
from adapter.phrases import Code, changed, phrase
from adapter.readers import Reader, organization
from adapter.reports import is_report
from adapter.shelves import Shelves
from adapter.store import cases as case_rows
from adapter.store import resources
from adapter.store.statements import Row

K = NoticeKind
_ANSWERS = {status: answer for answer, status in TASK_STATUS.items()}
_SAID_IN_AN_ANSWER = (
    "status", "statusReason", "businessStatus", "executionPeriod", "note", "output"
)  # fmt: skip
_ENDED = ("revoked", "entered-in-error")
_BASE = f"{CANONICAL}/"


class Conflict(MessageError):
    """Somebody else has changed it since the caller read it."""


@dataclass(frozen=True, kw_only=True)
class Plans:
    """Changes to plans and tasks, over the inbox."""

    inbox: Inbox
    shelves: Shelves
    new_id: Callable[[], str]

    def update(
        self,
        tx: Connection,
        reader: Reader,
        given: Resource,
        number: int,
        now: datetime,
        *,
        partner: Partner | None,
        channel: str = "http",
    ) -> Resource:
        """The resource in its new version; `number` is the version that the caller has changed.

        Raises NotFound where the caller may not see it, Conflict where `number` is not the newest, Refused
        or Quarantined where the change may not be made. Nothing is changed then.
        """
        kind, fhir_id = given["resourceType"], given["id"]
        row = self._found(tx, reader, kind, fhir_id)
        version = resources.version(tx, row["version"])
        newest = resources.named(tx, kind, fhir_id)
        assert version is not None and newest is not None
        if version["id"] != newest["version"] or version["number"] != number:
            raise Conflict(
                phrase(
                    "{type} has been changed since version {version}: read version {newest}, put your "
                    "change into it, and send it with that ETag",
                    type=kind,
                    version=str(number),
                    newest=str(version["number"]),
                ),
                code="conflict",
            )
        before = self.shelves.content(tx, version, f"{kind}/{fhir_id}", reader.eyes)
        if before is None:
            raise NotFound(phrase("the content is gone: retention has removed it"))
        _well_formed(given)
        if same_content(before, given):
            return before  # nothing to tell anybody
        self._leads_to_its_own(tx, reader, before, given, row["patient"])
        actor, roles = _actor(reader, before, row)
        if is_report(version):
            self._tick_off(tx, before, given, actor, version, now)
            return reader.read(tx, kind, fhir_id) or before
        if kind == "Task":
            check_task(_bare(before), _bare(given), roles, reason_needed=not is_asked(before))
        else:
            check_plan(before, given)
        if kind == "Task" and is_asked(before):
            message = self._answer(tx, before, given, actor, version, now)
        else:
            message = self._plan(tx, before, given, actor, version, now)
        self._send(tx, message, partner, channel, now)
        self.shelves.shelve_of(tx, row["patient"])
        changed = reader.read(tx, kind, fhir_id)
        if changed is None:
            raise NotFound(phrase("the changed resource cannot be read back"))
        return changed

    def _tick_off(
        self, tx: Connection, before: Resource, given: Resource, actor: str, version: Row, now: datetime
    ) -> None:
        """The municipality's system says that its report of admission has been sent."""
        done = _untimed(before | {"status": "completed"})
        owner = before["owner"] == {"reference": f"Organization/{actor}"}
        if not owner or not same_content(done, _untimed(given)):
            raise Refused(
                phrase(
                    "of a report of admission its owner says that it has been sent, by the status completed, "
                    "and nothing else"
                ),
                code="business-rule",
            )
        try:
            report_sent(
                tx, self.shelves, version["case_id"], now, now, new_id=self.new_id(), by=actor, party=actor
            )
        except NotFound as error:
            raise Conflict(error.said, code="conflict") from error

    def _leads_to_its_own(
        self, tx: Connection, reader: Reader, before: Resource, given: Resource, patient: str
    ) -> None:
        """Refused where a change would lead to another patient's data, or to what the caller cannot read."""
        for target in sorted(set(_targets(given)) - set(_targets(before))):
            kind, _, fhir_id = target.partition("/_history/")[0].partition("/")
            if target.startswith("#") or (kind == "Organization" and self._is_party(fhir_id)):
                continue
            row = resources.seen(tx, reader.eyes, kind, fhir_id) if fhir_id else None
            if row is None or row["patient"] != patient:
                raise Refused(
                    phrase(
                        "{type}: refer only to what the caller can read of this patient, as Goal/<id>",
                        type=given["resourceType"],
                    ),
                    code="business-rule",
                )

    def _is_party(self, party_id: str) -> bool:
        return self.shelves.register.open or self.shelves.register.party(party_id) is not None

    def _found(self, tx: Connection, reader: Reader, kind: str, fhir_id: str) -> Row:
        missing = phrase("there is no such resource, or it is not for this caller")
        row = resources.seen(tx, reader.eyes, kind, fhir_id)
        if row is None:
            raise NotFound(missing)
        case_rows.alone_with(tx, row["patient"])
        self.shelves.shelve_of(tx, row["patient"])
        again = resources.seen(tx, reader.eyes, kind, fhir_id)
        if again is None:
            raise NotFound(missing)
        return again

    def _send(
        self, tx: Connection, message: Bundle, partner: Partner | None, channel: str, now: datetime
    ) -> None:
        """Through the inbox; what it would refuse or hold is not changed, and the caller is told why."""
        incoming = Incoming(content=to_json(message), content_type=JSON, channel=channel, partner=partner)
        prepared = self.inbox.read(incoming)
        done = self.inbox.take(tx, prepared, now)
        outcome = phrase("{outcome}", outcome=Code("outcome", done.outcome, done.outcome))
        if done.outcome == "refused":
            raise Refused(done.reason or outcome, code=done.code or "processing")
        if done.outcome != "accepted":
            raise Quarantined(done.reason or outcome, code=done.code or "processing")

    # --- the answer to a notice of readiness ---

    def _answer(
        self, tx: Connection, before: Resource, given: Resource, actor: str, version: Row, now: datetime
    ) -> Bundle:
        first = resources.numbered(tx, version["resource"], 1)
        assert first is not None
        ready, told = self.shelves.notice_of(tx, first["message_row"])
        answer = _answer_value(given)
        hospital, sender = self._address(told, ready.sender), self._address(told, actor)
        notice = Notice(
            kind=K.ANSWER,
            message_id=self.new_id(),
            sent_at=now,
            occurred=now,
            sender=sender.token,
            receivers=(hospital.token,),
            hospital=hospital.token,
            encounter=ready.encounter,
            admitted=ready.admitted,
            answer=answer,
            refers_to=ready.message_id,
        )
        message = message_bundle(
            notice,
            subject=subject_in(told),
            sender=sender,
            receivers=[hospital],
            hospital=hospital,
            transmission_id=self.new_id(),
        )
        task = next(i["resource"] for i in message["entry"] if i["resource"]["resourceType"] == "Task")
        task.pop("businessStatus", None)
        task.update({key: given[key] for key in _SAID_IN_AN_ANSWER if key in given})
        return self._completed(message, told)

    def _address(self, told: Bundle, party_id: str) -> Address:
        """As the region file has it; else, in evaluation, as the message before wrote it."""
        party = self.shelves.register.party(party_id)
        if party is not None:
            services = party.services[0].identifiers if party.services else ()
            return Address(identifiers=(*services, *party.identifiers), name=party.name)
        written = self.shelves.organization_in(told, party_id)
        if written is None:
            why = phrase("a party that takes part is not in the region file")
            raise Refused(why, code="business-rule")
        return address_of(written)

    # --- the next version of a plan ---

    def _plan(
        self,
        tx: Connection,
        before: Resource,
        given: Resource,
        actor: str,
        version: Row,
        now: datetime,
    ) -> Bundle:
        plan_name = self._plan_of(tx, given, version)
        plan_row = resources.named(tx, *plan_name.split("/"))
        assert plan_row is not None
        newest = resources.version(tx, plan_row["version"])
        assert newest is not None
        graph = self.shelves.graph(tx, newest)
        name = f"{given['resourceType']}/{given['id']}"
        if name not in graph:
            why = phrase("{type} is no part of the plan any more", type=given["resourceType"])
            raise Refused(why, code="business-rule")
        if given["resourceType"] == "Task" and graph[plan_name]["status"] in _ENDED:
            why = phrase("Task: its plan is revoked; ask anew in a plan that stands")
            raise Refused(why, code="business-rule")
        graph[name] = _bare(given)
        if given["resourceType"] == "Task" and joins(before, given):
            self._join(graph, plan_name, given)
        return self.next_version(tx, graph, plan_row, newest, actor, now)

    def next_version(
        self,
        tx: Connection,
        graph: dict[str, Resource],
        plan_row: Row,
        before: Row,
        actor: str,
        now: datetime,
    ) -> Bundle:
        """The message by which `actor` makes `graph` of the version `before`, to all others in the plan."""
        receivers = [p for p in self._taking_part(tx, graph, plan_row, now) if p != actor]
        name = f"CarePlan/{plan_row['fhir_id']}"
        return self._message(tx, graph, name, before, actor, receivers, now)

    def _plan_of(self, tx: Connection, given: Resource, version: Row) -> str:
        if given["resourceType"] == "CarePlan":
            return f"CarePlan/{given['id']}"
        named = [n for n in self.shelves.names_in(tx, version["message_row"]) if n.startswith("CarePlan/")]
        if not named:
            why = phrase("Task is part of no plan; answer it with a message")
            raise Refused(why, code="business-rule")
        based = [target for target in references(given, "basedOn") if target in named]
        return (based or named)[0]

    def _join(self, graph: dict[str, Resource], plan_name: str, task: Resource) -> None:
        """An accepted Task makes its owner a member of the plan's CareTeam."""
        owner = next(references(task, "owner"), None)
        if owner is None:
            return
        plan = graph[plan_name]
        team_name = next((t for t in references(plan, "careTeam") if t in graph), None)
        if team_name is None:
            team = new_team(self.new_id(), plan)
            team_name = f"CareTeam/{team['id']}"
            graph[team_name] = team
            graph[plan_name] = plan | {"careTeam": [*(plan.get("careTeam") or ()), {"reference": team_name}]}
        graph[team_name] = with_member(graph[team_name], owner, task)

    def _taking_part(
        self, tx: Connection, graph: Mapping[str, Resource], plan_row: Row, now: datetime
    ) -> list[str]:
        """Whoever has the plan, is in its CareTeam, or is asked or asks in it."""
        found = self.shelves.taking_part(tx, plan_row)
        for resource in graph.values():
            if resource["resourceType"] == "CareTeam":
                found += [t.partition("/")[2] for t in references(resource, "participant.member")]
        day = now.astimezone(self.shelves.zone).date()
        return [p for p in dict.fromkeys(found) if self._lives(p, day)]

    def _lives(self, party_id: str, day: date) -> bool:
        party = self.shelves.register.party(party_id)
        return self.shelves.register.open if party is None else party.valid_on(day)

    def _message(
        self,
        tx: Connection,
        graph: dict[str, Resource],
        plan_name: str,
        newest: Row,
        actor: str,
        receivers: list[str],
        now: datetime,
    ) -> Bundle:
        notice, told = self.shelves.notice_of(tx, newest["message_row"])
        if not receivers:
            why = phrase("CarePlan: nobody else takes part in the plan")
            raise Refused(why, code="business-rule")
        hospital = self._address(told, notice.hospital) if notice.hospital else None
        sender, addressed = self._address(told, actor), [self._address(told, p) for p in receivers]
        made = message_bundle(
            Notice(
                kind=K.CARE_PLAN,
                message_id=self.new_id(),
                sent_at=now,
                occurred=now,
                sender=sender.token,
                receivers=tuple(address.token for address in addressed),
                hospital=hospital.token if hospital else None,
                encounter=notice.encounter,
                admitted=notice.admitted,
            ),
            subject=subject_in(told),
            sender=sender,
            receivers=addressed,
            hospital=hospital,
            transmission_id=self.new_id(),
        )
        return self._completed(_with_graph(made, graph, plan_name, newest["number"]), told)

    def _completed(self, message: Bundle, told: Bundle) -> Bundle:
        """With the Organizations that its parts refer to by the id of their party."""
        names = {f"{i['resource']['resourceType']}/{i['resource'].get('id')}" for i in message["entry"]}
        for target in sorted(set(_targets(message)) - names):
            found = self._organization(told, target)
            if found is not None:
                message["entry"].append({"fullUrl": _BASE + target, "resource": found})
        return message

    def _organization(self, told: Bundle, target: str) -> Resource | None:
        kind, _, party_id = target.partition("/")
        if kind != "Organization":
            return None
        party = self.shelves.register.party(party_id)
        if party is not None:
            return organization(party)
        written = self.shelves.organization_in(told, party_id)
        return written | {"id": party_id} if written is not None else None


def _untimed(task: Resource) -> Resource:
    return {key: value for key, value in task.items() if key != "lastModified"}


def _actor(reader: Reader, before: Resource, row: Row) -> tuple[str, tuple[str, ...]]:
    """In whose name the caller acts, and what that party is to the Task."""
    by_role = {role: _party_id(before, role) for role in (OWNER, REQUESTER)}
    mine = reader.eyes.parties
    roles = tuple(r for r, p in by_role.items() if p is not None and (mine is None or p in mine))
    if before["resourceType"] == "Task" and not roles:
        why = phrase("Task: only its owner and its requester may change it")
        raise Refused(why, code="forbidden")
    return str(by_role[roles[0]] if roles else row["party"]), roles


def _with_graph(message: Bundle, graph: Mapping[str, Resource], plan_name: str, number: int) -> Bundle:
    """The message's own CarePlan, Patient and Encounter give way to those of the plan."""
    head = header(message)
    assert head is not None
    own = {i["resource"]["resourceType"]: i["fullUrl"] for i in message["entry"]}
    patient = next((n for n in graph if n.startswith("Patient/")), None)
    stay = next((n for n in graph if n.startswith("Encounter/")), None)
    dropped = {"CarePlan", *(["Patient"] if patient else []), *(["Encounter"] if stay else [])}
    kept = [i for i in message["entry"] if i["resource"]["resourceType"] not in dropped]
    ways = {own[name.partition("/")[0]]: name for name in (patient, stay) if name is not None}
    head["focus"] = [{"reference": plan_name}]
    with_extension(head, "based-on", "String", f"{plan_name}/_history/{number}")
    parts = [_led(item, ways) for item in kept]
    for name, resource in graph.items():
        parts.append({"fullUrl": _BASE + name, "resource": _bare(resource)})
    return message | {"entry": parts}


def _led(found: Any, ways: Mapping[str, str]) -> Any:
    if isinstance(found, dict):
        made = {key: _led(value, ways) for key, value in found.items()}
        target = made.get("reference")
        if isinstance(target, str) and target in ways:
            made["reference"] = ways[target]
        return made
    return [_led(item, ways) for item in found] if isinstance(found, list) else found


def _targets(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("reference"), str):
            yield found["reference"]
        for value in found.values():
            yield from _targets(value)
    elif isinstance(found, list):
        for item in found:
            yield from _targets(item)


def _bare(resource: Resource) -> Resource:
    """Without what the server says of versions."""
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in ("versionId", "lastUpdated")}
    bare = {key: value for key, value in resource.items() if key != "meta"}
    return bare | ({"meta": meta} if meta else {})


def _well_formed(given: Resource) -> None:
    """The same border as for messages: shape, codes, narrative, extensions."""
    kind = given["resourceType"]
    item = {"fullUrl": f"{_BASE}{kind}/{given['id']}", "resource": given}
    try:
        validate_collection({"resourceType": "Bundle", "type": "collection", "entry": [item]})
    except Refused as problem:
        raise Refused(
            changed(
                problem.reason,
                lambda text: text.replace("Bundle.entry[0].resource", kind).replace("Bundle.entry[0]", kind),
            ),
            code=problem.code,
        ) from None


def _party_id(resource: Resource, path: str) -> str | None:
    target = next(references(resource, path), "")
    return target.partition("/")[2] if target.startswith("Organization/") else None


def _answer_value(given: Resource) -> AnswerValue:
    codings = (given.get("businessStatus") or {}).get("coding") or ()
    own = next((c.get("code") for c in codings if c.get("system") == ANSWER_SYSTEM), None)
    if own in {value.value for value in AnswerValue}:
        return AnswerValue(own)
    if given["status"] not in _ANSWERS:
        raise Refused(
            phrase(
                "Task.status: an answer to a notice of readiness is one of: {known}", known=sorted(_ANSWERS)
            ),
            code="business-rule",
        )
    return _ANSWERS[given["status"]]
