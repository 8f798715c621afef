"""The cast of the simulator's tests: a hospital, two municipalities that read FHIR, one that reads PLO."""

from datetime import UTC, datetime

from adapter.messaging.envelope import HER, Address

NOW = datetime(2014, 11, 3, 9, 0, tzinfo=UTC)
HOSPITAL = Address(identifiers=((HER, "8143548"),), name="Lærdal sjukehus")
LUSTER = Address(identifiers=((HER, "8143540"),), name="Luster kommune")
PARTIES = (
    ("laerdal-sjukehus", "Lærdal sjukehus", "hospital", "8143548", "fhir"),
    ("luster", "Luster kommune", "municipality", "8143540", "fhir"),
    ("vik", "Vik kommune", "municipality", "8143570", "fhir"),
    ("aardal", "Årdal kommune", "municipality", "8143520", "plo-1.6"),
)
