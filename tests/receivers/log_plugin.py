"""A strict log plugin as Docker's protocol wants it: python3 log_plugin.py ADDRESS FILE, ADDRESS a socket's path or a port.

Each entry becomes a line of JSON in FILE, each call one in FILE.calls, whatever breaks the protocol one in FILE.wrong. What
it answers stands in FILE.behaviour, read anew for each call: ok, refuse (it cannot start), volumes (it takes no logs).
"""
import http.server, json, os, socketserver, stat, sys, threading

address, path = sys.argv[1:]
lock = threading.Lock()


def entry_type():
    """LogEntry of moby's api/types/plugins/logdriver/entry.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="entry.proto", syntax="proto3")
    kinds = {"string": 9, "int64": 3, "bytes": 12, "bool": 8, "int32": 5, "message": 11}

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, (field, kind, of) in enumerate(fields, 1):
            made.field.add(name=field, number=number, type=kinds[kind], label=1, type_name=of)

    message("LogEntry", ("source", "string", None), ("time_nano", "int64", None), ("line", "bytes", None),
            ("partial", "bool", None), ("partial_log_metadata", "message", ".PartialLogEntryMetadata"))
    message("PartialLogEntryMetadata", ("last", "bool", None), ("id", "string", None), ("ordinal", "int32", None))
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("LogEntry"))


LogEntry = entry_type()


def note(ending, *values):
    text = "".join(json.dumps(value) + "\n" for value in values)
    with lock, open(path + ending, "a") as file:
        file.write(text)


def behaviour():
    try:
        return open(path + ".behaviour").read().strip() or "ok"
    except FileNotFoundError:
        return "ok"


def parsed(body):
    entry = LogEntry()
    entry.ParseFromString(body)
    entry.DiscardUnknownFields()
    assert entry.ByteSize() == len(body), "fields that are not in the definitions"
    assert entry.source in ("stdout", "stderr") and entry.time_nano > 0, "source or time"
    assert entry.partial == entry.HasField("partial_log_metadata"), "partial without saying of what"
    piece = entry.partial_log_metadata
    return {"text": entry.line.decode(errors="replace"), "source": entry.source, "time": entry.time_nano,
            "piece": [piece.id, piece.ordinal, piece.last] if entry.partial else None}


def read(file, fd):
    rest = b""
    while piece := os.read(fd, 1 << 16):
        rest, entries = rest + piece, []
        while len(rest) >= 4 and len(rest) >= (end := 4 + int.from_bytes(rest[:4], "big")):
            try:
                entries.append(parsed(rest[4:end]))
            except Exception as error:
                note(".wrong", f"{error!r}: {rest[:end]!r}")
            rest = rest[end:]
        note("", *entries)
    note(".calls", ["torn" if rest else "end", {"File": file}])


def called(method, body):
    if method == "Plugin.Activate":
        return {"Implements": ["VolumeDriver" if behaviour() == "volumes" else "LogDriver"]}
    if method == "LogDriver.Capabilities":
        return {"Cap": {"ReadLogs": False}}
    if method == "LogDriver.StartLogging":
        if behaviour() == "refuse":
            return {"Err": "told to refuse"}
        file = body["File"]
        assert stat.S_ISFIFO(os.stat(file).st_mode), "no fifo"
        threading.Thread(target=read, args=(file, os.open(file, os.O_RDONLY)), daemon=True).start()
        return {"Err": ""}
    if method == "LogDriver.StopLogging":
        return {"Err": ""}
    raise Exception(f"method {method}")


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        text, method = self.rfile.read(int(self.headers["Content-Length"] or 0)), self.path[1:]
        try:
            body = json.loads(text or "{}")
            assert "application/vnd.docker.plugins.v1" in self.headers["Accept"], self.headers["Accept"]
            note(".calls", [method, body])
            status, answer = 200, called(method, body)
        except Exception as error:
            note(".wrong", f"{error!r}: {method} {text!r}")
            status, answer = 500, {"Err": repr(error)}
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if address.isdigit():
    server = Tcp(("127.0.0.1", int(address)), Http)
else:
    if os.path.exists(address):
        os.unlink(address)
    server = Unix(address, Http)
print("listens", flush=True)
server.serve_forever()
