"""The post: envelopes, receipts, deliveries, who speaks for whom, and when to try again.

Pure: no I/O, no clock, no randomness. Nothing here knows what a discharge is.
"""
