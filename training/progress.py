"""The progress of a run: a bar on a terminal, otherwise one line per epoch."""

import math
import time
from types import TracebackType

from torch import Tensor
from tqdm import tqdm

# Reading a loss waits for the GPU, so it is not done at every step.
SHOWN_EVERY_S = 0.5
# Without a terminal, lines come at most this often, but for the first and the last.
LINES_EVERY_S = 2.0


class Progress:
    """Show the steps of the whole run, so that the time left is that of the run."""

    def __init__(self, epochs: int, steps_per_epoch: int, epoch: int) -> None:
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.bar = tqdm(
            total=epochs * steps_per_epoch,
            initial=epoch * steps_per_epoch,
            unit="step",
            disable=None,
            dynamic_ncols=True,
        )
        self.shown_at = self.epoch_began = time.monotonic()
        self.said_at = -math.inf

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def step(self, step: int, loss: Tensor) -> None:
        """Show one finished step. loss: a scalar, still on the device."""
        self.bar.update()
        now = time.monotonic()
        if not self.bar.disable and now - self.shown_at > SHOWN_EVERY_S:
            self.shown_at = now
            epoch = (self.bar.n - 1) // self.steps_per_epoch + 1
            self.bar.set_postfix_str(f"epoch {epoch}/{self.epochs}, loss {loss.item():.3f}")

    def shorten(self, epochs: int) -> None:
        """Change the number of epochs."""
        self.epochs = epochs
        self.bar.total = epochs * self.steps_per_epoch
        self.bar.refresh()

    def epoch(self, epoch: int, loss: float, accuracy: float | None) -> None:
        now = time.monotonic()
        took_s, self.epoch_began = now - self.epoch_began, now
        if self.bar.disable and epoch < self.epochs and now - self.said_at < LINES_EVERY_S:
            return
        self.said_at = now
        left_min = took_s * (self.epochs - epoch) / 60
        right = "" if accuracy is None else f"  validation {accuracy:.1%}"
        took = f"{took_s:.0f}" if took_s >= 10 else f"{took_s:.1f}"
        self.say(
            f"epoch {epoch}/{self.epochs}  loss {loss:.4f}{right}  {took} s  "
            f"{left_min:.0f} min left"
        )

    def say(self, line: str) -> None:
        if self.bar.disable:
            print(line, flush=True)
        else:
            self.bar.write(line)
