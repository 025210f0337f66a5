"""The table of keys says what a user may write where."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from configs.key_help import KeyDescription, describe_keys


class Inner(BaseModel):
    rate: float = Field(default=0.5, gt=0, le=1, description="Step size.")
    names: tuple[str, ...] = Field(default=("a",), min_length=1)


class Left(BaseModel):
    kind: Literal["left"] = "left"
    left: int


class Right(BaseModel):
    kind: Literal["right"] = "right"
    right: dict[str, int] = {}


class Whole(BaseModel):
    inner: Inner = Inner()
    side: Left | Right | None = None
    many: list[Inner] = []
    limit: Annotated[int, Field(ge=1)] | Literal["none"] | None = None
    name: str = Field(pattern="^[a-z]+$")


def test_every_key_with_type_default_bounds_and_description() -> None:
    assert describe_keys(Whole) == [
        KeyDescription("inner.rate", "float", "0.5", "> 0, <= 1", "Step size."),
        KeyDescription("inner.names", "tuple of str", '["a"]', "length >= 1", ""),
        KeyDescription("side.kind", '"left" | "right"', '"left"', "", ""),
        KeyDescription("side.left", "int", None, "", ""),
        KeyDescription("side.right", "dict of str, int", "{}", "", ""),
        KeyDescription("many", "list of Inner", "[]", "", ""),
        KeyDescription("limit", 'int | "none" | null', "null", ">= 1", ""),
        KeyDescription("name", "str", None, "like ^[a-z]+$", ""),
    ]
