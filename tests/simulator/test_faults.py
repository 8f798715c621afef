import pytest

from adapter.errors import ConfigurationError
from adapter.simulator.faults import Fault, FaultKind, Faults


def test_orders_are_read_with_their_times_and_shares():
    text = "slow=luster:500ms, down=sogndal:1m@10s,reset=vik:0.1"
    faults = Faults.parse(text, ["luster", "sogndal", "vik"])
    assert faults.orders == (
        Fault(kind=FaultKind.SLOW, receiver="luster", amount=0.5),
        Fault(kind=FaultKind.DOWN, receiver="sogndal", amount=60.0, begins=10.0),
        Fault(kind=FaultKind.RESET, receiver="vik", amount=0.1),
    )


def test_no_text_is_no_fault():
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("broken=luster:1", "'broken' is not one of slow, down, reset, no-receipt, reject, not-now"),
        ("slow=bergen:2s", "nobody is called 'bergen'; known are luster, vik and *"),
        ("slow=luster:2", "'2' is no time; write it as 2s, 500ms or 1m"),
        ("reset=luster:1.5", "'1.5' is no share of the messages between 0 and 1"),
        ("reset=luster:often", "'often' is no share"),
        ("reset=luster:0.5@3s", "only down takes a beginning"),
        ("luster:2s", "an order is KIND=RECEIVER:VALUE"),
    ],
)
def test_an_order_that_cannot_be_understood_says_what_is_known(text, says):
    with pytest.raises(ConfigurationError) as caught:
        Faults.parse(text, ["luster", "vik"])
    assert says in str(caught.value)
    assert text in str(caught.value)


def test_an_outage_has_a_beginning_and_an_end():
    dice = Faults.parse("down=vik:30s@10s").at("vik")
    assert [dice.down_for(t) for t in (9.9, 10.0, 25.0, 40.0, 50.0)] == [0.0, 30.0, 15.0, 0.0, 0.0]


def test_the_same_seed_throws_the_same_at_each_receiver():
    faults = Faults.parse("reset=*:0.5")

    def throws(receiver, seed):
        dice = faults.at(receiver, seed)
        return [dice.strikes(FaultKind.RESET) for _ in range(50)]

    assert throws("vik", 1) == throws("vik", 1)
    assert throws("vik", 1) != throws("vik", 2)
    assert throws("vik", 1) != throws("luster", 1)
    assert 10 < sum(throws("vik", 1)) < 40


def test_a_fault_strikes_only_where_it_was_ordered():
    faults = Faults.parse("reset=vik:1,slow=vik:2s")
    assert faults.at("vik").strikes(FaultKind.RESET)
    assert not faults.at("luster").strikes(FaultKind.RESET)
    assert not faults.at("vik").strikes(FaultKind.REJECT)
    assert (faults.at("vik").slow, faults.at("luster").slow) == (2.0, 0.0)
