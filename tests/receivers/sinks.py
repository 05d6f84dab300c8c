"""A strict receiver of log lines: python3 sinks.py KIND PORT FILE [CERTIFICATE KEY], KIND one of gelf (TCP), splunk, loki, otlp,
gcplogs (which believes what gcp.pem beside FILE verifies, and is the metadata server of a machine besides).

Each line that came becomes a line of JSON in FILE; whatever breaks the protocol is refused and written to FILE.wrong. How
it behaves stands in FILE.behaviour, read anew for each request or message: ok, slow, reset, or the number of an HTTP status.
"""
import gzip, http.server, json, os, re, socket, socketserver, ssl, struct, sys, threading, time

kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()


class Wrong(Exception):
    pass


def want(truth, what):
    if not truth:
        raise Wrong(what)


def behaviour():
    try:
        return open(path + ".behaviour").read().strip() or "ok"
    except FileNotFoundError:
        return "ok"


def keep(entries):
    with lock, open(path, "a") as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries))


def wrong(what):
    with lock, open(path + ".wrong", "a") as file:
        file.write(what + "\n")


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def gelf(message):
    """https://go2docs.graylog.org: GELF payload specification, version 1.1."""
    entry = json.loads(message)
    want(entry.pop("version") == "1.1", "version")
    want(entry["host"] and entry["short_message"], "mandatory text is empty")
    want(isinstance(entry["timestamp"], (int, float)) and entry["level"] in range(8), "timestamp or level")
    for name, value in entry.items():
        if name not in ("host", "short_message", "timestamp", "level"):
            want(re.fullmatch(r"_[\w.\-]*", name) and name != "_id", f"field {name}")
            want(isinstance(value, (str, int, float)), f"value of {name}")
    return {"text": entry.pop("short_message"), **entry}


class Gelf(socketserver.BaseRequestHandler):
    def handle(self):
        rest = b""
        while piece := self.request.recv(4096):
            *messages, rest = (rest + piece).split(b"\0")
            for message in messages:
                now = behaviour()
                if now == "reset":
                    return reset(self.request)
                if now == "slow":
                    time.sleep(0.05)
                try:
                    keep([gelf(message)])
                except Exception as error:
                    wrong(f"{error!r}: {message!r}")


owed = {}


def splunk(headers, url, body):
    """https://docs.splunk.com: format events for the HTTP Event Collector, and about its indexer acknowledgment."""
    channel = headers["X-Splunk-Request-Channel"]
    if channel and url == f"/services/collector/ack?channel={channel}":
        acks = json.loads(body)["acks"]
        want(acks and all(a < owed[channel] for a in acks), "acknowledgment of what nobody sent")
        with lock, open(path + ".asked", "a") as file:
            file.write(f"{acks}\n")
        return [], json.dumps({"acks": {str(a): behaviour() != "unindexed" for a in acks}}).encode()
    want(url == "/services/collector/event/1.0", f"path {url}")
    want(headers["Authorization"] == "Splunk secret", "token")
    text, at, out = body.decode(), 0, []
    while at < len(text):
        event, at = json.JSONDecoder().raw_decode(text, at)
        want(set(event) <= {"event", "time", "host", "source", "sourcetype", "index"}, f"keys {set(event)}")
        want(re.fullmatch(r"\d+\.\d{6}", event["time"]), f"time {event['time']}")
        inner = event["event"]
        want(inner and (not isinstance(inner, str) or inner.strip()), "blank event")
        line = inner if isinstance(inner, str) else inner["line"]
        entry = {"text": line if isinstance(line, str) else json.dumps(line), "event": inner}
        out.append({**entry, "envelope": {k: v for k, v in event.items() if k != "event"},
                    "channel": channel})
    if not channel:
        return out, b'{"text":"Success","code":0}'
    with lock:
        number = owed[channel] = owed.get(channel, 0) + 1
    return out, json.dumps({"text": "Success", "code": 0, "ackId": number - 1}).encode()


