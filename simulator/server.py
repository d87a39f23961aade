"""The HTTPS server: one thread per connection, kept alive, head and body in one write."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import socket
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import trustme
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from simulator import faults
from simulator.changes import Changes
from simulator.control import ControlClient
from simulator.faults import FaultBook
from simulator.graph import Graph
from simulator.graph_groups import GROUPS
from simulator.graph_users import USERS
from simulator.login import Login
from simulator.messages import GraphError, LoginError, Request, Response
from simulator.surface import Control, RequestLog
from simulator.throttle import Throttle
from simulator.tokens import TokenBook, client_certificate
from simulator.world import World

GZIP_FROM = 1024
_MAXIMUM_BODY = 4 * 1024 * 1024


class Service:
    """Everything behind one address: login, Graph and the control surface of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = FaultBook()
        self.throttle = Throttle()
        self.log = RequestLog()
        tokens = TokenBook()
        self.login = Login(world, tokens)
        self.graph = Graph(world, tokens, self.faults, self.throttle, self.log.note)
        changes = Changes(world, USERS, GROUPS)
        self.control = Control(world, self.graph, changes, self.faults, self.throttle, self.log)

    def answer(self, request: Request) -> Response:
        """The answer to one request, whatever it is."""
        if request.path.startswith("/_control/"):
            return self.control.handle(request)
        if request.path.startswith(("/v1.0/", "/beta/")):
            return self.graph.handle(request)
        response = self._login(request)
        self.log.note(request, response, self.login.tenant_of(request), 1, False)
        return response

    def _login(self, request: Request) -> Response:
        tenant = self.login.tenant_of(request)
        place: dict[str, Any] = {
            "tenant": tenant.id if tenant else None,
            "method": request.method,
            "path": request.path,
        }
        without_roles = False
        for fault in self.faults.strike("login", **place):
            if fault.kind != "token_without_roles":
                return faults.login_refusal(fault, request.base)
            without_roles = True
        response = self.login.handle(request, without_roles=without_roles)
        if response is None:
            error = LoginError(900144, name="path")
            error.status = 404
            return error.response(request.base)
        return response


class _Server(ThreadingHTTPServer):
    """Wraps each connection in TLS in its own thread, so that a slow handshake holds up nobody.

    Not werkzeug's server: that one ends each connection after one answer, and shakes hands where it accepts, so that a client
    which says nothing holds up all others. Measured, processor time at both ends: 13 ms instead of 8 for a page of 999
    users, 5.6 ms instead of 1.6 for a small answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, service: Service, context: ssl.SSLContext) -> None:
        self.service = service
        self.context = context
        self.connections: set[socket.socket] = set()
        self.guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        plain = cast("socket.socket", request)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            secured = self.context.wrap_socket(plain, server_side=True)
        except (OSError, ssl.SSLError):
            return  # A client that does not trust us, or is gone.
        with self.guard:
            self.connections.add(secured)
        try:
            _Handler(secured, client_address, self)
        finally:
            with self.guard:
                self.connections.discard(secured)
            with contextlib.suppress(OSError):
                secured.shutdown(socket.SHUT_RDWR)
            secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections end in many ways; none is worth a word on the terminal."""

    def disconnect(self) -> None:
        """End every open connection."""
        with self.guard:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection and writes the answers."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Keep quiet: the control surface has the log."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= _MAXIMUM_BODY:
            self.close_connection = True
            self._write(Response(413 if length > 0 else 400, b"", "text/plain"))
            return
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request.build(self.command, self.path, headers, body, self._base(headers.get("host", "")))
        try:
            response = self.server.service.answer(request)
        except Exception as error:
            response = GraphError(500, "InternalServerError", f"The simulator failed: {error!r}").response(
                "", ""
            )
        self._write(response)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the base class looks these up

    def _base(self, host: str) -> str:
        """Our address as the client wrote it, so that the links we hand out lead back the same way."""
        port = self.server.server_address[1]
        name = urlsplit(f"//{host}").hostname
        return f"https://{'localhost' if name == 'localhost' else '127.0.0.1'}:{port}"

    def _write(self, response: Response) -> None:
        body = response.body
        headers = {"Content-Type": response.content_type, **response.headers}
        if len(body) > GZIP_FROM and "gzip" in (self.headers.get("Accept-Encoding") or ""):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        headers["Date"] = self.date_time_string()
        if self.close_connection:
            headers["Connection"] = "close"
        head = f"HTTP/1.1 {response.status} {self.responses.get(response.status, ('', ''))[0]}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        if response.cut_at is not None:
            body = body[: min(response.cut_at, max(0, len(body) - 1))]
            self.close_connection = True
        self.wfile.write(head.encode("latin-1", "replace") + (b"" if self.command == "HEAD" else body))


