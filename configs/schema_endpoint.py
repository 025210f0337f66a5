"""A model behind an address: what the sections that may ask one share."""

from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from configs.section import Count, Section


class EndpointSection(Section):
    """A section whose work an OpenAI-compatible server may do in place of the local teacher."""

    section_name: ClassVar[str]

    endpoint: str | None = Field(
        description="address of an OpenAI-compatible server that answers; null: the local teacher"
    )
    endpoint_model: str | None = Field(description="endpoint: name of the model there")
    concurrency: Count = Field(description="endpoint: requests at a time")
    retries: int = Field(ge=0, description="endpoint: further tries of a request that fails for a while")
    timeout: float = Field(gt=0, description="endpoint: seconds to wait for one answer")

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> "EndpointSection":
        if self.endpoint is None:
            return self
        key = f"{self.section_name}.endpoint"
        # The address itself is not repeated: it may hold a secret.
        try:
            parts = urlsplit(self.endpoint)
            is_plain = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_plain = False
        if not is_plain or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                f"`{key}` must be an address such as http://127.0.0.1:8000/v1, without a name, a "
                "password or a query: the key belongs into the variable RETORT_ENDPOINT_KEY"
            )
        if not self.endpoint_model:
            raise ValueError(f"`{key}` needs `{key}_model`, the name of the model there")
        return self
