"""A hospital and a municipality, each with an adapter of its own, and a network that does what it likes.

After the faults stop, both agree on every case and on every acknowledgement (issue: D-01 to D-09).
"""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.between import Fault
from tests.two_adapters import AABY, CEBY, DEBY, Two, cpr, stay, two

WHO = ((AABY,), (CEBY,), (AABY, CEBY), (DEBY,))  # in turn
MORE = 1000  # numbers of the patients from here on are all Aaby's own
STRANGERS = 3  # of so many patients the last is none of Aaby's own


def play(folder: Path, *, stays: int, seed: int, share: float, least: int) -> None:
    dice, now = random.Random(seed), datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # real processes
    known = tuple(cpr(n) for n in range(stays) if n % STRANGERS != STRANGERS - 1)
    known += tuple(cpr(n) for n in range(MORE, MORE + 200))
    with two(folder, seed=seed, share=share, roster=known) as both:
        told = [stay(number, WHO[number % len(WHO)], dice, now) for number in range(stays)]
        for place in range(max(len(one.messages) for one in told)):
            for one in dice.sample(told, len(told)):
                if place < len(one.messages):
                    both.post(one.messages[place])
        further = iter(range(MORE, MORE + 200))

        def all_has_happened() -> bool:
            """Else the hospital tells of one more: whose answer gets lost is a matter of luck."""
            met = both.there.met + both.back.met
            if set(both.there.met) == set(Fault) and both.resent() and met.total() >= least:
                return True
            if both.settled():
                both.post(stay(next(further), (AABY,), dice, now).messages[0])
            return False

        both.until(all_has_happened, 60, "every fault, and a resend")
        both.calm()
        both.until(both.settled, 30, "everything delivered and acknowledged")
        agree(both)


def agree(both: Two) -> None:
    """Both hold the same of every patient, and of every message the same verdict."""
    hospital, municipality = both.hospital, both.municipality
    # acknowledgements: each delivery's message came once, and both say the same of it
    sent = dict(hospital.rows("SELECT message_id, state FROM delivery WHERE kind <> 'receipt'"))
    left = {number: state for number, state in sent.items() if state != "cancelled"}
    came = municipality.came()
    assert {number: verdict for number, (_, verdict) in came.items()} == left
    assert {verdict for _, verdict in came.values()} == {"acknowledged", "refused"}
    # cases: each patient of whom something was taken, and nobody else
    mine, theirs = hospital.cases(), municipality.cases()
    assert {outcome for outcome, _ in came.values()} == {"accepted", "not-relevant"}
    numbers = ", ".join(f"'{number}'" for number, (outcome, _) in came.items() if outcome == "accepted")
    assert set(theirs) == hospital.by_patient(f"message_id IN ({numbers})")
    assert {patient: mine[patient] for patient in theirs} == theirs
    # what was taken back before it left is in no wire's notices
    whole = set(theirs) - hospital.by_patient("delivery.state = 'cancelled'")
    notices, taken = hospital.notices(), municipality.notices()
    assert {patient: notices[patient] for patient in whole} == {patient: taken[patient] for patient in whole}
    assert not municipality.rows("SELECT id FROM message WHERE outcome = 'quarantined'")
    for side in (hospital, municipality):
        proof = side.cli("check", "--journal")
        assert proof.returncode == 0, proof.stdout + proof.stderr


def test_after_the_faults_both_agree(tmp_path: Path):
    play(tmp_path, stays=8, seed=1, share=0.5, least=8)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_after_many_faults_both_agree(tmp_path: Path, seed: int):
    play(tmp_path, stays=40, seed=seed, share=0.6, least=150)
