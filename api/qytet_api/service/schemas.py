"""The shapes of this service's own state."""

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["Health", "Ready", "Version"]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field(description="ok: the process answers.")


class Ready(BaseModel):
    """The service can answer questions."""

    status: Literal["ready"] = Field(description="ready: the database is reached and its views are there.")


class Version(BaseModel):
    """What runs."""

    name: str = Field(description="qytet")
    version: str = Field(description="The version of the platform.", examples=["0.1.0"])
    api: str = Field(description="The version of these addresses.", examples=["v1"])
