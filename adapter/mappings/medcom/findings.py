"""What a MedCom message breaks, and the means to look for it.

A rule looks at parsed JSON that may be anything: what has another type than FHIR gives it counts as missing
here, and is told by the check of its shape.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapter.fhir.bundles import Bundle, Resource
from adapter.phrases import Phrase

ERROR, WARNING = "error", "warning"

_MEDCOM = "http://medcomfhir.dk/"

EVENTS = {
    "hospital-notification-message": "HospitalNotification",
    "care-communication-message": "CareCommunication",
    "acknowledgement-message": "Acknowledgement",
}
"""The messages that we know, by event code, as MedCom names them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """One rule that a message breaks.

    `name` is the invariant's own, or the profile's where an element of it is wanting. `severity` is error,
    for which a message is refused (D-11), or warning, where official examples are off as well (T6). `path` is
    FHIRPath. `code` is one of `medcom-acknowledgement-issue-details`. `text` holds no value of the message.
    """

    name: str
    severity: str
    text: Phrase
    path: str
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A resource of the Bundle, and where it stands."""

    resource: Resource
    path: str
    full_url: Any = None

    @property
    def kind(self) -> Any:
        return self.resource.get("resourceType")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message that is looked at: its resources in order, its MessageHeader, and what its event is."""

    bundle: Bundle
    placed: tuple[Placed, ...]
    head: Resource
    event: str

    def every(self, kind: str) -> Iterator[Placed]:
        """Every resource of that type, in order; the Bundle itself as `Bundle`."""
        if kind == "Bundle":
            yield Placed(resource=self.bundle, path="Bundle")
        yield from (placed for placed in self.placed if placed.kind == kind)

    def led_to(self, reference: Any, *kinds: str) -> Resource | None:
        """The resource of one of those types that a Reference leads to, by fullUrl or type and id (F-04)."""
        target = reference.get("reference") if isinstance(reference, dict) else None
        for placed in self.placed if isinstance(target, str) else ():
            if placed.kind in kinds and target in (
                placed.full_url,
                f"{placed.kind}/{placed.resource.get('id')}",
            ):
                return placed.resource
        return None


def message(bundle: Bundle) -> Message:
    """A Bundle to be looked at; its event is empty where it names none that is a word."""
    placed = tuple(
        Placed(
            resource=entry["resource"], path=f"Bundle.entry[{number}].resource", full_url=entry.get("fullUrl")
        )
        for number, entry in enumerate(values(bundle, "entry"))
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    )
    head = placed[0].resource if placed and placed[0].kind == "MessageHeader" else {}
    event = next(iter(values(head, "eventCoding.code")), None)
    return Message(bundle=bundle, placed=placed, head=head, event=event if isinstance(event, str) else "")


def values(found: Any, path: str) -> list[Any]:
    """What a path leads to, as FHIRPath walks it: lists are looked through, what is not there is nothing."""
    here = [found]
    for name in path.split("."):
        here = [value for item in here if isinstance(item, dict) for value in _each(item.get(name))]
    return here


def texts(found: Any, path: str) -> list[str]:
    """The strings that a path leads to."""
    return [value for value in values(found, path) if isinstance(value, str)]


def extensions(element: Any, url: str) -> list[Resource]:
    """The extensions of that address."""
    found = values(element, "extension")
    return [e for e in found if isinstance(e, dict) and same_address(e.get("url"), url)]


def same_address(found: Any, wanted: str) -> bool:
    """Whether it is that address; of MedCom's own the last part counts, as the rest changed with versions."""
    if not isinstance(found, str) or not found.startswith(_MEDCOM) or not wanted.startswith(_MEDCOM):
        return bool(found == wanted)
    return found.rsplit("/", 1)[-1] == wanted.rsplit("/", 1)[-1]


def _each(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
