"""CloudWatch Logs, and where credentials come from, as a script wants it: python3 aws.py PORT FILE [ADDRESS].

Events that were taken become lines of JSON in FILE, whatever breaks the service's rules lines of FILE.wrong. FILE.script has a
word for each PutLogEvents to come: ok, throttle, fail, missing, old (the first event is too old), new (the last is too new).
On port 80 of ADDRESS the machine's metadata (IMDSv2 alone) and a task's credentials are handed out.
"""
import http.server, json, re, socketserver, sys, threading

port, path = sys.argv[1], sys.argv[2]
lock = threading.Lock()


def note(ending, *values):
    with lock, open(path + ending, "a") as file:
        file.write("".join(json.dumps(value) + "\n" for value in values))


def want(truth, what):
    if not truth:
        raise Exception(what)


def word():
    try:
        with lock, open(path + ".script", "r+") as file:
            first, *rest = file.read().split() or ["ok"]
            file.seek(0)
            file.truncate()
            file.write(" ".join(rest))
            return first
    except FileNotFoundError:
        return "ok"


streams = set()


def put(body, key):
    name = f"{body['logGroupName']}/{body['logStreamName']}"
    events, now = body["logEvents"], word()
    if now == "missing":
        streams.clear()
    if name not in streams:
        return 400, {"__type": "ResourceNotFoundException", "message": "The specified log stream does not exist."}
    if now == "throttle":
        return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
    if now == "fail":
        return 503, {}
    sizes = [len(event["message"].encode()) + 26 for event in events]
    times = [event["timestamp"] for event in events]
    want(0 < len(events) <= 10_000 and sum(sizes) <= 1_048_576 and max(sizes) <= 262_144, f"sizes of {len(events)}")
    want(times == sorted(times) and times[-1] - times[0] < 24 * 3600 * 1000, "times")
    kept, info = events, {}
    if now == "old":
        kept, info = events[1:], {"tooOldLogEventEndIndex": 1}
    if now == "new":
        kept, info = events[:-1], {"tooNewLogEventStartIndex": len(events) - 1}
    note("", *({"text": event["message"], "stream": name, "key": key} for event in kept))
    return 200, {"nextSequenceToken": "1", **({"rejectedLogEventsInfo": info} if info else {})}


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        if self.path == "/latest/api/token":
            self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            call = self.headers["X-Amz-Target"].removeprefix("Logs_20140328.")
            found = re.search(r"Credential=(\w+)/\d+/([\w-]+)/logs/", self.headers["Authorization"])
            want(found and found[2] == "eu-west-1", f"authorization {self.headers['Authorization']}")
            if call == "PutLogEvents":
                return self.answer(*put(body, found[1]))
            want(call in ("CreateLogGroup", "CreateLogStream"), f"call {call}")
            if call == "CreateLogStream":
                streams.add(f"{body['logGroupName']}/{body['logStreamName']}")
            self.answer(200, {})
        except Exception as error:
            note(".wrong", repr(error))
            self.answer(400, {"__type": "SerializationException", "message": repr(error)})

    def do_PUT(self):
        self.answer(200, "a-token") if self.path == "/latest/api/token" else self.answer(404, "")

    def do_GET(self):
        def handed(key):
            return {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": key, "SecretAccessKey": "secret",
                    "Token": "session", "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2024-01-01T00:00:00Z"}

        if self.path == "/v2/credentials/task":
            return self.answer(200, handed("ofthetask"))
        if self.headers["X-aws-ec2-metadata-token"] != "a-token":
            return self.answer(401, "")
        role = "/latest/meta-data/iam/security-credentials/"
        known = {role: "role", role + "role": handed("ofthemachine"), "/latest/meta-data/placement/region": "eu-west-1"}
        self.answer(200, known[self.path]) if self.path in known else self.answer(404, "")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if len(sys.argv) > 3:
    threading.Thread(target=Server((sys.argv[3], 80), Http).serve_forever, daemon=True).start()
server = Server(("0.0.0.0", int(port)), Http)
print("listens", flush=True)
server.serve_forever()
