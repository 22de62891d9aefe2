"""A Grafana for tests: an HTTP server that answers as Grafana 11's API documents, and faults on demand.

It keeps what Grafana keeps (versions of dashboards with their messages, provenance of alert rules, permissions that a
POST replaces whole) and notes every request, so that a test can say that nothing was written.
"""

import json
import re
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["TOKEN", "Answer", "FakeGrafana", "Request", "served"]

TOKEN = "glsa_averysecrettoken"
Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a server says; `drop` closes the connection without a word, `hang` waits until the server ends."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drop: bool = False
    hang: bool = False


def said(code: int, message: str, **more: str) -> Answer:
    """Grafana's form of an error."""
    return Answer(code, {"message": message, **more})


Fault = Callable[[Request], Answer | None]


class FakeGrafana:
    """State and rules; `fault` may answer instead, before (the rules never see it) or `after` them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.fault: Fault = lambda _: None
        self.after: Fault = lambda _: None
        self.folders: dict[str, Json] = {}
        self.dashboards: dict[str, Json] = {}  # uid: {dashboard, meta, versions}
        self.groups: dict[tuple[str, str], Json] = {}
        self.points: dict[str, Json] = {}
        self.templates: dict[str, Json] = {}
        self.policies: Json = {"receiver": "grafana-default-email"}
        self.teams: dict[int, str] = {}
        self.permissions: dict[str, list[Json]] = {}
        self.datasources = {"qytet"}
        self.versions_as_list = False  # as Grafana did before version 11
        self.url = ""
        self.closing = threading.Event()

    @property
    def writes(self) -> list[Request]:
        """Every request that is no GET."""
        return [request for request in self.requests if request.method != "GET"]

    def answer(self, request: Request) -> Answer:
        """The answer of rules and faults."""
        self.requests.append(request)
        if (fault := self.fault(request)) is not None:
            return fault
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return said(401, "Invalid API key")
        answer = self._routed(request)
        return self.after(request) or answer

    def _routed(self, request: Request) -> Answer:
        for method, pattern, name in _ROUTES:
            if method == request.method and (match := re.fullmatch(pattern, request.path)):
                handler: Callable[..., Answer] = getattr(self, name)
                return handler(request, *(unquote(part) for part in match.groups()))
        return said(404, "Not found")

    # dashboards

    def get_dashboard(self, _: Request, uid: str) -> Answer:
        found = self.dashboards.get(uid)
        if found is None:
            return said(404, "Dashboard not found")
        return Answer(body={"dashboard": found["dashboard"], "meta": found["meta"]})

    def get_versions(self, request: Request, uid: str) -> Answer:
        if uid not in self.dashboards:
            return said(404, "Dashboard not found")
        limit = int(request.query.get("limit", ["1000"])[0])
        versions = self.dashboards[uid]["versions"][::-1][:limit]
        return Answer(body=versions if self.versions_as_list else {"continueToken": "", "versions": versions})

    def save_dashboard(self, request: Request) -> Answer:
        model, folder = request.body["dashboard"], request.body.get("folderUid", "")
        there = self.dashboards.get(model["uid"])
        if folder and folder not in self.folders:
            return said(400, "folder not found")
        if len(request.body.get("message", "")) > 500:
            return said(400, "message too long, max 500 characters")
        if there and there["meta"]["provisioned"]:
            return said(400, "Cannot save provisioned dashboard")
        version = there["dashboard"]["version"] if there else 0
        if there and model.get("version") != version and not request.body.get("overwrite"):
            return said(412, "The dashboard has been changed by someone else", status="version-mismatch")
        self.store(model, folder, request.body.get("message", ""), "sa-qytet")
        return Answer(body={"uid": model["uid"], "status": "success", "version": version + 1})

    def store(self, model: Json, folder: str, message: str, author: str) -> None:
        """Save as Grafana does: whatever JSON, with an id, the next version, and a line of history."""
        uid = model["uid"]
        there = self.dashboards.get(uid)
        version = there["dashboard"]["version"] + 1 if there else 1
        kept = {**deepcopy(model), "id": there["dashboard"]["id"] if there else len(self.dashboards) + 1}
        entry = {"version": version, "message": message, "createdBy": author}
        self.dashboards[uid] = {
            "dashboard": {**kept, "version": version},
            "meta": {
                "folderUid": folder,
                "provisioned": False,
                "provisionedExternalId": "",
                "updatedBy": author,
                "updated": "2026-03-01T10:00:00Z",
            },
            "versions": [*(there["versions"] if there else []), entry],
        }

    def edit(
        self, uid: str, change: Callable[[Json], object] = lambda _: None, folder: str | None = None
    ) -> None:
        """What a person does in the editor: Grafana's defaults are written out, and the change is saved."""
        there = self.dashboards[uid]
        model = deepcopy(there["dashboard"])
        model |= {
            "fiscalYearStartMonth": 0,
            "graphTooltip": 0,
            "liveNow": False,
            "weekStart": "",
            "preload": False,
        }
        model.setdefault("links", [])
        layers = model.setdefault("annotations", {}).setdefault("list", [])
        layers.append({"builtIn": 1, "name": "Annotations & Alerts", "enable": True, "hide": True})
        for panel in model.get("panels", []):
            panel |= {"pluginVersion": "11.6.0", "transparent": False, "links": []}
        change(model)
        self.store(model, there["meta"]["folderUid"] if folder is None else folder, "", "drita")

    def search(self, request: Request) -> Answer:
        tags = set(request.query.get("tag", []))
        found = [
            {"uid": uid, "title": each["dashboard"]["title"], "folderUid": each["meta"]["folderUid"]}
            for uid, each in sorted(self.dashboards.items())
            if tags <= set(each["dashboard"].get("tags", []))
        ]
        size, page = int(request.query["limit"][0]), int(request.query["page"][0])
        return Answer(body=found[size * (page - 1) : size * page])

    def get_datasource(self, _: Request, uid: str) -> Answer:
        return Answer(body={"uid": uid}) if uid in self.datasources else said(404, "Data source not found")

    # folders, teams, permissions

    def get_folder(self, _: Request, uid: str) -> Answer:
        return Answer(body=self.folders[uid]) if uid in self.folders else said(404, "folder not found")

    def list_folders(self, _: Request) -> Answer:
        return Answer(body=[{"uid": uid, "title": each["title"]} for uid, each in self.folders.items()])

    def create_folder(self, request: Request) -> Answer:
        uid, title = request.body["uid"], request.body["title"]
        if uid in self.folders:
            return said(409, "a folder with the same name already exists in the current location")
        self.folders[uid] = {"uid": uid, "title": title, "version": 1}
        self.permissions[uid] = [{"role": "Viewer", "permission": 1}, {"role": "Editor", "permission": 2}]
        return Answer(body=self.folders[uid])

    def get_permissions(self, _: Request, uid: str) -> Answer:
        if uid not in self.folders:
            return said(404, "folder not found")
        blank = {"userId": 0, "teamId": 0, "inherited": False}
        return Answer(body=[{**blank, **item} for item in self.permissions[uid]])

    def set_permissions(self, request: Request, uid: str) -> Answer:
        self.permissions[uid] = request.body["items"]
        return Answer(body={"message": "Folder permissions updated"})

    def search_teams(self, request: Request) -> Answer:
        page, size = int(request.query.get("page", ["1"])[0]), 2
        all_teams = [{"id": number, "name": name} for number, name in self.teams.items()]
        shown = all_teams[size * (page - 1) : size * page]
        return Answer(body={"totalCount": len(all_teams), "teams": shown, "page": page, "perPage": size})

    def add_team(self, request: Request) -> Answer:
        if request.body["name"] in self.teams.values():
            return said(409, "Team name is taken")
        self.teams[len(self.teams) + 1] = request.body["name"]
        return Answer(body={"message": "Team created", "teamId": len(self.teams)})

    # alerting

    def get_group(self, _: Request, folder: str, name: str) -> Answer:
        found = self.groups.get((folder, name))
        return Answer(body=found) if found else said(404, "rule group not found")

    def put_group(self, request: Request, folder: str, name: str) -> Answer:
        if folder not in self.folders:
            return said(400, "folder does not exist")
        editable = request.headers.get("x-disable-provenance") == "true"
        before = self.groups.get((folder, name), {"rules": []})
        if any(rule.get("provenance") == "file" for rule in before["rules"]):
            return said(409, "cannot change provenance from 'file' to 'api'")
        rules = [
            self._stored_rule(rule, number, editable) for number, rule in enumerate(request.body["rules"])
        ]
        self.groups[folder, name] = {**request.body, "rules": rules}
        return Answer(body=self.groups[folder, name])

    @staticmethod
    def _stored_rule(rule: Json, number: int, editable: bool) -> Json:
        """As Grafana gives it back: durations in its own spelling, queries with their defaults written out."""
        seconds = int(rule["for"].removesuffix("s"))
        data = [
            {
                **query,
                "queryType": "",
                "model": {"intervalMs": 1000, "maxDataPoints": 43200, **query["model"]},
            }
            for query in rule["data"]
        ]
        spelt = f"{seconds // 60}m" if seconds and seconds % 60 == 0 else f"{seconds}s"
        more = {} if editable else {"provenance": "api"}
        stamps = {"id": number + 1, "orgID": 1, "updated": "2026-03-01T10:00:00Z", "isPaused": False}
        return {**stamps, **rule, "data": data, "for": spelt, **more}

    def get_points(self, _: Request) -> Answer:
        shown = []
        for point in self.points.values():
            settings = {k: "[REDACTED]" if k == "password" else v for k, v in point["settings"].items()}
            shown.append({**point, "settings": settings})
        return Answer(body=shown)

    def post_point(self, request: Request) -> Answer:
        self.points[request.body["uid"]] = {**request.body, "provenance": "api"}
        return Answer(202, request.body)

    def put_point(self, request: Request, uid: str) -> Answer:
        self.points[uid] = {**request.body, "provenance": "api"}
        return Answer(202, {"message": "contactpoint updated"})

    def get_template(self, _: Request, name: str) -> Answer:
        return Answer(body=self.templates[name]) if name in self.templates else said(404, "not found")

    def put_template(self, request: Request, name: str) -> Answer:
        self.templates[name] = {"name": name, "template": request.body["template"], "provenance": "api"}
        return Answer(202, self.templates[name])

    def get_policies(self, _: Request) -> Answer:
        return Answer(body=self.policies)

    def put_policies(self, request: Request) -> Answer:
        self.policies = {**request.body, "provenance": "api"}
        return Answer(202, {"message": "policies updated"})


