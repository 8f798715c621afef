"""What subscribers ask: to be told, otherwise or no more, where that stands, and what they have missed.

A subscriber sees and changes its own subscriptions only; another's is not there. Notifications go to the
addresses that the region file allows its partner, never to one that only a request names.
"""

import re
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection

from adapter.errors import NotFound, Refused
from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.subscriptions import Event, notification, shown, status_parameters, unmasked, wish_in
from adapter.messaging.register import Partner
from adapter.messaging.subscribing import Content, Said, State, Wish, may_send_to
from adapter.phrases import Phrase, phrase, technical
from adapter.store import cases as case_rows
from adapter.store import subscriptions as rows
from adapter.store.statements import Row
from adapter.subscriptions import Subscriptions, endpoint_name, status_of, wish_of

_AN_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)

MOST = 50
"""Subscriptions of one partner."""

MOST_EVENTS = 1000
"""Events in one answer to `$events`; the rest is asked for from the number after the last."""


@dataclass(frozen=True, kw_only=True)
class Subscribers:
    """Those who ask, over the subscriptions of one store."""

    subscriptions: Subscriptions

    def make(self, tx: Connection, resource: Resource, partner: Partner | None, now: datetime) -> Row:
        """A new subscription, and its handshake on the way; Refused where it cannot be as it is asked for."""
        wish = self._fit(resource, partner)
        if len(self.listed(tx, partner)) >= MOST:
            raise Refused(
                technical(f"Subscription: there are {MOST} of yours already; delete what nobody needs"),
                code="business-rule",
            )
        name = self.subscriptions.new_id()
        row = rows.make(
            tx,
            {
                "name": name,
                "partner": partner.name if partner is not None else None,
                "status": State.OFF.value,
                "topic": wish.topic,
                "body": orjson.dumps(resource).decode(),
                "updated_at": now,
            },
        )
        self.subscriptions.begin(tx, row, name, wish, now)
        self._note(tx, name, phrase("created"), partner, now)
        return self.found(tx, name, partner)

    def change(
        self,
        tx: Connection,
        name: str,
        resource: Resource,
        partner: Partner | None,
        now: datetime,
        *,
        version: str | None = None,
    ) -> Row:
        """Ask anew, or no more (`off`). Whatever still waited is not sent: `$events` has it by number."""
        before = self.found(tx, name, partner)
        if resource.get("id") != name:
            raise Refused(technical("Subscription.id must be the id in the address"), code="invariant")
        if version is not None and version != str(before["version"]):
            raise Refused(
                technical(
                    f"Subscription: it is of version {before['version']} by now; read it again, then change "
                    "that"
                ),
                code="conflict",
            )
        resource = unmasked(resource, wish_of(before))
        wish = self._fit(resource, partner)
        rows.change(
            tx,
            before["id"],
            topic=wish.topic,
            body=orjson.dumps(resource).decode(),
            version=before["version"] + 1,
            updated_at=now,
        )
        self.subscriptions.begin(tx, before["id"], name, wish, now)
        what = phrase("switched off" if wish.off else "asked for anew")
        self._note(tx, name, what, partner, now)
        return self.found(tx, name, partner)

    def remove(self, tx: Connection, name: str, partner: Partner | None, now: datetime) -> None:
        """Forget a subscription; nothing more is sent."""
        row = self.found(tx, name, partner)
        rows.close_lane(tx, endpoint_name(name), phrase("the subscriber has deleted its subscription"))
        rows.remove(tx, row["id"])
        self.subscriptions.alarms.end(tx, "subscription", f"subscription {name}", now)
        self._note(tx, name, phrase("deleted"), partner, now)

    def found(self, tx: Connection, name: str, partner: Partner | None) -> Row:
        """A subscription of that caller; NotFound also where it is somebody else's."""
        row = rows.get(tx, name) if _AN_ID.fullmatch(name) else None
        if row is None or not self._own(row, partner):
            raise NotFound(technical("Subscription: there is none of yours with that id"))
        return row

    def listed(self, tx: Connection, partner: Partner | None) -> list[Row]:
        """The caller's subscriptions."""
        return rows.listed(tx, partner.name if partner is not None else None)

    def read(self, row: Row) -> Resource:
        """A subscription as its subscriber reads it."""
        return shown(
            orjson.loads(row["body"]),
            id=row["name"],
            version=row["version"],
            updated=row["updated_at"],
            state=State(row["status"]),
            error=row["error"],
        )

    def status(self, row: Row) -> Resource:
        """The status of a subscription, as `$status` tells it."""
        told = status_parameters(
            status_of(row), base=self.subscriptions.base, said=Said.STATUS, content=wish_of(row).content
        )
        return {"resourceType": "Parameters", "id": self.subscriptions.new_id()} | told

    def events(
        self,
        tx: Connection,
        row: Row,
        partner: Partner | None,
        now: datetime,
        *,
        since: int,
        until: int,
        content: Content | None = None,
    ) -> Bundle:
        """Events by number, as `$events` answers; `content` may ask for less than the subscription."""
        found = rows.events(tx, row["id"], since, until, MOST_EVENTS)
        wish = wish_of(row)
        told = content if content is not None else wish.content
        if told is Content.FULL and not self.subscriptions.tells_whole(partner):
            told = Content.ID_ONLY
        events = [Event(number=one["number"], at=one["at"], focus=one["focus"]) for one in found]
        return notification(
            status_of(row),
            bundle_id=self.subscriptions.new_id(),
            base=self.subscriptions.base,
            said=Said.EVENTS,
            content=told,
            at=now,
            events=events,
            resources=self.subscriptions.resources(tx, told, partner, events),
        )

    def _own(self, row: Row, partner: Partner | None) -> bool:
        return bool(row["partner"] == (partner.name if partner is not None else None))

    def _fit(self, resource: Resource, partner: Partner | None) -> Wish:
        """What is asked for, where the region allows it."""
        wish = wish_in(resource, most_timeout=self.subscriptions.longest)
        if not may_send_to(wish.address, partner):
            whose = "only this machine may be told while no region is configured"
            if partner is not None:
                whose = f"have it added to subscription_endpoints of the partner {partner.name}"
            raise Refused(
                technical(f"Subscription.channel.endpoint: the region does not allow that address; {whose}"),
                code="forbidden",
            )
        if wish.content is Content.FULL and not self.subscriptions.tells_whole(partner):
            raise Refused(
                technical(
                    "Subscription.channel.payload.extension: full-resource is not allowed: to share a "
                    "patient is not to share the record; ask for id-only and read what you may, or have "
                    "subscription_content set for your partner"
                ),
                code="forbidden",
            )
        return wish

    def _note(self, tx: Connection, name: str, what: Phrase, partner: Partner | None, now: datetime) -> None:
        by = partner.name if partner is not None else None
        case_rows.note(tx, at=now, subject=f"subscription {name}", what=what, case_id=None, by=by)
