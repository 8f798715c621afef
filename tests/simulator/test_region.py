import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError
from adapter.messaging.envelope import HER
from adapter.messaging.register import Party, Side
from adapter.simulator.faults import Faults
from adapter.simulator.places import at_free_ports, in_folder, with_fresh_tokens
from adapter.simulator.region import Outage, SimulatedRegion, address
from adapter.simulator.stories import LOGISTICS
from adapter.simulator.threads import serving

from .cast import NOW
from .fake_adapter import FakeAdapter

REGIONS = Path(__file__).parent.parent.parent / "fixtures" / "regions"
FAST = 10_000_000.0  # a week in a fifteenth of a second


@pytest.fixture
def place(register, tmp_path):
    """A register in a place of its own, with its tokens."""
    return with_fresh_tokens(in_folder(at_free_ports(register), tmp_path / "folders"))


def region(place, url, clock, tmp_path, faults="", **options):
    register, tokens = place
    options = {"speed": FAST} | options
    return SimulatedRegion(
        register, url, tokens, folder=tmp_path / "logs", clock=clock, faults=Faults.parse(faults), **options
    )


def ran(place, clock, tmp_path, *, cases=6, faults="", limit=10.0, adapter=None, **options):
    """A region that has run around a fake adapter, that adapter, and the report."""
    adapter = adapter or FakeAdapter(place[0], NOW.date())
    with serving(adapter):
        one = region(place, adapter.url, clock, tmp_path, faults, **options)
        try:
            report = one.run(cases, within=0.1, limit=limit)
        finally:
            one.stop()
    return one, adapter, report


def test_all_that_is_told_arrives_and_is_receipted(place, clock, tmp_path):
    one, adapter, report = ran(place, clock, tmp_path, cases=8)
    total = report.total
    told = sum(len(story.steps) for story in one.stories)
    answers = report.by_party["laerdal-sjukehus"].sent
    assert report.quiet
    assert total.sent == told + answers == len(adapter.seen)
    assert total.sent == total.accepted == total.delivered == total.receipted
    assert (total.refused, total.repeats, total.lost, total.open) == (0, 0, 0, 0)


def test_every_kind_of_receiver_takes_part(place, clock, tmp_path):
    one, _, report = ran(place, clock, tmp_path, cases=8)
    assert all(report.by_party[party].receipted > 0 for party in ("luster", "vik", "aardal"))
    told = {s.notice.kind for story in one.stories for s in story.steps if story.cast.party == "aardal"}
    assert NoticeKind.ADMITTED in told <= set(LOGISTICS)
    arrivals = (tmp_path / "logs" / "aardal.jsonl").read_text().splitlines()
    assert len(arrivals) == report.by_party["aardal"].delivered
    assert all(json.loads(line)["taken"] for line in arrivals)


def test_municipalities_that_speak_fhir_answer_each_ready_notice(place, clock, tmp_path):
    one, _, report = ran(place, clock, tmp_path, cases=8)
    ready = [
        step.notice
        for story in one.stories
        if story.cast.party != "aardal"
        for step in story.steps
        if step.notice.kind is NoticeKind.READY_FOR_DISCHARGE
    ]
    answers = one.receivers["laerdal-sjukehus"].memory.effects.values()
    assert len(answers) == len(ready) == report.by_party["laerdal-sjukehus"].delivered > 0
    assert {a.event for a in answers} == {"answer"}


def test_the_same_seed_tells_the_same_stories(place, clock, tmp_path):
    def plots(seed):
        one = region(place, "http://127.0.0.1:1", clock, tmp_path, seed=seed)
        one.run(5, within=0, limit=0)
        one.stop()
        return [(s.plot, s.cast.party, s.subject) for s in one.stories]

    assert len(plots(3)) == 5
    assert plots(3) == plots(3) != plots(4)


def test_faults_end_in_quiet_and_are_counted(place, clock, tmp_path):
    faults = "reset=luster:0.5,not-now=vik:0.3,reject=luster:0.5,no-receipt=vik:0.5,down=vik:300ms"
    _, _, report = ran(place, clock, tmp_path, cases=10, faults=faults)
    assert report.quiet
    assert report.total.lost == 0
    assert report.by_party["luster"].refused > 0
    assert report.by_party["luster"].repeats > 0
    assert report.by_party["vik"].withheld > 0
    luster = report.by_party["luster"]
    assert luster.accepted == luster.delivered == luster.receipted + luster.refused


def test_a_lost_message_is_seen(place, clock, tmp_path):
    adapter = FakeAdapter(place[0], NOW.date(), loses="luster")
    _, _, report = ran(place, clock, tmp_path, adapter=adapter, cases=6, limit=0.5)
    assert not report.quiet
    assert report.by_party["luster"].lost == report.by_party["luster"].accepted > 0
    assert report.total.lost == report.by_party["luster"].lost


def test_an_adapter_that_refuses_has_accepted_nothing(place, clock, tmp_path):
    adapter = FakeAdapter(place[0], NOW.date(), refuses=True)
    _, _, report = ran(place, clock, tmp_path, adapter=adapter, cases=2)
    assert (report.total.accepted, report.total.lost) == (0, 0)
    assert report.total.refused == report.total.sent > 0
    assert report.quiet