_API = "/api"
_ALERTING = f"{_API}/v1/provisioning"
_ROUTES = [
    ("GET", rf"{_API}/dashboards/uid/([^/]+)", "get_dashboard"),
    ("GET", rf"{_API}/dashboards/uid/([^/]+)/versions", "get_versions"),
    ("POST", rf"{_API}/dashboards/db", "save_dashboard"),
    ("GET", rf"{_API}/search", "search"),
    ("GET", rf"{_API}/datasources/uid/([^/]+)", "get_datasource"),
    ("GET", rf"{_API}/folders/([^/]+)", "get_folder"),
    ("GET", rf"{_API}/folders", "list_folders"),
    ("POST", rf"{_API}/folders", "create_folder"),
    ("GET", rf"{_API}/folders/([^/]+)/permissions", "get_permissions"),
    ("POST", rf"{_API}/folders/([^/]+)/permissions", "set_permissions"),
    ("GET", rf"{_API}/teams/search", "search_teams"),
    ("POST", rf"{_API}/teams", "add_team"),
    ("GET", rf"{_ALERTING}/folder/([^/]+)/rule-groups/([^/]+)", "get_group"),
    ("PUT", rf"{_ALERTING}/folder/([^/]+)/rule-groups/([^/]+)", "put_group"),
    ("GET", rf"{_ALERTING}/contact-points", "get_points"),
    ("POST", rf"{_ALERTING}/contact-points", "post_point"),
    ("PUT", rf"{_ALERTING}/contact-points/([^/]+)", "put_point"),
    ("GET", rf"{_ALERTING}/templates/([^/]+)", "get_template"),
    ("PUT", rf"{_ALERTING}/templates/([^/]+)", "put_template"),
    ("GET", rf"{_ALERTING}/policies", "get_policies"),
    ("PUT", rf"{_ALERTING}/policies", "put_policies"),
]


def _handler(grafana: FakeGrafana) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        protocol_version = "HTTP/1.1"  # connections are kept, as Grafana keeps them
        disable_nagle_algorithm = True

        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(size)
            parts = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = json.loads(text) if text.strip() else None
            request = Request(self.command, parts.path, parse_qs(parts.query), body, headers)
            self._say(grafana.answer(request))

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - http.server's names

        def _say(self, answer: Answer) -> None:
            if answer.hang:
                grafana.closing.wait(10)
            if answer.drop or answer.hang:
                self.close_connection = True
                return
            raw = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            kind = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(raw))}
            for key, value in (kind | answer.headers).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing on standard error."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end: no test leaves a thread
    block_on_close = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is part of some tests; a fault of this server itself is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            traceback.print_exception(error)


@contextmanager
def served(certificate: Path | None = None) -> Iterator[FakeGrafana]:
    """A Grafana on a free port of loopback; with a certificate (PEM with its key) by TLS."""
    grafana = FakeGrafana()
    with _Server(("127.0.0.1", 0), _handler(grafana)) as server:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        grafana.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="fake-grafana")
        thread.start()
        try:
            yield grafana
        finally:
            grafana.closing.set()
            server.shutdown()
            thread.join()
