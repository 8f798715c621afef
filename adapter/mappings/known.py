"""The dialects that the adapter speaks, in the order in which they are asked whether a message is theirs."""

from adapter.mappings import Dialect, Head, kith, medcom, own_fhir

DIALECTS: tuple[Dialect, ...] = (kith, medcom, own_fhir)


def recognise(head: Head) -> Dialect | None:
    """The dialect that claims the message; None where nobody does."""
    return next((dialect for dialect in DIALECTS if dialect.recognises(head)), None)


def named(name: str) -> Dialect:
    """The dialect of that name, as `plo-1.6`; the name comes from our own configuration or store."""
    return next(dialect for dialect in DIALECTS if name in dialect.NAMES)
