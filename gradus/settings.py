"""Where the service is and who asks, from the environment; the service's own settings add to these.

Settings come, in falling precedence, from arguments, from `GRADUS_*` variables, from a `.env` file in the
working directory, and from secret files (one file per setting, named like the variable) in the folder that
`GRADUS_SECRETS_DIR` names or, where it exists, `/run/secrets`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gradus.errors import UsageError

DEFAULT_SECRETS_DIR = Path("/run/secrets")
S = TypeVar("S", bound="ClientSettings")


class ClientSettings(BaseSettings):
    """What the client needs to know."""

    model_config = SettingsConfigDict(
        env_prefix="GRADUS_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    url: str = Field("http://127.0.0.1:8642", description="address of the API, for client and command")
    api_key: SecretStr | None = Field(None, description="key that client and command send")
    home: Path = Field(Path("~/.gradus"), description="folder of all state of the embedded stack")

    @field_validator("home")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        return value.expanduser()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the order of pydantic-settings as it is; stated here because precedence is a promise."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @property
    def service_url(self) -> str:
        """Where the service is: as set, else where the stack that runs on the home listens, else the usual port."""
        return self.url if "url" in self.model_fields_set else local_address(self.home) or self.url

    @property
    def key(self) -> str | None:
        return self.api_key.get_secret_value() if self.api_key else None


def secrets_dir() -> Path | None:
    """The folder of secret files, if there is one."""
    named = os.environ.get("GRADUS_SECRETS_DIR")
    folder = Path(named).expanduser() if named else DEFAULT_SECRETS_DIR
    return folder if folder.is_dir() else None


def read_settings(kind: type[S]) -> S:
    """The settings of this process.

    Raises:
        UsageError: a setting has a value that is not allowed.
    """
    try:
        return kind(_secrets_dir=secrets_dir())
    except ValidationError as error:
        lines = [f"GRADUS_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise UsageError("a setting is not allowed: " + "; ".join(lines)) from error


def local_address(home: Path) -> str | None:
    """Where the stack that runs on a home listens, as it wrote down itself."""
    try:
        return str(json.loads((home / "stack.json").read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
