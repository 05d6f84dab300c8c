"""A Docker API client over a unix socket: just what the benchmark needs, on one kept-open connection."""

import http.client
import json
import socket


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    def __init__(self, path):
        self.path = path
        self.connection = Connection(path)

    def call(self, method, path, body=None, headers=None):
        data = body
        headers = dict(headers or {})
        if isinstance(body, dict):
            data = json.dumps(body)
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace').strip()}")
        return json.loads(text) if text.startswith((b"{", b"[")) else text

    def ready(self):
        try:
            self.call("GET", "/_ping")
            return True
        except OSError:
            self.connection.close()
            return False

    def create(self, image, command, network="none", binds=(), ports=None, log=("json-file", {})):
        driver, options = log
        host = {"NetworkMode": network, "Binds": list(binds), "LogConfig": {"Type": driver, "Config": options}}
        body = {"Image": image, "Cmd": command, "HostConfig": host}
        if ports:
            host["PortBindings"] = {f"{inside}/tcp": [{"HostPort": str(outside)}] for inside, outside in ports.items()}
            body["ExposedPorts"] = {f"{inside}/tcp": {} for inside in ports}
        return self.call("POST", "/containers/create", body)["Id"]

    def start(self, container):
        self.call("POST", f"/containers/{container}/start")

    def wait(self, container):
        return self.call("POST", f"/containers/{container}/wait")["StatusCode"]

    def inspect(self, container):
        return self.call("GET", f"/containers/{container}/json")

    def remove(self, container):
        self.call("DELETE", f"/containers/{container}?force=1&v=1")

    def execute(self, container, command):
        """Runs a command to its end, hearing its output, and gives its exit code."""
        body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        session = self.call("POST", f"/containers/{container}/exec", body)["Id"]
        start = json.dumps({"Detach": False, "Tty": False}).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(self.path)
            stream.sendall(
                f"POST /exec/{session}/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(start)}\r\n\r\n".encode() + start
            )
            while stream.recv(65536):
                pass
        found = self.call("GET", f"/exec/{session}/json")
        if found["Running"]:
            raise RuntimeError("an exec session's output ended before its process")
        return found["ExitCode"]
