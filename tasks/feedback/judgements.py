"""What an annotator says of the answers shown: the kinds of judgement, and the ranking that each comes to."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

Ranks = tuple[int | None, ...]


def _storable(text: str) -> str:
    """The text, if every database can keep it."""
    if "\0" in text:
        raise ValueError("a text holds a NUL character, which PostgreSQL cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid UTF-8") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ranking(_Frozen):
    """One rank an answer: 1 is best, equal ranks are ties, None is F: no answer at all."""

    kind: Literal["ranking"] = "ranking"
    ranks: Ranks = Field(min_length=2)

    @field_validator("ranks")
    @classmethod
    def _from_one(cls, ranks: Ranks) -> Ranks:
        if any(rank is not None and rank < 1 for rank in ranks):
            raise ValueError("ranks start at 1")
        return ranks

    @property
    def places(self) -> Ranks:
        """The ranks as given."""
        return self.ranks


class Choice(_Frozen):
    """Which of two answers is better; None: they are equally good."""

    kind: Literal["choice"] = "choice"
    chosen: Literal[0, 1] | None = Field(description="place of the better one in the order of display")

    @property
    def places(self) -> Ranks:
        """The chosen answer first; a tie ranks both 1."""
        return (1, 1) if self.chosen is None else (1, 2) if self.chosen == 0 else (2, 1)


class Ratings(_Frozen):
    """One mark an answer, from 1 (worst) to 5."""

    kind: Literal["ratings"] = "ratings"
    ratings: tuple[Annotated[float, Field(ge=1, le=5)], ...] = Field(min_length=1)

    @property
    def places(self) -> Ranks:
        """The highest mark first; equal marks tie."""
        return dense_ranks(self.ratings)


class Thumbs(_Frozen):
    """Each answer is up (True) or down."""

    kind: Literal["thumbs"] = "thumbs"
    up: tuple[bool, ...] = Field(min_length=1)

    @property
    def places(self) -> Ranks:
        """Those that are up before those that are down."""
        return dense_ranks([float(up) for up in self.up])


class Correction(_Frozen):
    """A better answer than one of those shown, written by the annotator."""

    kind: Literal["correction"] = "correction"
    corrected: int = Field(ge=0, description="place of the answer that it mends, from 0")
    text: Text = Field(min_length=1, description="the answer as it should have been")


class Skip(_Frozen):
    """The annotator could not judge, or took an earlier judgement back."""

    kind: Literal["skip"] = "skip"
    reason: Literal["cannot judge", "taken back"] = "cannot judge"


Judgement = Annotated[Ranking | Choice | Ratings | Thumbs | Correction | Skip, Field(discriminator="kind")]


def dense_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """Ranks from 1 for the highest value; equal values share a rank and none is left out."""
    order = sorted(set(values), reverse=True)
    return tuple(order.index(value) + 1 for value in values)


def answers_judged(judgement: Judgement) -> int | None:
    """How many answers a judgement speaks of; None if any number will do."""
    if isinstance(judgement, Ranking):
        return len(judgement.ranks)
    if isinstance(judgement, Choice):
        return 2
    if isinstance(judgement, Ratings):
        return len(judgement.ratings)
    return len(judgement.up) if isinstance(judgement, Thumbs) else None
