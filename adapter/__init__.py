"""The discharge adapter.

It stands between hospital systems and municipal systems, takes responsibility for every discharge and
care-plan message that it accepts, keeps the patient's case and its deadlines, and delivers until there
is a receipt or a person has been told.

Begin reading in `inbox.py`: one message comes in. Then `outbox.py`: it goes out. `docs/message-journey.md`
tells the same story in prose, `docs/architecture.md` says why the house is built so.
"""
