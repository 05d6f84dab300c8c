"""Names on a network of the user's own: questions per second, asked inside a container by dnsperf, and what they cost."""

import re
import subprocess
import sys
import time
from pathlib import Path

import processes

NETWORK = "names"

# Answers every question for an address, on all addresses of the engine's host.
SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("0.0.0.0", 53))
print("listening", flush=True)
tail = bytes.fromhex("c00c00010001000000000004c0000201")
while True:
    q, client = s.recvfrom(2048)
    end = q.index(0, 12) + 5
    s.sendto(q[:2] + bytes.fromhex("81800001000100000000") + q[12:end] + tail, client)
"""


def _start(engine, name, dns=()):
    body = {
        "Image": engine.image, "Cmd": ["sleep", "100000"],
        "HostConfig": {"NetworkMode": NETWORK, "Dns": list(dns), "LogConfig": {"Type": "json-file", "Config": {}}},
    }
    container = engine.api.call("POST", f"/containers/create?name={name}", body)["Id"]
    engine.api.start(container)
    return container, engine.api.inspect(container)["State"]["Pid"]


def _ask(pid, questions, *options):
    """Questions per second that were answered, and the average latency in milliseconds."""
    command = ["nsenter", "-t", str(pid), "-n", "dnsperf", "-s", "127.0.0.11", "-d", str(questions), *options]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figure = lambda key: float(re.search(rf"{key}:\s+([0-9.]+)", said).group(1))
    if figure("Queries lost") or "NOERROR" not in said:
        raise RuntimeError(f"questions were lost or not answered:\n{said}")
    return figure("Queries per second"), figure(r"Average Latency \(s\)") * 1000


def names(engines, count, seconds, folder):
    figures = {key: {engine.name: [] for engine in engines} for key in ("start", "daemon", "own", "late", "each", "far", "far1")}
    questions, far = Path(folder) / "questions", Path(folder) / "far"
    questions.write_text("".join(f"n{n} A\n" for n in range(count)))
    far.write_text("".join(f"n{n}.example A\n" for n in range(1000)))
    for engine in engines:
        engine.docker("network", "create", NETWORK)
        network = engine.api.call("GET", f"/networks/{NETWORK}")["IPAM"]["Config"][0]
        gateway = network.get("Gateway") or network["Subnet"].rsplit(".", 1)[0] + ".1"
        time.sleep(2)
        before = processes.memory(engine.daemon.pid)[0]
        begin = time.perf_counter()
        made = [_start(engine, f"n{n}", [gateway] if n == 0 else []) for n in range(count)]
        figures["start"][engine.name].append((time.perf_counter() - begin) * 1000 / count)
        time.sleep(2)
        figures["daemon"][engine.name].append((processes.memory(engine.daemon.pid)[0] - before) / 1e3 / count)
        first = made[0][1]
        rate, late = _ask(first, questions, "-l", str(seconds), "-c", "4", "-q", "64")
        figures["own"][engine.name].append(rate)
        figures["late"][engine.name].append(_ask(first, questions, "-l", str(seconds), "-c", "1", "-q", "1")[1])
        begin = time.perf_counter()
        for _, pid in made:
            _ask(pid, questions, "-n", "1", "-c", "1", "-q", "16")
        figures["each"][engine.name].append(time.perf_counter() - begin)
        server = subprocess.Popen(
            ["nsenter", "-t", str(engine.daemon.pid), "-n", sys.executable, "-c", SERVER], stdout=subprocess.PIPE
        )
        try:
            server.stdout.readline()
            figures["far"][engine.name].append(_ask(first, far, "-l", str(seconds), "-c", "4", "-q", "64")[0])
            figures["far1"][engine.name].append(_ask(first, far, "-l", str(seconds), "-c", "1", "-q", "1")[1])
        finally:
            server.kill()
            server.wait()
        for container, _ in made:
            engine.api.remove(container)
        engine.docker("network", "rm", NETWORK)
    yield f"start on a network of {count}, mean", "ms", "low", figures["start"]
    yield "memory added to the daemon per container, PSS", "kB", "low", figures["daemon"]
    yield "own names, 64 questions at a time", "1/s", "high", figures["own"]
    yield "own names, one at a time", "ms", "low", figures["late"]
    yield f"each of {count} asks for each", "s", "low", figures["each"]
    yield "names forwarded to --dns, 64 at a time", "1/s", "high", figures["far"]
    yield "names forwarded to --dns, one at a time", "ms", "low", figures["far1"]
