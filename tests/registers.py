"""The pretend address register of the tests, and the settings that ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from adapter.simulator.address_register import AddressRegisterServer, Registered
from adapter.simulator.threads import serving

LAERDAL = Registered(
    her_id="8143510", kind="Organization", name="LÆRDAL KOMMUNE", display_name="Lærdal kommune",
    organisation_number="987654321", municipality="4642",
    electronic=(("E_EDI", "laerdal@edi.example"), ("E_DS", "ldap://ldap.example/cn=x?usercertificate;binary")),
    postal=(("PST", "Øyraplassen 7", "6887", "LÆRDAL"),),
)  # fmt: skip
NURSING = Registered(
    her_id="8143511",
    kind="Service",
    name="Sjukepleieteneste",
    parent=LAERDAL,
    valid_from="2014-01-01T00:00:00",
)
MARTA = Registered(her_id="8143590", kind="Person", name="Marta Nesøy", parent=LAERDAL)


@contextmanager
def register(*parties: Registered, **settings: Any) -> Iterator[AddressRegisterServer]:
    """A register of these parties, answering on loopback."""
    server = AddressRegisterServer(parties or (LAERDAL, NURSING, MARTA), **settings)
    with serving(server):
        yield server


def ended(party: Registered, on: str) -> Registered:
    """The party, ended at the end of the day before."""
    return replace(party, valid_to=f"{on}T00:00:00")
