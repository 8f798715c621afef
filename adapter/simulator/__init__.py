"""A pretend region over real HTTP, with faults to order: for `run --demo`, `simulate`, tests and the bench.

Everything in it is synthetic. `region` composes the rest: `people` and `stories` say what happens,
`systems` tell it to the adapter, `receivers` stand for the partners, `faults` spoil their day, and
`load` sends as much as the adapter will take.
"""
