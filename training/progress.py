"""The progress of a run: a bar on a terminal, otherwise one line per epoch."""

import time
from types import TracebackType

from torch import Tensor
from tqdm import tqdm

# Reading a loss waits for the GPU, so it is not done at every step.
SHOWN_EVERY_S = 0.5


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

    def epoch(self, epoch: int, loss: float, accuracy: float | None) -> None:
        now = time.monotonic()
        took_s, self.epoch_began = now - self.epoch_began, now
        left_min = took_s * (self.epochs - epoch) / 60
        right = "" if accuracy is None else f"  validation {accuracy:.1%}"
        self.say(
            f"epoch {epoch}/{self.epochs}  loss {loss:.4f}{right}  {took_s:.0f} s  "
            f"{left_min:.0f} min left"
        )

    def say(self, line: str) -> None:
        if self.bar.disable:
            print(line, flush=True)
        else:
            self.bar.write(line)