def test_while_the_adapter_is_away_the_same_bytes_are_sent_again(place, clock, tmp_path):
    adapter = FakeAdapter(place[0], NOW.date())
    with serving(adapter):
        url = adapter.url
    one = region(place, url, clock, tmp_path)
    reports = []
    runner = threading.Thread(target=lambda: reports.append(one.run(3, within=0, limit=10)))
    try:
        runner.start()
        time.sleep(0.3)
        with serving(adapter):
            runner.join(10)
    finally:
        one.stop()
    assert reports[0].quiet
    assert reports[0].total.lost == 0
    tries = [p.tries for p in one.systems["laerdal-sjukehus"].posted.values()]
    assert max(tries) > 1
    assert all(len(set(contents)) == 1 for contents in adapter.seen.values())


def test_a_message_sent_twice_is_the_same_message(place, clock, tmp_path):
    one, adapter, report = ran(place, clock, tmp_path, cases=20)
    twice = [s.notice.message_id for story in one.stories for s in story.steps if s.again]
    assert twice
    assert all(len(adapter.seen[i]) == 2 and len(set(adapter.seen[i])) == 1 for i in twice)
    assert report.total.repeats == 0


def test_a_living_region_goes_on_while_one_municipality_is_down_and_catches_up(place, clock, tmp_path):
    register, tokens = place
    only_fhir = replace(register, parties=register.parties[:3])
    adapter = FakeAdapter(only_fhir, NOW.date())
    with serving(adapter):
        one = region((only_fhir, tokens), adapter.url, clock, tmp_path)
        try:
            one.live(per_minute=1800, outage=Outage(first=0.1, lasts=0.3, every=60))
            time.sleep(0.9)
            report = one.report()
        finally:
            one.stop()
    assert len(one.stories) > 10
    (down,) = [name for name, r in one.receivers.items() if not all(a.taken for a in r.memory.arrivals)]
    arrivals = one.receivers[down].memory.arrivals
    turned_away = {a.message_id for a in arrivals if not a.taken}
    assert turned_away <= {a.message_id for a in arrivals if a.taken}
    assert report.by_party[down].delivered > len(turned_away)


def test_in_a_living_region_some_patients_have_their_gp_at_an_office_that_reads_on_its_board(
    place, clock, tmp_path
):
    register, tokens = place
    office = Party(
        id="legekontor", name="Lærdal legekontor", kind="gp", side=Side.OURS, identifiers=((HER, "8143580"),)
    )
    register = replace(register, parties=(*register.parties, office))
    adapter = FakeAdapter(register, NOW.date())
    with serving(adapter):
        one = region((register, tokens), adapter.url, clock, tmp_path)
        try:
            one.live(per_minute=1800)
            time.sleep(0.6)
        finally:
            one.stop()
    told = [address(office).token in story.steps[0].notice.receivers for story in one.stories]
    assert 0 < sum(told) < len(told)
    assert b"8143580" in b"".join(content for seen in adapter.seen.values() for content in seen)


def test_the_report_is_a_table_and_a_document(place, clock, tmp_path):
    _, _, report = ran(place, clock, tmp_path, cases=3)
    assert list(report.by_party) == ["laerdal-sjukehus", "luster", "vik", "aardal"]
    lines = report.table().splitlines()
    assert lines[0].split()[:4] == ["receiver", "sent", "accepted", "delivered"]
    assert [line.split()[0] for line in lines[1:6]] == [
        "laerdal-sjukehus",
        "luster",
        "vik",
        "aardal",
        "total",
    ]
    assert lines[-1].startswith("3 cases")
    assert lines[-1].endswith("all quiet")
    document = report.as_dict()
    assert document["sent"] == report.total.sent
    assert document["parties"]["vik"]["delivered"] == report.by_party["vik"].delivered
    json.dumps(document)


def test_fresh_tokens_replace_every_partners_hash(register):
    fresh, tokens = with_fresh_tokens(register)
    assert len(set(tokens.values())) == len(register.partners)
    for partner in fresh.partners:
        assert partner.token_sha256 == hashlib.sha256(tokens[partner.name].encode()).hexdigest()
        assert fresh.partner_by_token(tokens[partner.name]) == partner
    assert fresh.partner_by_token("old") is None
    assert with_fresh_tokens(register)[1] != tokens


def test_places_collide_with_nobody(register, tmp_path):
    moved = in_folder(at_free_ports(register), tmp_path)
    urls = [urlsplit(e.address) for e in moved.endpoints if e.transport == "fhir"]
    assert len({u.port for u in urls}) == 3
    assert all(u.hostname == "127.0.0.1" and u.path == "/fhir/$process-message" for u in urls)
    (folder,) = [e.address for e in moved.endpoints if e.transport == "directory"]
    assert Path(folder) == tmp_path / "aardal"
    assert moved.parties == register.parties


def test_a_region_needs_one_hospital_with_a_token(register, clock, tmp_path):
    with pytest.raises(ConfigurationError, match="no partner in the region has a token"):
        region((register, {}), "http://127.0.0.1:1", clock, tmp_path)
    none = replace(register, parties=register.parties[1:])
    with pytest.raises(ConfigurationError, match="needs a region with one hospital; this has 0"):
        region((none, {}), "http://127.0.0.1:1", clock, tmp_path)


def test_a_region_where_no_municipality_listens_says_so(clock, tmp_path):
    together = load_region(REGIONS / "vasterbotten.toml").register_
    with pytest.raises(ConfigurationError, match="needs a municipality with an endpoint"):
        region(with_fresh_tokens(together), "http://127.0.0.1:9", clock, tmp_path)
