"""What a message says, whoever it is addressed to: one digest for a message and its copy under another id.

Some systems send the same content to a receiver and to a copy receiver under two message ids. What differs
between the two is left out: ids, receivers, the reference, and the time of the event. It is the sending time
where none was told, so the caller must compare it.
"""

import hashlib
import json
from typing import Any

from adapter.fhir.bundles import EXTENSION_BASE, Bundle, Resource, extension, follow, header

_OUTSIDE = ("id", "destination")
_REFERENCE = f"{EXTENSION_BASE}refers-to"


def likeness(bundle: Bundle) -> bytes:
    """32 bytes, the same for two messages that say the same."""
    head = header(bundle) or {}
    receiving = {id(follow(bundle, d.get("receiver"))) for d in head.get("destination") or ()}
    names = {str(bundle.get("timestamp")): "then", str(head.get("id")): "message"}
    names |= {str(extension(head, "occurred")): "then"}
    counted: dict[str, int] = {}
    kept: list[Resource] = []
    for one in bundle.get("entry") or ():
        resource = one.get("resource") or {}
        kind = str(resource.get("resourceType"))
        place = "receiver"
        if id(resource) not in receiving:
            counted[kind] = counted.get(kind, 0) + 1
            place = f"{kind} {counted[kind]}"
            kept.append(resource)
        names |= {str(name): place for name in (one.get("fullUrl"), f"{kind}/{resource.get('id')}") if name}
    said = [_without(resource, head is resource) for resource in kept]
    return hashlib.sha256(json.dumps(_renamed(said, names), sort_keys=True, default=str).encode()).digest()


def _without(resource: Resource, is_header: bool) -> Resource:
    """The resource without its id, and the header without what is its envelope."""
    outside = _OUTSIDE if is_header else ("id",)
    made = {name: value for name, value in resource.items() if name not in outside}
    if is_header:
        made["extension"] = [e for e in made.get("extension") or () if e.get("url") != _REFERENCE]
    return made


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value
