"""Ways in which a file gets damaged."""

import random


def damaged(clean: bytes, rng: random.Random) -> bytes:
    """A copy that was cut off, hit by wrong bytes, overwritten by zeros, or that lost a piece.

    Args:
        clean: The sound file.
        rng: Chooses the kind and the place.
    """
    data = bytearray(clean)
    kind = rng.randrange(4)
    if kind == 0:
        del data[rng.randrange(len(data)) :]
    elif kind == 1:
        for _ in range(rng.randrange(1, 200)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        start = rng.randrange(len(data))
        data[start : start + rng.randrange(5000)] = bytes(rng.randrange(5000))
    else:
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(1, 2000)]
    return bytes(data)
