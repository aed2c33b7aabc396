"""The base of every document that crosses a boundary.

Numbers are finite: JSON has no others, and what was written as null could not be read again.
"""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """An immutable document; unknown fields are refused so that typing errors surface."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StoredDocument(BaseModel):
    """An immutable document read back from storage.

    Unknown fields are ignored: a reader of an older version must survive what a
    newer writer adds while a deployment is under way.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
