"""The adapter's decision core in a world of its own: one thread, one seed, every fault we could think of.

The stations are the real ones (inbox, outbox, cases, scheduler, the store's tables and queries), over SQLite
in memory. What is made up is what lies around them: the network and the systems at its far ends, the clocks,
ids and chance, the order in which processes take turns, and the instant at which one of them dies.

A seed is a life of at most twenty messages. `python -m tests.simulation SEED` lives it once more, the same to
the byte, and prints what happened; `invariants` says what must be true in every one of them.
"""
