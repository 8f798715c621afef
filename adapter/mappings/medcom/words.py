"""MedCom's own words: its code systems, extensions and profiles, and what each activity tells of a stay.

Sources: MedCom's FHIR guides (terminology 2.0.2, core 4.0.0, messaging 4.0.2, hospitalnotification 3.0.2,
acknowledgement 2.0.3). Addresses are compared by their last part: 2.0 had others before it.
"""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from adapter.discharge.notices import NoticeKind, Standing

GLN = "https://www.gs1.org/gln"
"""Identifier system of the location number (EAN-lokationsnummer), by which VANS delivers."""

EVENT_CODES = "medcom-messaging-eventCodes"
ACTIVITY_CODES = "medcom-messaging-activityCodes"
DESTINATION_USE = "medcom-messaging-destinationUse"
ERROR_CODES = "medcom-acknowledgement-error-codes"

LEAVE_PERIOD = "medcom-hospitalnotifiation-leave-period-extension"  # spelt so by MedCom
REPORT_OF_ADMISSION = "medcom-messaging-reportOfAdmissionExtension"
REPORT_RECIPIENT = "medcom-messaging-reportOfAdmissionRecipientExtension"
DESTINATION_USE_EXTENSION = "medcom-messaging-destinationUseExtension"

HOSPITAL_NOTIFICATION = "hospital-notification-message"
CARE_COMMUNICATION = "care-communication-message"
ACKNOWLEDGEMENT = "acknowledgement-message"

PRIMARY, CARBON_COPY = "primary", "cc"

_GUIDES = "http://medcomfhir.dk/ig/"
_EXTENSIONS = {
    LEAVE_PERIOD: "hospitalnotification",
    REPORT_OF_ADMISSION: "hospitalnotification",
    REPORT_RECIPIENT: "hospitalnotification",
    DESTINATION_USE_EXTENSION: "messaging",
}
_PREFIX = {Standing.NEW: "", Standing.CORRECTION: "revise-", Standing.CANCELLATION: "cancel-"}
_SHORT_PREFIX = {Standing.NEW: "", Standing.CORRECTION: "RE_", Standing.CANCELLATION: "AN_"}
DEATH = "MORS"
"""The Danish short code of a death, which has no activity code of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What a HospitalNotification does: admit, start a leave, …, new, corrected or cancelled."""

    base: str  # the code without `revise-` or `cancel-`
    standing: Standing
    kind: NoticeKind  # of a patient who lives
    short: str  # STIN, STAA, STOR, SLOR, SLHJ
    encounter_class: str  # IMP or EMER

    @property
    def code(self) -> str:
        """As it stands in Provenance.activity: `revise-admit-inpatient`."""
        return f"{_PREFIX[self.standing]}{self.base}"

    def named(self, *, deceased: bool) -> str:
        """The Danish short code: STIN, RE_STOR, AN_MORS."""
        return f"{_SHORT_PREFIX[self.standing]}{DEATH if deceased else self.short}"


@cache
def table(name: str) -> dict[str, Any]:
    """A table of `codes/`."""
    return tomllib.loads(files(__package__).joinpath("codes", f"{name}.toml").read_text(encoding="utf-8"))


def activity(code: str) -> Activity | None:
    """The activity of that code; None for one that is no HospitalNotification's."""
    standing = next((s for s, prefix in _PREFIX.items() if prefix and code.startswith(prefix)), Standing.NEW)
    base = code.removeprefix(_PREFIX[standing])
    found = table("activities")["activity"].get(base)
    if found is None:
        return None
    kind = NoticeKind(found["kind"])
    return Activity(
        base=base, standing=standing, kind=kind, short=found["short"], encounter_class=found["class"]
    )


def activity_for(kind: NoticeKind, standing: Standing, encounter_class: str) -> Activity | None:
    """The activity that tells `kind`; None where HospitalNotification has no word for it.

    Of a death, that of the admission, where nothing later is known to be repeated.
    """
    by_class = table("activities")["written"].get(kind.value)
    if by_class is None:
        return None
    return activity(f"{_PREFIX[standing]}{by_class.get(encounter_class) or by_class['IMP']}")


def with_standing(known: Activity, standing: Standing) -> Activity:
    """The same activity, new, corrected or cancelled."""
    return replace(known, standing=standing)


def code_system(name: str) -> str:
    """The address of one of MedCom's code systems."""
    return f"{_GUIDES}terminology/CodeSystem/{name}"


def extension_address(name: str) -> str:
    """The address of one of MedCom's extensions."""
    return f"{_GUIDES}{_EXTENSIONS[name]}/StructureDefinition/{name}"


def is_of(address: Any, name: str) -> bool:
    """Whether an address is that code system or extension, whichever guide's version it names."""
    return isinstance(address, str) and address.rsplit("/", 1)[-1] == name


def profile(guide: str, name: str) -> str:
    """The address of a profile: `profile("core", "medcom-core-patient")`."""
    return f"{_GUIDES}{guide}/StructureDefinition/{name}"
