"""The rules that compose.yaml keeps: each a small function from the composition to findings."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qytet.deploy.composition import Composition
from qytet.doctor.finding import Finding, ok, problem, warning

__all__ = ["service_findings"]

_CONDITIONS = frozenset({"service_started", "service_healthy", "service_completed_successfully"})
_SECRET_NAMES = ("password", "token", "secret")


def service_findings(composition: Composition, root: Path) -> list[Finding]:
    """What is wrong with any service; one `ok` for each that keeps every rule."""
    findings: list[Finding] = []
    for name, service in composition["services"].items():
        wrong = [
            *_image(service),
            *_hardening(service),
            *_bounds(service),
            *_health(service),
            *_secrets(service, composition),
            *_mounts(service, composition, root),
            *_networks(service, composition),
            *_order(service, composition),
            *_ports(service),
        ]
        findings += [_named(name, finding) for finding in wrong or [ok("every rule is kept")]]
    return findings


def _named(service: str, finding: Finding) -> Finding:
    return Finding(finding.state, finding.what, finding.do, "services", service)


def _image(service: dict[str, Any]) -> Iterator[Finding]:
    image = str(service.get("image", ""))
    tag = image.rpartition(":")[2] if ":" in image else ""
    if not tag or tag == "latest":
        yield problem(
            f"the image {image or '(none)'} has no fixed version", "Name a version after the colon."
        )


def _hardening(service: dict[str, Any]) -> Iterator[Finding]:
    if service.get("cap_drop") != ["ALL"]:
        yield problem("it keeps capabilities", "Set cap_drop: [ALL].")
    if service.get("read_only") is not True:
        yield problem(
            "its file system can be written", "Set read_only: true, with tmpfs for what it must write."
        )
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield problem("its programs may gain privileges", 'Set security_opt: ["no-new-privileges:true"].')
    user = str(service.get("user", ""))
    if user.split(":")[0] in ("0", "root") or not (user or service.get("cap_add")):
        yield problem("it runs as root", "Set user to QYTET_UID:QYTET_GID, which must not be 0.")


def _bounds(service: dict[str, Any]) -> Iterator[Finding]:
    for key in ("mem_limit", "cpus", "pids_limit"):
        if key not in service:
            yield problem(f"{key} is not set", "Bound it, or one service takes the machine from all others.")
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield problem("its logs grow without bound", "Set logging.options.max-size.")


def _health(service: dict[str, Any]) -> Iterator[Finding]:
    if service.get("restart") == "no":
        return  # it runs once
    if service.get("restart") != "unless-stopped":
        yield problem("it is not started again after a crash", "Set restart: unless-stopped.")
    test = service.get("healthcheck", {}).get("test")
    if not isinstance(test, list) or test[:1] != ["CMD"]:
        yield problem("it has no health check", "Give healthcheck.test as a list that begins with CMD.")


def _secrets(service: dict[str, Any], composition: Composition) -> Iterator[Finding]:
    for secret in service.get("secrets", ()):
        source = secret["source"] if isinstance(secret, dict) else secret
        if source not in composition.get("secrets", {}):
            yield problem(f"its secret {source} is not declared", "Add it under secrets.")
    for name, value in service.get("environment", {}).items():
        named_so = any(word in name.lower() for word in _SECRET_NAMES)
        if named_so and not name.endswith(("_FILE", "_DIR")) and value:
            yield problem(
                f"its environment holds {name}", "Environments show in every inspection: use secrets."
            )


def _mounts(service: dict[str, Any], composition: Composition, root: Path) -> Iterator[Finding]:
    for mount in service.get("volumes", ()):
        if isinstance(mount, str):
            if mount.split(":")[0] not in composition.get("volumes", {}):
                yield problem(f"its volume {mount} is not declared", "Add it under volumes.")
        elif not (root / mount["source"]).exists():
            yield problem(f"{mount['source']} does not exist", "Run `qytet deploy init`.")


def _networks(service: dict[str, Any], composition: Composition) -> Iterator[Finding]:
    known = composition.get("networks", {})
    for network in service.get("networks", ()):
        if network not in known:
            yield problem(f"its network {network} is not declared", "Add it under networks.")
    closed = [name for name in service.get("networks", ()) if (known.get(name) or {}).get("internal")]
    if service.get("ports") and len(closed) == len(service.get("networks", ())):
        yield problem("it publishes a port from a network without a way out", "Add an open network.")


def _order(service: dict[str, Any], composition: Composition) -> Iterator[Finding]:
    for other, how in service.get("depends_on", {}).items():
        target = composition["services"].get(other)
        if target is None or how.get("condition") not in _CONDITIONS:
            yield problem(
                f"it waits for {other}, which is not a service or has no condition", "Mend depends_on."
            )
        elif how["condition"] == "service_healthy" and "healthcheck" not in target:
            yield problem(
                f"it waits for the health of {other}, which has no health check", "Mend depends_on."
            )


def _ports(service: dict[str, Any]) -> Iterator[Finding]:
    for port in service.get("ports", ()):
        address, _, _ = str(port).rpartition(":")[0].rpartition(":")
        if not address:
            yield problem(f"the port {port} is open on every address", "Put 127.0.0.1: before it.")
            continue
        try:
            local = ipaddress.ip_address(address.strip("[]")).is_loopback
        except ValueError:
            yield problem(f"the port {port} is bound to a name", "Give an IP address: Docker takes no names.")
            continue
        if not local:
            yield warning(f"the port {port} is open beyond this machine", "Make sure that this is meant.")
