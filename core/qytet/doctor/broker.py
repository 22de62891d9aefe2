"""Checks of the broker: reachable, login, certificate, and whether ingest's user may hear and say what it must."""

import os
import secrets
import socket
import ssl

from qytet.broker import BrokerUrl
from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.doctor.mqtt import ClosedError, Link, RefusedError
from qytet.embedded.where import embedded_broker_url
from qytet_contract import topics

__all__ = ["broker"]

_LIMIT = 4.0  # s for each answer


def broker(context: Context) -> list[Finding]:
    """Log in as ingest does, subscribe to what it subscribes to, and hear a probe of one's own."""
    settings = context.settings.broker
    url = settings.url.get_secret_value() or embedded_broker_url(context.settings.data_dir / "nats", "ingest")
    if not url:
        return [
            warning(
                "[broker] url is empty, and the embedded broker does not run",
                "Start it (`make demo`), or set [broker] url (or QYTET_BROKER__URL).",
            )
        ]
    try:
        target = BrokerUrl.parse(url)
    except ValueError as error:
        return [
            problem(
                f"[broker] url cannot be used: {error}",
                "Set [broker] url to mqtts://user:password@host:port.",
            )
        ]
    for file in (settings.ca_file, settings.cert_file, settings.key_file):
        if file is not None and not os.access(file, os.R_OK):
            return [
                problem(f"{file} is not there, or not to be read", "Correct it in [broker], or chmod it.")
            ]
    try:
        with Link(
            target,
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            timeout=_LIMIT,
        ) as link:
            said = f"{target.user or 'anonymous'} is let in at {target}"
            return [Finding(ok("").state, said, name="login"), *_safety(target), *_rights(link)]
    except (OSError, ssl.SSLError) as error:
        return [_unreachable(error, target)]


def _rights(link: Link) -> list[Finding]:
    """Subscribe as ingest does; a probe on a topic of ingest's shows that it may write and hear.

    All in a city that nobody has, so that a busy broker sends us nothing.
    """
    city, device = "doctor", f"doctor-{secrets.token_hex(4)}"
    mark = topics.topic(city, device, topics.STORED)
    try:
        for topic_filter in topics.ingest_filters(city):
            link.subscribe(topic_filter)
        link.subscribe(mark)
        probe = secrets.token_hex(8).encode()
        link.publish(mark, probe)
        while link.receive() != (mark, probe):
            pass
    except RefusedError as error:
        return [_denied(str(error))]
    except TimeoutError:
        return [_denied("a probe that it published did not come back")]
    return [Finding(ok("").state, "may hear devices and publish stored marks", name="rights")]


def _denied(why: str) -> Finding:
    do = "Give this user the rights of `ingest` in the broker's ACL: deploy/broker/acl shows them."
    found = problem(why, do)
    return Finding(found.state, found.what, found.do, name="rights")


def _safety(target: BrokerUrl) -> list[Finding]:
    if target.tls or target.host in ("localhost", "127.0.0.1", "::1"):
        return []
    return [warning("the password travels unencrypted", "Use mqtts:// and the broker's TLS port.")]


def _unreachable(error: OSError, target: BrokerUrl) -> Finding:
    where = str(target)
    if isinstance(error, ssl.SSLCertVerificationError):
        do = "Set [broker] ca_file to the CA that signed it, or renew it with `qytet deploy init --rotate …`."
        return problem(f"{where}: its certificate is not trusted: {error.verify_message}", do)
    if isinstance(error, ssl.SSLError):
        return problem(
            f"{where} does not speak TLS: {error.reason}", "Use mqtt:// here, or the broker's TLS port."
        )
    if isinstance(error, (ConnectionResetError, ClosedError)):
        do = "Is it TLS (mqtts://) where we spoke plainly, or the other way round? Correct [broker] url."
        return problem(f"{where} closes the connection", do)
    if isinstance(error, RefusedError):
        return problem(f"{where}: {error}", "Correct user and password in [broker] url.")
    if isinstance(error, socket.gaierror):
        return problem(f"the host {target.host} is not known", "Correct the host in [broker] url.")
    if isinstance(error, TimeoutError):
        return problem(f"{where} does not answer", "Check host, port and firewalls on the way.")
    return problem(
        f"{where}: {error.strerror or error}", "Start the broker, or correct host and port in [broker] url."
    )
