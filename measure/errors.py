"""What a user can get wrong, and what a machine can run out of."""


class BadInput(ValueError):
    """A user's mistake in one line: what was given, what was wanted, what to do."""


class NoWeights(BadInput):
    """A model whose files hold no weights that can be read here.

    `reason` says why and leaves out which model: it is stored, and a reference may be a path.
    """

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(f"model {ref!r} {reason}")
        self.reason = reason


class OutOfMemory(RuntimeError):
    """The device had no room for this batch size; the measurement restarts at half of it."""

    def __init__(self, batch_size: int) -> None:
        super().__init__(f"out of memory at batch size {batch_size}")
        self.batch_size = batch_size
