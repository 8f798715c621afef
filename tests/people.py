"""The people who look at the pages in tests, always the same, and the people file that names them."""

from collections.abc import Iterable
from pathlib import Path

from argon2 import PasswordHasher

from adapter.messaging.people import Person, Role

PASSWORD = "fjord og fjell"
_QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # as safe as a test needs
HASH = _QUICK.hash(PASSWORD)


def somebody(id: str, name: str, *roles: Role, parties: tuple[str, ...] | None, named: bool = True) -> Person:
    return Person(id=id, name=name, roles=frozenset(roles), parties=parties, named=named)


WARD = somebody("solveig", "Solveig Nesøy", Role.WARD, parties=("laerdal-sjukehus",))
OTHER_WARD = somebody("eirik", "Eirik Moen", Role.WARD, parties=("foerde-sentralsjukehus",))
LUSTER = somebody("kari", "Kari Bø", Role.MUNICIPALITY, parties=("luster",))
SOGNDAL = somebody("ola", "Ola Eide", Role.MUNICIPALITY, parties=("sogndal",))
DOCTOR = somebody("per", "Per Lie", Role.PRIMARY_CARE, parties=("luster-legekontor",))
OPERATOR = somebody("marta", "Marta Vik", Role.OPERATIONS, parties=None)
AUDITOR = somebody("nils", "Nils Holm", Role.AUDITOR, parties=None)
NIGHTS = somebody("natt", "Nattevakta", Role.MUNICIPALITY, parties=("luster",), named=False)
COUNTER = somebody("skranke", "Skranken", Role.PRIMARY_CARE, parties=("luster-legekontor",), named=False)
BOTH = somebody(
    "tove", "Tove Ness", Role.WARD, Role.MUNICIPALITY, parties=("foerde-sentralsjukehus", "luster")
)
CHIEF = somebody(
    "turid", "Turid Li", Role.PRIMARY_CARE, Role.OPERATIONS, Role.AUDITOR, parties=("luster-legekontor",)
)
SHARED = somebody("vakt", "Vaktrom", Role.WARD, parties=("laerdal-sjukehus",), named=False)


def people_file(path: Path, people: Iterable[Person], password_hash: str = HASH) -> Path:
    """A people file with these; all have the same password."""
    entries = []
    for person in people:
        lines = [
            "[[person]]",
            f'id = "{person.id}"',
            f'name = "{person.name}"',
            f'password_argon2 = "{password_hash}"',
            f"roles = {sorted(role.value for role in person.roles)}",
        ]
        if person.parties is not None:
            lines.append(f"parties = {list(person.parties)}")
        if not person.named:
            lines.append("shared = true")
        entries.append("\n".join(lines))
    path.write_text("\n\n".join(entries) + "\n", encoding="utf-8")
    return path
