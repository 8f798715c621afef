"""Value sets with required binding, of the elements that we read (FHIR R4, http://hl7.org/fhir/R4/).

Kept by hand: the lists inside fhir.resources are cut short for twelve elements, Task.status and
Encounter.status among them.
"""


def words(text: str) -> frozenset[str]:
    """The words of a line, as a set."""
    return frozenset(text.split())


_EVENT = words("preparation in-progress not-done on-hold stopped completed entered-in-error unknown")
_REQUEST = words("draft active on-hold revoked completed entered-in-error unknown")
_REQUEST_INTENT = words(
    "proposal plan directive order original-order reflex-order filler-order instance-order option"
)

REQUIRED: dict[str, dict[str, frozenset[str]]] = {
    "Appointment": {
        "status": words(
            "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist"
        )
    },
    "CarePlan": {"status": _REQUEST, "intent": words("proposal plan order option")},
    "CareTeam": {"status": words("proposed active suspended inactive entered-in-error")},
    "Communication": {"status": _EVENT},
    "Composition": {"status": words("preliminary final amended entered-in-error")},
    "Consent": {"status": words("draft proposed active rejected inactive entered-in-error")},
    "DocumentReference": {"status": words("current superseded entered-in-error")},
    "Encounter": {
        "status": words(
            "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"
        )
    },
    "EpisodeOfCare": {"status": words("planned waitlist active onhold finished cancelled entered-in-error")},
    "Goal": {
        "lifecycleStatus": words(
            "proposed planned accepted active on-hold completed cancelled entered-in-error rejected"
        )
    },
    "List": {
        "status": words("current retired entered-in-error"),
        "mode": words("working snapshot changes"),
    },
    "Patient": {"gender": words("male female other unknown")},
    "ServiceRequest": {"status": _REQUEST, "intent": _REQUEST_INTENT},
    "Task": {
        "status": words(
            "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed "
            "entered-in-error"
        ),
        "intent": (_REQUEST_INTENT - {"directive"}) | {"unknown"},
    },
}
"""By resource type and element; a resource that is not here has no code that we act on."""

PARTICIPATION = words("accepted declined tentative needs-action")
RESPONSE = words("ok transient-error fatal-error")
SEVERITY = words("fatal error warning information")
ISSUE = words(
    "invalid structure required value invariant security login unknown expired forbidden suppressed "
    "processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension "
    "too-costly business-rule conflict transient lock-error no-store exception timeout incomplete throttled "
    "informational"
)
"""http://hl7.org/fhir/issue-type: the codes of OperationOutcome.issue.code and of our own refusals."""