def loki_types():
    """Loki's pkg/push/push.proto, as far as clients send it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    kinds = {"string": 9, "message": 11}

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, (field, kind, label, of) in enumerate(fields, 1):
            made.field.add(name=field, number=number, type=kinds[kind], label=label, type_name=of)

    message("PushRequest", ("streams", "message", 3, ".logproto.StreamAdapter"))
    message("StreamAdapter", ("labels", "string", 1, None), ("entries", "message", 3, ".logproto.EntryAdapter"))
    message("EntryAdapter", ("timestamp", "message", 1, ".google.protobuf.Timestamp"), ("line", "string", 1, None))
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))


def parsed(message, body):
    message.ParseFromString(body)
    message.DiscardUnknownFields()
    want(message.ByteSize() == len(body), "fields that are not in the definitions")
    return message


latest = {}


def loki(headers, url, body):
    import cramjam

    want(url == "/loki/api/v1/push", f"path {url}")
    want(headers["Content-Type"] == "application/x-protobuf", f"type {headers['Content-Type']}")
    out = []
    for stream in parsed(loki.request(), bytes(cramjam.snappy.decompress_raw(body))).streams:
        pairs = re.fullmatch(r'\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:, (?!\}))?)+)\}', stream.labels)
        want(pairs, f"labels {stream.labels}")
        labels = {k: json.loads(f'"{v}"') for k, v in re.findall(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', pairs[1])}
        for entry in stream.entries:
            at = entry.timestamp.ToNanoseconds()
            # As with a Loki that keeps streams in order; what is sent again has its old time.
            with lock:
                known = latest.setdefault(stream.labels, {})
                want(known.get(at, entry.line) == entry.line, f"two lines at {at}")
                known[at] = entry.line
            out.append({"text": entry.line, "labels": labels, "time": at, "tenant": headers["X-Scope-OrgID"]})
    return out, b""


def otlp(headers, url, body):
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from google.protobuf import json_format

    want(url == "/v1/logs", f"path {url}")
    want(headers["Content-Type"] == "application/x-protobuf", f"type {headers['Content-Type']}")

    def plain(value):
        which = value.WhichOneof("value")
        got = getattr(value, which)
        return [plain(v) for v in got.values] if which == "array_value" else got.hex() if which == "bytes_value" else got

    def pairs(attributes):
        out = {a.key: plain(a.value) for a in attributes}
        want(len(out) == len(attributes), "attributes of one name")
        return out

    out = []
    request = parsed(logs_service_pb2.ExportLogsServiceRequest(), body)
    for logs in request.resource_logs:
        for scope in logs.scope_logs:
            for record in scope.log_records:
                want(record.time_unix_nano > 0 and record.observed_time_unix_nano > 0, "time")
                out.append({
                    "text": plain(record.body), "resource": pairs(logs.resource.attributes),
                    "attributes": pairs(record.attributes), "severity": [record.severity_number, record.severity_text],
                    "header": headers["X-Own"], "packed": headers["Content-Encoding"],
                })
    return out, logs_service_pb2.ExportLogsServiceResponse().SerializeToString()


revoked, known = set(), {}


def signed(token):
    """https://google.aip.dev/auth/4111: a token that a service's account signs for itself."""
    from google.auth import jwt

    header = jwt.decode_header(token)
    want(header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}, f"header {header}")
    claims = jwt.decode(token, certs=open(os.path.join(os.path.dirname(path), "gcp.pem")).read())
    want(claims["iss"] == claims["sub"] == "gantry@p.iam.gserviceaccount.com", f"claims {claims}")
    want(claims["scope"] == "https://www.googleapis.com/auth/cloud-platform" and claims.get("aud") is None, f"claims {claims}")
    want(claims["exp"] - claims["iat"] <= 3620, f"claims {claims}")
    return claims["iss"]


