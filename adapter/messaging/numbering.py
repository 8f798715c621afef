"""Ids of what we write because of a message: the same whenever the same is written, also after a restore.

A store that is put back from a backup takes messages again, or sends again what it had sent. Whoever received
it the first time must know it again by its id; so no such id is random, and none can be foretold without the
store's key (RFC 9562, version 8: of our own making).
"""

import hmac

_KEY = b"discharge-adapter/ids"
"""Sets the ids apart from the patients' pseudonyms, which are made with the same key."""


def keyed_id(key: bytes, purpose: str, *about: str) -> str:
    """A UUID that is always the same for the same key, purpose and words."""
    words = b"".join(_framed(one) for one in (purpose, *about))
    own = hmac.digest(key, _KEY, "sha256")
    return as_uuid(hmac.digest(own, words, "sha256"))


def _framed(word: str) -> bytes:
    """With its length, so that no two lists of words are one text."""
    content = word.encode()
    return len(content).to_bytes(4, "big") + content


def as_uuid(digest: bytes) -> str:
    """The first sixteen bytes as a UUID of version 8."""
    made = bytearray(digest[:16])
    made[6] = made[6] & 0x0F | 0x80
    made[8] = made[8] & 0x3F | 0x80
    h = made.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
