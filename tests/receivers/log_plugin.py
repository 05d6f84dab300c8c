"""A strict log plugin as Docker's protocol wants it: python3 log_plugin.py ADDRESS FILE, ADDRESS a socket's path or a port.

Each entry becomes a line of JSON in FILE, each call one in FILE.calls, whatever breaks the protocol one in FILE.wrong. What
it answers stands in FILE.behaviour, read anew for each call: ok, managed (it says what it is in the word of managed plugins),
refuse (it cannot start), volumes (it takes no logs), reads (it gives back what it got, also before it was started anew, of
containers for which it has a logger), files (the same as Docker's files have it: lines with their LF, pieces without a mark),
tears (the same without the end of the last entry).
"""
import calendar, http.server, json, os, socketserver, stat, sys, threading, time

address, path = sys.argv[1:]
lock = threading.Lock()
# By container: what was got, as times and frames, and how many fifos are read for it.
logs, changed = {}, threading.Condition()
# The containers of the loggers that were started and not stopped, by fifo, and who reads that.
started, readers = {}, {}
# Options that are the daemon's own; others refuse what they do not know.
OWN = ("cache-", "multiline-", "rate-limit", "max-line-size", "overflow")


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


def framed(body):
    return len(body).to_bytes(4, "big") + body


def log_of(info):
    with changed:
        log = logs.setdefault(info["ContainerID"], {"entries": [], "fifos": 0, "file": f"{path}.{info['ContainerID']}"})
        if not log["entries"] and os.path.exists(log["file"]):
            rest = open(log["file"], "rb").read()
            while rest:
                end = 4 + int.from_bytes(rest[:4], "big")
                log["entries"].append((parsed(rest[4:end])["time"], rest[:end]))
                rest = rest[end:]
        return log


def filed(frame):
    """An entry as it comes back out of one of Docker's files."""
    entry = LogEntry()
    entry.ParseFromString(frame[4:])
    if not entry.partial or entry.partial_log_metadata.last:
        entry.line += b"\n"
    entry.partial = False
    entry.ClearField("partial_log_metadata")
    return framed(entry.SerializeToString())


def keep(log, entries, fifos=0):
    with changed:
        log["entries"] += entries
        with open(log["file"], "ab") as file:
            file.write(b"".join(frame for _, frame in entries))
        log["fifos"] += fifos
        changed.notify_all()


def read(file, fd, log):
    rest = b""
    while piece := os.read(fd, 1 << 16):
        rest, entries = rest + piece, []
        while len(rest) >= 4 and len(rest) >= (end := 4 + int.from_bytes(rest[:4], "big")):
            try:
                entries.append(parsed(rest[4:end]))
                keep(log, [(entries[-1]["time"], rest[:end])])
            except Exception as error:
                note(".wrong", f"{error!r}: {rest[:end]!r}")
            rest = rest[end:]
        note("", *entries)
    keep(log, [], -1)
    note(".calls", ["torn" if rest else "end", {"File": file}])


def nanoseconds(text):
    """Go's time, none for its zero."""
    if text.startswith("0001-"):
        return None
    assert text.endswith("Z"), f"a time in a zone: {text}"
    whole, _, fraction = text[:-1].partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0"))


def given(log, config):
    """The frames that a ReadConfig asks for, a list for each time that there are some."""
    since, until = nanoseconds(config["Since"]), nanoseconds(config["Until"])

    def wanted(entries):
        timely = lambda at: (since is None or at >= since) and (until is None or at <= until)
        return [frame for at, frame in entries if timely(at)]

    with changed:
        seen = len(log["entries"])
        first = 0 if config["Tail"] < 0 else max(seen - config["Tail"], 0)
        there = log["entries"][first:]
    yield wanted(there)
    while config["Follow"]:
        with changed:
            changed.wait_for(lambda: len(log["entries"]) > seen or log["fifos"] == 0)
            there = log["entries"][seen:]
        if not there:
            return
        seen += len(there)
        yield wanted(there)


def called(method, body):
    if method == "Plugin.Activate":
        return {"Implements": [{"volumes": "VolumeDriver", "managed": "LoggingDriver"}.get(behaviour(), "LogDriver")]}
    if method == "LogDriver.Capabilities":
        return {"Cap": {"ReadLogs": behaviour() in ("reads", "files", "tears")}}
    if method == "LogDriver.StartLogging":
        if behaviour() == "refuse":
            return {"Err": "told to refuse"}
        file = body["File"]
        assert not any(key.startswith(OWN) for key in body["Info"]["Config"]), "options that are the daemon's own"
        assert stat.S_ISFIFO(os.stat(file).st_mode), "no fifo"
        log = log_of(body["Info"])
        keep(log, [], 1)
        started[file] = body["Info"]["ContainerID"]
        readers[file] = threading.Thread(target=read, args=(file, os.open(file, os.O_RDONLY), log), daemon=True)
        readers[file].start()
        return {"Err": ""}
    if method == "LogDriver.StopLogging":
        started.pop(body["File"], None)
        # What it has read is on disk by then: Docker does not ask again for it.
        if reader := readers.pop(body["File"], None):
            reader.join(9)
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
            if method != "LogDriver.ReadLogs":
                status, answer = 200, called(method, body)
            elif body["Info"]["ContainerID"] in list(started.values()):
                return self.give(log_of(body["Info"]), body["Config"])
            else:
                status, answer = 500, {"Err": f"logger does not exist for {body['Info']['ContainerID']}"}
        except Exception as error:
            note(".wrong", f"{error!r}: {method} {text!r}")
            status, answer = 500, {"Err": repr(error)}
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def give(self, log, config):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-json-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for frames in given(log, config):
                piece = b"".join(map(filed, frames) if behaviour() == "files" else frames)
                if behaviour() == "tears":
                    piece = piece[:-3]
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            # Nobody wants more.
            self.close_connection = True


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
