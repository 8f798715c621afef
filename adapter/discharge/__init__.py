"""The field: what happens to a patient's stay, by when the law wants whom to act, and what follows.

Pure: no I/O, no clock. `notices` are the words, `case` folds them into a stay's history, `deadlines`
reads the law over a case under an `agreement`.
"""
