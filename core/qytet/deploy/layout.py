"""Where a deployment keeps its files: the folder of `compose.yaml`, and what `qytet deploy init` puts below it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below `root`, the folder that holds `compose.yaml`."""

    root: Path

    @property
    def compose(self) -> Path:
        """The description of the services."""
        return self.root / "compose.yaml"

    @property
    def env(self) -> Path:
        """The variables of compose.yaml: no secrets."""
        return self.root / ".env"

    @property
    def env_example(self) -> Path:
        """Every variable with its meaning."""
        return self.root / ".env.example"

    @property
    def secrets(self) -> Path:
        """One file a secret, mode 0600; never in version control."""
        return self.root / "deploy" / "secrets"

    @property
    def authority(self) -> Path:
        """The CA's key, which no container ever sees; its certificate lies in `broker_secrets`."""
        return self.secrets / "authority"

    @property
    def broker_secrets(self) -> Path:
        """What the broker reads: its certificate and key, the CA's certificate, passwords.

        The folder is mounted, not its files: a file that is replaced would stay the old one in a container.
        """
        return self.secrets / "broker"

    @property
    def ca_certificate(self) -> Path:
        """What devices and services trust."""
        return self.broker_secrets / "ca.crt"

    @property
    def data(self) -> tuple[Path, ...]:
        """Folders that the broker (sessions, queues) and Grafana write; the database has a volume."""
        return self.root / "deploy" / "data" / "broker", self.root / "deploy" / "data" / "grafana"

    @property
    def broker_configuration(self) -> Path:
        """mosquitto.conf and acl, which are not secret."""
        return self.root / "deploy" / "broker"
