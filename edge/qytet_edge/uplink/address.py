"""Where the city's broker is, who we are there, and how its certificate is checked; passwords never show."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from qytet.broker import BrokerUrl
from qytet.errors import InputError

__all__ = ["Address"]

_EXAMPLE = "Write it as mqtts://gateway@host:8883 (or mqtt://host:1883 for a broker on this machine)."


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address; with `tls`, its certificate is always verified: by `ca_file`, or the system's authorities."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        user: str = "",
        password: str = "",
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> "Address":
        """Read `mqtt://user:password@host:port` or `mqtts://…`; what the URL says wins over `user` and `password`.

        Raises InputError, which never shows a password.
        """
        try:
            parts = BrokerUrl.parse(url)
        except ValueError as error:
            raise InputError("The broker's URL cannot be used.", why=str(error), do=_EXAMPLE) from None
        return cls(
            host=parts.host,
            port=parts.port,
            user=parts.user or user,
            password=parts.password or password,
            tls=parts.tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """What verifies the broker and presents our certificate; None without TLS.

        Raises InputError naming the file that cannot be used.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"The CA file {self.ca_file} cannot be used.",
                why=str(error),
                do="Put the certificate (PEM) of the authority that signed the broker's there.",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _TidySocket
        if self.cert_file:
            self._present_certificate(context, self.cert_file)
        return context

    def _present_certificate(self, context: ssl.SSLContext, certificate: Path) -> None:
        try:
            context.load_cert_chain(certificate, self.key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"The client certificate {certificate} cannot be used.",
                why=str(error),
                do="Give a certificate (PEM) and its key without a passphrase, readable by the gateway's user.",
            ) from error

    def __str__(self) -> str:
        """Host and port, without credentials."""
        return f"{self.host}:{self.port}"


class _TidySocket(ssl.SSLSocket):
    """paho forgets a socket whose handshake fails; at every try one would stay open until it is collected."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _no_password() -> str:
    """A key with a passphrase is an error that is told, not a question on a terminal that nobody watches."""
    return ""
