"""Whatever goes wrong between us and Grafana: what, why and what to do, and never the token."""

import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qytet import settings
from qytet_dashboards.grafana import errors
from qytet_dashboards.grafana.server import connect
from qytet_dashboards.grafana.where import resolve
from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import Kit
from tests.dashboards.fake_grafana import TOKEN, Answer, FakeGrafana, Request, said, served
from tests.ingest.waiting import eventually

grafana, kit = client_fixtures.grafana, client_fixtures.kit

_HTML = b"<!DOCTYPE html><html><title>Log in</title></html>"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (said(401, "Invalid API key"), errors.UnauthorizedError, ("401", "expired", "service account")),
        (said(403, "You'll need additional permissions"), errors.ForbiddenError, ("403", "role", "Admin")),
        (Answer(500, raw=_HTML), errors.FailingError, ("500", "an HTML page", "log")),
        (said(504, "timeout"), errors.FailingError, ("504", "proxy", "not repeated")),
        (said(418, "teapot"), errors.RefusedError, ("418", "teapot")),
        (
            Answer(200, raw=_HTML, headers={"Content-Type": "text/html"}),
            errors.NotGrafanaError,
            ("page for people",),
        ),
        (Answer(200, raw=b"{broken"), errors.NotGrafanaError, ("says that it is JSON",)),
        (Answer(200, body=[1]), errors.NotGrafanaError, ("other JSON",)),
        (Answer(302, headers={"Location": "/login"}), errors.NotGrafanaError, ("302", "/login", "URL")),
        (Answer(drop=True), errors.UnreachableError, ("connection failed", "proxy")),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_bad_answers(kit: Kit, answer: Answer, kind: type[Exception], words: tuple[str, ...]) -> None:
    """Each kind of bad answer to the first question stops a command with its own error, cause and remedy."""
    kit.grafana.fault = lambda request: None if "datasources" in request.path else answer
    for command in ("push", "permissions"):
        outcome = kit.run(command)
        assert isinstance(outcome.error, kind), outcome.error
        assert outcome.error.why
        assert outcome.error.do
        assert all(word in str(outcome.error) for word in words), str(outcome.error)
        assert TOKEN not in outcome.everything
    assert kit.grafana.writes == []


def test_token_that_a_server_repeats_is_masked(kit: Kit) -> None:
    """A proxy that echoes our headers in its error does not bring the token onto the screen."""
    kit.grafana.fault = lambda _: said(400, f"bad header Authorization: Bearer {TOKEN} \x1b[31m")
    outcome = kit.run("diff")
    assert "Bearer ***" in str(outcome.error)
    assert TOKEN not in outcome.everything
    assert "\x1b" not in outcome.everything


def test_nothing_listens(kit: Kit) -> None:
    """A refused connection says so, without the library's stack of names."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        kit.grafana.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        outcome = kit.run("push")
    assert isinstance(outcome.error, errors.UnreachableError)
    assert outcome.error.why == "Nothing listens there."
    assert TOKEN not in outcome.everything


def test_no_answer_in_time(kit: Kit) -> None:
    """A server that does not answer ends in an error after the deadline, and the call is not repeated."""
    kit.grafana.fault = lambda _: Answer(hang=True)
    with (
        connect(resolve(kit.grafana.url), timeout_s=0.2) as server,
        pytest.raises(errors.UnreachableError) as caught,
    ):
        server.call("read the folder x", server.api.folder.get_folder, "x")
    assert "too long" in caught.value.why
    eventually(lambda: bool(kit.grafana.requests), "Grafana has read what was asked")
    assert len(kit.grafana.requests) == 1


def _waits(kit: Kit, answers: list[Answer]) -> tuple[list[float], Callable[[], object]]:
    """A call that meets these answers in turn, then a good one; and the pauses that it makes."""
    kit.grafana.folders["x"] = {"uid": "x", "title": "X"}
    kit.grafana.fault = lambda _: answers.pop(0) if answers else None
    waited: list[float] = []

    def call() -> object:
        with connect(resolve(kit.grafana.url), pause=waited.append) as server:
            return server.call("read the folder x", server.api.folder.get_folder, "x")

    return waited, call


def test_retries_as_asked(kit: Kit) -> None:
    """429, 502 and 503 are tried again after what Retry-After says, in seconds or as a date, or after a little."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    answers = [
        Answer(429, {"message": "slow down"}, {"Retry-After": "7"}),
        Answer(503, {}, {"Retry-After": soon}),
        Answer(502, raw=_HTML),
    ]
    waited, call = _waits(kit, answers)
    assert call() == {"uid": "x", "title": "X"}
    assert waited[0] == 7.0
    assert 5 < waited[1] <= 20
    assert waited[2] == 2.0


