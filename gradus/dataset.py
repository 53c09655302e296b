"""A person's own file, as the client holds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from gradus.wire import DatasetOut

if TYPE_CHECKING:
    from gradus.client import Client

TYPES = {".npz": "application/x-npz", ".parquet": "application/vnd.apache.parquet"}
"""Content types of files; CSV for every other."""


class Dataset(DatasetOut):
    """An uploaded file. Its fields are those of the API, as they were when it was last read."""

    _client: Client = PrivateAttr()

    @classmethod
    def of(cls, client: Client, document: dict[str, Any]) -> Dataset:
        dataset = cls.model_validate(document)
        dataset._client = client
        return dataset

    @property
    def spec(self) -> dict[str, Any]:
        """What a spec says to train on it: `{"name": …, "dataset": dataset.spec, "model": …}`."""
        named: dict[str, Any] = {"name": "upload", "id": self.name}
        if self.target is not None:
            named["target"] = self.target
        return named

    def delete(self) -> None:
        """Remove it. Raises Conflict: experiments use it."""
        self._client.http.request("DELETE", f"/v1/datasets/{self.id}")

    def to_json(self) -> dict[str, Any]:
        """The file as the API gives it."""
        return self.model_dump(mode="json")


def content_type(file: Path) -> str:
    """The type of a file by its name; what it is, the service sees by itself."""
    return TYPES.get(file.suffix.lower(), "text/csv")