class SimulatorServer:
    """The simulator on a port of this machine, in threads of this process. A context manager.

    base_url serves login and Graph alike; ca_file is the CA to trust; ca_bundle has the system's CAs besides;
    certificate_file is the PEM key and certificate registered on the app; control changes everything.
    """

    def __init__(self, world: World | None = None, port: int = 0) -> None:
        self.world = world or World()
        self._wanted_port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None
        self._control: ControlClient | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        service = Service(self.world)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._server = _Server(self._wanted_port, service, context)
        private_key, certificate = client_certificate()
        if certificate not in self.world.certificates:
            self.world.certificates.append(certificate)
            self.world.app.certificates.append(certificate)
        self._folder = Path(tempfile.mkdtemp(prefix="rollcall-simulator-"))
        authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
        system = Path(DEFAULT_CA_BUNDLE_PATH).read_bytes()
        (self._folder / "bundle.pem").write_bytes(system + b"\n" + authority.cert_pem.bytes())
        certificate_file = self._folder / "certificate.pem"
        certificate_file.touch(mode=0o600)
        certificate_file.write_text(private_key + certificate, encoding="ascii")
        self._control = ControlClient(self.base_url, service.control.token, self.ca_file)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, end every connection, remove the files."""
        if self._control is not None:
            self._control.close()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.disconnect()
            self._server.server_close()
            self._thread.join(timeout=10)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def service(self) -> Service:
        """Login, Graph, faults and log, for tests that look inside."""
        if self._server is None:
            raise RuntimeError("The simulator is not started.")
        return self._server.service

    @property
    def base_url(self) -> str:
        """Where login and Graph answer, ``https://127.0.0.1:<port>``."""
        if self._server is None:
            raise RuntimeError("The simulator is not started.")
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @property
    def control(self) -> ControlClient:
        """The client of the control surface."""
        if self._control is None:
            raise RuntimeError("The simulator is not started.")
        return self._control

    @property
    def control_token(self) -> str:
        """What opens the control surface."""
        return self.service.control.token

    def _file(self, name: str) -> str:
        if self._folder is None:
            raise RuntimeError("The simulator is not started.")
        return str(self._folder / name)

    @property
    def ca_file(self) -> str:
        """PEM file with the simulator's CA alone."""
        return self._file("ca.pem")

    @property
    def ca_bundle(self) -> str:
        """PEM file with the system's CAs and the simulator's, for REQUESTS_CA_BUNDLE."""
        return self._file("bundle.pem")

    @property
    def certificate_file(self) -> str:
        """PEM file with the private key and certificate registered on the app."""
        return self._file("certificate.pem")

    @property
    def client_id(self) -> str:
        """The application id."""
        return self.world.app.client_id

    @property
    def client_secret(self) -> str:
        """The client secret that is good now."""
        return self.world.app.secrets[0].value

    @property
    def tenant_ids(self) -> list[str]:
        """The consented customer tenants."""
        return list(self.world.tenant_ids)

    @property
    def partner_tenant_id(self) -> str:
        """The partner's own tenant."""
        return self.world.partner_tenant_id

    def facts(self) -> dict[str, Any]:
        """What ``rollcall simulate`` prints."""
        return {
            "login_url": self.base_url,
            "graph_url": self.base_url,
            "ca_file": self.ca_file,
            "ca_bundle": self.ca_bundle,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "certificate_file": self.certificate_file,
            "tenant_ids": self.tenant_ids,
            "partner_tenant_id": self.partner_tenant_id,
            "control_url": f"{self.base_url}/_control",
            "control_token": self.control_token,
        }