def gcplogs(headers, url, body):
    """https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write, in JSON and to the letter of its protobuf."""
    from google.protobuf import json_format

    def refusal(code, status, details=()):
        error = {"code": code, "message": f"{status.lower()}, it says", "status": status, "details": list(details)}
        return json.dumps({"error": error}).encode(), code

    want(url == "/v2/entries:write", f"path {url}")
    want(headers["Content-Type"] == "application/json", f"type {headers['Content-Type']}")
    if headers["Authorization"] in revoked:
        return [], *refusal(401, "UNAUTHENTICATED")
    scheme, token = headers["Authorization"].split(" ")
    want(scheme == "Bearer", f"scheme {scheme}")
    who = "themachine" if token == "ofthemachine" else signed(token)
    request = json_format.Parse(body, gcplogs.request.pb(gcplogs.request()))
    count = len(request.entries)
    want(0 < count <= 1000 and len(body) < 10_000_000 and request.partial_success, f"{count} in {len(body)}")
    project = re.fullmatch(r"projects/([a-z0-9-]+)/logs/gcplogs-docker-driver", request.log_name)
    want(project, f"log {request.log_name}")
    resource = json_format.MessageToDict(request.resource)
    labels = {"gce_instance": ["instance_id", "zone"], "global": ["project_id"]}[resource["type"]]
    want(sorted(resource["labels"]) == labels and not request.labels, f"resource {resource}")
    out, errors = [], {}
    for at, entry in enumerate(request.entries):
        payload = json_format.MessageToDict(entry.json_payload)
        want(set(payload) <= {"instance", "container", "message"} and payload["container"], f"payload {payload}")
        want({f.name for f, _ in entry.ListFields()} == {"timestamp", "insert_id", "json_payload"}, f"fields of {entry}")
        want(re.fullmatch(r"[\w-]{1,128}", entry.insert_id) and entry.ByteSize() <= 256_000, f"id {entry.insert_id}")
        if payload.get("message") == "reject me":
            errors[at] = {"code": 3, "message": "no, thanks"}
            continue
        when = entry.timestamp.ToNanoseconds()
        with lock:
            before = known.setdefault((when, entry.insert_id), payload)
        # The service shows such entries once.
        want(before == payload, f"two entries at {when} with one id, {entry.insert_id}")
        if before is payload:
            out.append({"text": payload.get("message", ""), "payload": payload, "resource": resource, "time": when,
                        "id": entry.insert_id, "project": project[1], "who": who})
    if len(errors) == count:
        return [], *refusal(400, "INVALID_ARGUMENT")
    if errors:
        kind = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
        return out, *refusal(400, "INVALID_ARGUMENT", [{"@type": kind, "logEntryErrors": errors}])
    return out, b"{}"


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self):
        now = behaviour()
        self.answer(int(now) if now.isdigit() else 200)

    def do_GET(self):
        """https://cloud.google.com/compute/docs/metadata/querying-metadata."""
        token = {"access_token": "ofthemachine", "expires_in": 3599, "token_type": "Bearer"}
        values = {
            "project/project-id": "machines-project", "instance/zone": "projects/1/zones/europe-west3-a",
            "instance/name": "vm", "instance/id": "4711",
            "instance/service-accounts/default/token": json.dumps(token),
        }
        value = values.get(self.path.removeprefix("/computeMetadata/v1/"))
        if kind != "gcplogs" or self.headers["Metadata-Flavor"] != "Google" or not value:
            return self.answer(404)
        self.answer(200, value.encode(), Metadata_Flavor="Google")

    def do_POST(self):
        length, now = int(self.headers["Content-Length"]), behaviour()
        if now == "reset":
            self.rfile.read(length // 2)
            self.close_connection = True
            return reset(self.connection)
        body = self.rfile.read(length)
        if now == "401":
            revoked.add(self.headers["Authorization"])
        if now.isdigit():
            return self.answer(int(now), b"told to")
        if now == "slow":
            time.sleep(0.3)
        try:
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            speak = {"splunk": splunk, "loki": loki, "otlp": otlp, "gcplogs": gcplogs}[kind]
            lines, answer, *status = speak(self.headers, self.path, body)
        except Exception as error:
            wrong(f"{error!r}: {body!r}")
            return self.answer(400, b"{}")
        keep(lines)
        self.answer(*status or [200], answer)


if kind == "loki":
    loki.request = loki_types()
if kind == "gcplogs":
    from google.cloud.logging_v2.types import WriteLogEntriesRequest

    gcplogs.request = WriteLogEntriesRequest
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.request_queue_size = 128
socketserver.ThreadingTCPServer.daemon_threads = True
server = socketserver.ThreadingTCPServer(("0.0.0.0", port), Gelf if kind == "gelf" else Http)
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
