"""People who sign in: in which roles they look, and for which parties.

A partner is a machine (`register.Partner`); a person looks at the boards. What a person may see follows from
role and parties alone, and `sight.Sight` says it in one place.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from adapter.messaging.register import Register


class Role(StrEnum):
    """What somebody's work is; each has a board of its own."""

    WARD = "ward"  # of a hospital or a municipal acute bed: tells of discharges
    PRIMARY_CARE = "primary-care"  # a vårdcentral or a GP's office
    MUNICIPALITY = "municipality"  # its care services: answers and plans
    OPERATIONS = "operations"  # keeps the messages going
    AUDITOR = "auditor"  # sees who has looked, and changes nothing

    __hash__ = str.__hash__


CARE = frozenset({Role.WARD, Role.PRIMARY_CARE, Role.MUNICIPALITY})
"""The roles of those who care for patients; operators and auditors see none of them by name."""

KINDS = {
    Role.WARD: ("hospital", "municipal-acute-bed"),
    Role.MUNICIPALITY: ("municipality", "municipal-acute-bed"),
    Role.PRIMARY_CARE: ("open-care", "gp"),
}
"""For which kinds of party a role can be held; evaluation's unknown parties count as every kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who has signed in.

    `parties` are ids of the register; None is every party of the region, which only operators, auditors and
    the accounts of a demonstration have. `named` is False for an account that several people use: it is shown
    nobody with a protected identity, whatever else it may see.
    """

    id: str  # never changes: the name of a local account, or issuer and subject
    name: str  # as others see it
    roles: frozenset[Role]
    parties: tuple[str, ...] | None = ()
    named: bool = True

    def holds(self, *roles: Role) -> bool:
        """Whether the person holds one of these roles."""
        return not self.roles.isdisjoint(roles)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Somebody of the people file: who they are, and by what their password is known."""

    person: Person
    password: str = field(repr=False)  # argon2id, as `$argon2id$v=19$…`


def demonstration(register: Register) -> tuple[Person, ...]:
    """One account for each role, of the first party that fits; of every party where anybody may be one.

    For a house that only this machine reaches and where nobody need prove who they are. No account is
    anybody's own, so none is shown a protected identity.
    """
    made = []
    for role in Role:
        kinds = KINDS.get(role)
        fitting = [party.id for party in register.parties if kinds is None or party.kind in kinds]
        if kinds is not None and not fitting and not register.open:
            continue
        everywhere = kinds is None or register.open
        made.append(
            Person(
                id=f"demo-{role.value}",
                name=_DEMONSTRATED[role],
                roles=frozenset({role}),
                parties=None if everywhere else tuple(fitting[:1]),
                named=False,
            )
        )
    return tuple(made)


_DEMONSTRATED = {
    Role.WARD: "Ward nurse",
    Role.PRIMARY_CARE: "Primary care",
    Role.MUNICIPALITY: "Municipal coordinator",
    Role.OPERATIONS: "Operator",
    Role.AUDITOR: "Auditor",
}
