"""The clock: what must happen by itself, and when.

`clockwork` gives the ticks, the other modules are the jobs: deliver what is due, poll mailboxes, fire
deadlines, look for missing receipts, free expired leases, prune.
"""
