"""`EpisodeOfCare/…/$document`: the stay in one document, made of what the caller may read of it."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from adapter.fhir.bundles import Bundle, Resource
from adapter.fhir.documents import discharge_document
from adapter.fhir.sections import LANGUAGES
from adapter.readers import Reader
from adapter.web.fhir.answers import Turned

PROFILES = ("both", "eu-hdr", "pacio-toc")


def discharge_document_of(
    reader: Reader,
    tx: Connection,
    episode: Resource,
    *,
    asked: Mapping[str, str],
    may_read: Callable[[str], bool],
    now: datetime,
    document_id: str,
) -> Bundle:
    """The document of a case; `asked` may name `profile` and `language`.

    `may_read` says of a type whether the caller's scopes allow it: what they do not is left out.

    Raises Turned where they are not known, or where nothing of the stay can be read.
    """
    profile = _one_of(asked, "profile", PROFILES, "both")
    language = _one_of(asked, "language", LANGUAGES, "en")
    everything = reader.of_case(tx, int(episode["id"].removeprefix("case-")))
    found = [one for one in everything if may_read(one["resourceType"])]
    patient = _last(found, "Patient")
    encounter = _last(found, "Encounter")
    hospital = _organization(reader, tx, episode)
    if patient is None or encounter is None or hospital is None:
        raise Turned(404, "not-found", "of this case no stay at a registered hospital can be read")
    parties = reader.parties()
    return discharge_document(
        found,
        patient=patient,
        encounter=encounter,
        author=hospital,
        custodian=hospital,
        recipients=[one for one in parties if one["id"] != hospital["id"]],
        now=now,
        document_id=document_id,
        profile=profile,  # type: ignore[arg-type]  # one of PROFILES
        receiver_kind=reader.kind(),
        language=language,
    )


def _one_of(asked: Mapping[str, str], name: str, known: tuple[str, ...], usual: str) -> str:
    value = asked.get(name, usual)
    if value not in known:
        raise Turned(400, "value", f"{name} is one of: {', '.join(known)}", path=f"EpisodeOfCare.{name}")
    return value


def _last(found: list[Resource], kind: str) -> Resource | None:
    return next((one for one in reversed(found) if one["resourceType"] == kind), None)


def _organization(reader: Reader, tx: Connection, episode: Resource) -> Resource | None:
    """The hospital; by its id alone where nobody has registered it, in evaluation."""
    _, _, party = (episode.get("managingOrganization") or {}).get("reference", "").partition("/")
    if not party:
        return None
    known = reader.read(tx, "Organization", party)
    unknown = {"resourceType": "Organization", "id": party, "name": party}
    return known or (unknown if reader.shelves.register.open else None)
