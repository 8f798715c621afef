"""A partner's own client at /fhir: it tells, reads, searches, and changes what it has read.

It uses nothing but what a partner can: `$process-message`, reads with `If-None-Match`, searches with
`_lastUpdated` and their next pages, and `PUT` with `If-Match` (FHIR R4 http.html).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from adapter.fhir.bundles import Bundle, Resource

JSON = "application/fhir+json"
_PAGE = 50
_TRIES = 6
_FIRST_WAIT = 0.2  # seconds; twice as long each time


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the adapter said: an HTTP status, and the body where it is JSON."""

    status: int
    body: Resource = field(repr=False)

    @property
    def code(self) -> str | None:
        """The code of the first issue of an OperationOutcome."""
        issues = self.body.get("issue") or [{}]
        return issues[0].get("code") if self.body.get("resourceType") == "OperationOutcome" else None


class FhirClient:
    """One partner's connection to the adapter at `url`; safe to use from one thread."""

    def __init__(self, url: str, token: str, *, timeout: float = 30.0) -> None:
        self._base = f"{url.rstrip('/')}/fhir"
        self._timeout = timeout
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {token}", "Accept": JSON})

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def tell(self, message: Bundle) -> Answer:
        """Send a message; again while the adapter asks for that (503)."""
        return self._ask("POST", "$process-message", json=message)

    def read(self, name: str, *, known: Resource | None = None) -> Resource | None:
        """`Type/id` as it is now: `known` itself where it is that; None where it is not shown."""
        headers = {"If-None-Match": etag(known)} if known is not None else {}
        answer = self._ask("GET", name, headers=headers)
        if answer.status == 304:
            return known
        return answer.body if answer.status == 200 else None

    def search(self, kind: str, **params: str) -> Iterator[Resource]:
        """Every match, page after page."""
        path, said = kind, {"_count": str(_PAGE)} | params
        while path:
            answer = self._ask("GET", path, params=said)
            if answer.status != 200:
                raise requests.HTTPError(f"{kind} cannot be searched: HTTP {answer.status}, {answer.code}")
            yield from (item["resource"] for item in answer.body.get("entry") or ())
            links = answer.body.get("link") or ()
            path = next((str(one["url"]) for one in links if one["relation"] == "next"), "")
            said = {}

    def history(self, name: str) -> list[Resource]:
        """Every version that is shown, the newest first."""
        answer = self._ask("GET", f"{name}/_history")
        return [item["resource"] for item in answer.body.get("entry") or ()]

    def change(self, resource: Resource) -> Answer:
        """Put a changed resource; it is taken only where the version that it was read in is the newest."""
        name = f"{resource['resourceType']}/{resource['id']}"
        return self._ask("PUT", name, json=resource, headers={"If-Match": etag(resource)})

    def _ask(
        self, method: str, path: str, *, json: Any = None, headers: Any = None, params: Any = None
    ) -> Answer:
        url = path if path.startswith(self._base) else f"{self._base}/{path}"
        said = {"Content-Type": JSON} | (headers or {}) if json is not None else headers
        for tried in range(_TRIES):
            got = self._session.request(
                method, url, json=json, headers=said, params=params, timeout=self._timeout
            )
            if got.status_code != 503:
                break
            time.sleep(_FIRST_WAIT * 2**tried)
        is_json = "json" in got.headers.get("Content-Type", "")
        return Answer(status=got.status_code, body=got.json() if got.content and is_json else {})


def etag(resource: Resource) -> str:
    """The ETag of the version that a resource was read in."""
    return f'W/"{resource["meta"]["versionId"]}"'
