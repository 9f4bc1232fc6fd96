"""How far a run is: a line that moves on a terminal, a line now and then elsewhere."""

import shutil
from typing import TextIO

EVERY = 50  # repositories between two lines where no line can move


class Progress:
    """Says on a stream how many of all are done."""

    def __init__(self, total: int, stream: TextIO) -> None:
        """Begin, with nothing done."""
        self.total = total
        self.stream = stream
        self.moves = stream.isatty()
        self.done = 0

    def step(self, name: str) -> None:
        """Say that one more is done."""
        self.done += 1
        text = f"{self.done} of {self.total} repositories"
        if self.moves:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\033[K{f'{text}  {name}'[:width]}")
            self.stream.flush()
        elif self.done % EVERY == 0 and self.done < self.total:
            print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        """Take the moving line away."""
        if self.moves and self.done:
            self.stream.write("\r\033[K")
            self.stream.flush()
