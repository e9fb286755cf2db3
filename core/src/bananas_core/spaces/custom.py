"""An architecture of a space that is not ours: a line of text, which only the user's predictor and trainer understand.

Nothing here knows what the text means. The predictor writes every architecture as its space's canonical form, so two spellings
of one network are the same text; whoever sees the trial can check that its label is the hash of that text, and no more.
"""

from typing import Final

from pydantic import Field

from bananas_core.errors import ArchitectureError
from bananas_core.model import Model

MAX_TEXT: Final = 4096
"""Characters: what a person still looks at, far below what an object of the API may hold."""


class CustomArchitecture(Model):
    """An architecture of the space that spec.customSpace names."""

    text: str = Field(
        min_length=1,
        max_length=MAX_TEXT,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="The architecture in the space's canonical form, on one line; it may be JSON.",
    )

    def canonical(self) -> "CustomArchitecture":
        """The architecture itself: it is written in canonical form."""
        return self

    def to_text(self) -> str:
        """The line."""
        return self.text

    @classmethod
    def parse(cls, text: str) -> "CustomArchitecture":
        """Reads `to_text`.

        Raises:
            ArchitectureError: it is empty, too long or has more than a line.
        """
        text = text.strip()
        if not text or len(text) > MAX_TEXT or not text.isprintable():
            raise ArchitectureError(f"{text[:80]!r}: want one printable line of 1 to {MAX_TEXT} characters")
        return cls(text=text)
