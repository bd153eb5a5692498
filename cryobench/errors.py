"""The two errors that people are meant to read: one line each, never a traceback."""


class InputError(ValueError):
    """A mistake in what the user gave: says what was expected, what came, and what to do (exit status 2)."""


class RunFailed(RuntimeError):
    """A run that could not finish (non-finite loss, memory, time); the sweep goes on (exit status 1)."""


class BadImages(InputError):
    """Some images of a batch can't be denoised; `indices` are their positions in it, and the others can."""

    def __init__(self, indices, reason: str):
        self.indices = [int(i) for i in indices]
        self.reason = reason
        super().__init__(
            f"image {', '.join(map(str, self.indices[:5]))}{' …' if len(self.indices) > 5 else ''}: {reason}"
        )


class Stopped(BaseException):
    """The process was told to end (SIGTERM); nothing is recorded, the same command goes on later (exit status 143)."""