@pytest.mark.parametrize(("retry_after", "pauses"), [("", 3), ("3600", 0), ("14", 2)])
def test_retries_are_bounded(kit: Kit, retry_after: str, pauses: int) -> None:
    """At most four tries and thirty seconds of pauses; a server that asks for an hour gets an error at once."""
    waited, call = _waits(
        kit, [Answer(429, said(429, "slow").body, {"Retry-After": retry_after}) for _ in range(9)]
    )
    with pytest.raises(errors.FailingError, match="429"):
        call()
    assert len(waited) == pauses
    assert sum(waited) <= 30


def test_failure_in_the_middle_stops_and_names_the_rest(kit: Kit) -> None:
    """A Grafana that dies during a push stops it: what was written, what failed and what was not tried is told."""

    def die(request: Request) -> Answer | None:
        return (
            said(500, "database is locked")
            if len(kit.grafana.dashboards) == 1 and request.method == "POST"
            else None
        )

    kit.grafana.fault = die
    outcome = kit.run("push", "--json")
    assert outcome.code == 1
    outcomes = [step["outcome"] for step in outcome.json["steps"] if step["kind"] == "dashboard"]
    assert outcomes == ["written", "failed", "not tried"]
    kit.grafana.fault = lambda _: None
    assert kit.run("push").code == 0


def test_forbidden_data_source_is_no_failure(kit: Kit) -> None:
    """A token that may not look at data sources still pushes dashboards."""
    kit.grafana.fault = lambda request: said(403, "no") if "datasources" in request.path else None
    assert kit.run("push").code == 0


def _certificate(path: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    path.chmod(stat.S_IRUSR)


def test_tls_is_checked(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for is refused, without a request; its CA in the settings makes it good."""
    certificate = tmp_path / "server.pem"
    _certificate(certificate)
    with served(certificate) as secure:
        tls = Kit(kit.root, secure)
        outcome = tls.run("push")
        assert isinstance(outcome.error, errors.UnreachableError)
        assert "certificate is" in outcome.error.why or "self-signed" in outcome.error.why
        assert "QYTET_GRAFANA__CA_FILE" in outcome.error.do
        assert secure.requests == []
        monkeypatch.setenv("QYTET_GRAFANA__CA_FILE", str(certificate))
        settings.load.cache_clear()
        assert tls.run("push").code == 0
        assert len(secure.dashboards) == 3


def test_token_is_in_no_output(kit: Kit) -> None:
    """Neither reports, nor JSON, nor the reprs of what holds the token show it."""
    for command in ("push", "diff", "pull-check", "permissions"):
        for options in ((), ("--json",)):
            assert TOKEN not in kit.run(command, *options).everything
    assert TOKEN not in repr(resolve(kit.grafana.url))


def test_bearer_and_organisation_are_sent(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token travels in the Authorization header alone, with the organisation of the settings beside it."""
    monkeypatch.setenv("QYTET_GRAFANA__ORGANIZATION", "7")
    settings.load.cache_clear()
    kit.run("diff")
    headers = kit.grafana.requests[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-grafana-org-id"] == "7"
    assert not any(TOKEN in request.path + str(request.query) for request in kit.grafana.requests)


def test_proxy_of_the_environment_sees_no_plain_token(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http goes to Grafana itself, whatever proxy the environment names."""
    with served() as proxy:
        assert isinstance(proxy, FakeGrafana)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert kit.run("push").code == 0
        assert proxy.requests == []
