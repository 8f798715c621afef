"""The graph of a CarePlan on a partner's server: what came with the search, and the rest read by itself.

Followed is what makes the plan: its team, goals, conditions, measures, Tasks, meetings, findings, medicines
and documents, and the parties in them; never another patient, another plan, or another server. What was read
by itself is read again with `If-None-Match`. It is bounded in number and in bytes.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from re import fullmatch

from adapter.errors import MessageError
from adapter.fhir.bundles import Resource
from adapter.fhir.polled import PARTIES, PARTS
from adapter.fhir.pushing import etag_of, targets
from adapter.fhir.wire import parse_resource
from adapter.messaging.delivery import Reply
from adapter.phrases import Phrase, phrase

MOST_PARTS = 300
"""Resources of one plan."""

_MOST_KEPT = 2000  # resources that are remembered between polls
_NAME = r"[A-Z][A-Za-z]{2,40}/(?!\.+$)[A-Za-z0-9.-]{1,128}"
_NOT_THERE = (403, 404, 410)


class GraphReader:
    """Reads graphs through `get`, which takes a URL and the ETag that is known of what is there."""

    def __init__(self, base: str, get: Callable[[str, str | None], Reply], *, largest: int) -> None:
        self._base = base.rstrip("/")
        self._get = get
        self._largest = largest
        self._kept: OrderedDict[str, tuple[str, Resource, int]] = OrderedDict()  # ETag, resource, bytes

    def whole(self, entry: Resource, by_name: Mapping[str, Resource]) -> list[Resource] | Phrase:
        """The entry of the CarePlan first, then those of its graph; or why it cannot be read whole."""
        plan = entry["resource"]
        kept, waiting, met, size = [entry], [plan], {self._named(plan)}, 0
        while waiting:
            for name in self._followed(waiting.pop(), plan):
                if name in met:
                    continue
                met.add(name)
                if len(kept) > MOST_PARTS or size > self._largest:
                    return phrase("the graph of {plan} is larger than we read", plan=self._named(plan))
                part = by_name.get(name) or by_name.get(f"{self._base}/{name}")
                if part is None:
                    found = self._read(name)
                    if isinstance(found, Phrase):
                        return found
                    if found is None:
                        continue
                    part, read = found
                    size += read
                kept.append(part)
                waiting.append(part["resource"])
        return [{k: one[k] for k in ("fullUrl", "resource") if k in one} for one in kept]

    def _followed(self, resource: Resource, plan: Resource) -> Iterator[str]:
        """What a part leads to, as `Type/id`, as far as it belongs to the plan."""
        if resource["resourceType"] in PARTIES:
            return
        stay = {self._name(t) for key in ("subject", "encounter") for t in targets(plan.get(key))}
        for target in targets(resource):
            name = self._name(target)
            kind = name.partition("/")[0]
            followed = kind in (*PARTS, *PARTIES) and kind != "Patient"
            if name in stay or (followed and fullmatch(_NAME, name)):
                yield name

    def _name(self, target: str) -> str:
        return target.removeprefix(f"{self._base}/").partition("/_history/")[0]

    @staticmethod
    def _named(resource: Resource) -> str:
        return f"{resource['resourceType']}/{resource.get('id')}"

    def _read(self, name: str) -> tuple[Resource, int] | Phrase | None:
        """One part as an entry, and its bytes; None where it is not there for us, else why it cannot."""
        url = f"{self._base}/{name}"
        known = self._kept.get(name)
        reply = self._get(url, known[0] if known is not None else None)
        if reply.status in _NOT_THERE:
            self._kept.pop(name, None)
            return None
        if reply.status == 304 and known is not None:
            self._kept.move_to_end(name)
            return {"fullUrl": url, "resource": known[1]}, known[2]
        if not reply.taken or reply.error:
            return phrase("{resource} cannot be read: {why}", resource=name, why=reply.said)
        try:
            resource = parse_resource(reply.body, reply.content_type)
        except MessageError as problem:
            return phrase("{resource} cannot be read: {why}", resource=name, why=problem.reason)
        if self._named(resource) != name:
            return phrase("{resource} cannot be read: the server answers with something else", resource=name)
        etag = reply.etag or etag_of(resource)
        if etag is not None:
            self._kept[name] = (etag, resource, len(reply.body))
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return {"fullUrl": url, "resource": resource}, len(reply.body)
