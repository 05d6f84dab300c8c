"""The figures of logs: throughput into each driver, reading back, following. Every line is checked by `receiver.c`."""

import contextlib
import statistics
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PORT = 24999
WAYS = {"64 KiB writes": 65536, "a write per line": 0}
REMOTE = {
    "syslog tcp": ("syslog", {"syslog-address": f"tcp://127.0.0.1:{PORT}"}),
    "fluentd tcp": ("fluentd", {"fluentd-address": f"127.0.0.1:{PORT}"}),
    "fluentd confirmed": ("fluentd", {"fluentd-address": f"127.0.0.1:{PORT}", "fluentd-request-ack": "true"}),
}
FILES = {
    "json-file": ("json-file", {}, "json"),
    # One file that is never rotated, so that every line can be checked.
    "local": ("local", {"max-size": "100g", "max-file": "1", "compress": "false"}, "local"),
}


class Programs:
    """The writer, which is mounted into containers, and the receiver."""

    def __init__(self, folder):
        self.writer, self.receiver = Path(folder) / "writer", Path(folder) / "receiver"
        for program in (self.writer, self.receiver):
            source = str(HERE / f"{program.name}.c")
            subprocess.run(["cc", "-O2", "-static", "-o", str(program), source], check=True)

    def create(self, engine, driver, options, arguments):
        return engine.api.create(
            engine.image, ["/writer", *map(str, arguments)], binds=[f"{self.writer}:/writer:ro"], log=(driver, options)
        )

    def check(self, *arguments, **how):
        done = subprocess.run([str(self.receiver), *map(str, arguments)], capture_output=True, text=True, **how)
        if done.returncode != 0:
            raise RuntimeError(f"receiver {arguments}: {done.stderr.strip()}")
        return done.stdout.split()


def _file(engine, container, driver):
    if driver == "json-file":
        return Path(engine.api.inspect(container)["LogPath"])
    return engine.root / "data/containers" / container / "local-logs/container.log"


def _wait_for_line(log, last, size):
    """Until the last line stands in the file, whole."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError), open(log, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - size - 200))
            tail = file.read()
            at = tail.rfind(b"%012d" % last)
            if at >= 0 and len(tail) - at > size:
                return
        time.sleep(0.002)
    raise RuntimeError(f"{log}: line {last} did not come")


def _into_file(programs, engine, driver, options, kind, lines, size, block):
    container = programs.create(engine, driver, options, ["lines", lines, size, block])
    begin = time.monotonic()
    engine.api.start(container)
    _wait_for_line(_file(engine, container, driver), lines - 1, size)
    took = time.monotonic() - begin
    if engine.api.wait(container) != 0:
        raise RuntimeError(f"{engine.name}: the writer failed")
    programs.check(kind, _file(engine, container, driver), lines, size)
    engine.api.remove(container)
    return took


def _to_receiver(programs, engine, driver, options, lines, size, block):
    arguments = [driver, str(PORT), str(lines), str(size)]
    inside = ["nsenter", f"--net=/proc/{engine.daemon.pid}/ns/net", str(programs.receiver), *arguments]
    with subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receiver:
        receiver.stdout.readline()
        container = programs.create(engine, driver, options, ["lines", lines, size, block])
        begin = time.monotonic_ns()
        engine.api.start(container)
        out, error = receiver.communicate(timeout=600)
        if receiver.returncode != 0:
            raise RuntimeError(f"{engine.name}: {driver}: {error}")
    if engine.api.wait(container) != 0:
        raise RuntimeError(f"{engine.name}: the writer failed")
    engine.api.remove(container)
    return (int(out) - begin) / 1e9


def _rounds(engines, rounds, work):
    """What `work(engine)` gives, and the engine's CPU seconds meanwhile; the engines take turns."""
    samples, cpu = ({engine.name: [] for engine in engines} for _ in range(2))
    for number in range(rounds):
        for engine in engines if number % 2 else engines[::-1]:
            before = engine.cpu()
            samples[engine.name].append(work(engine))
            cpu[engine.name].append(engine.cpu() - before)
    return samples, cpu


def throughput(engines, programs, chosen, sizes, megabytes, rounds):
    """MB of payload a second, from the start call until the last line was received, or stands in the file."""
    for name in (name for name in (*FILES, *REMOTE) if name in chosen):
        for size in sizes:
            for way, block in WAYS.items():
                lines = megabytes * 1_000_000 // size

                def work(engine):
                    if name in FILES:
                        took = _into_file(programs, engine, *FILES[name], lines, size, block)
                    else:
                        took = _to_receiver(programs, engine, *REMOTE[name], lines, size, block)
                    return lines * size / 1e6 / took

                samples, cpu = _rounds(engines, rounds, work)
                yield f"{name}, {size} bytes, {way}", "MB/s", "high", samples
                yield f"  CPU of the engine for {megabytes} MB", "s", "low", cpu


def reading(engines, programs, lines, rounds):
    """Reading so many lines back, by the API and by the command line."""
    for name in FILES:
        driver, options, _ = FILES[name]
        made = {engine.name: programs.create(engine, driver, options, ["lines", lines, 100, 65536]) for engine in engines}
        for engine in engines:
            engine.api.start(made[engine.name])
            engine.api.wait(made[engine.name])
            _wait_for_line(_file(engine, made[engine.name], driver), lines - 1, 100)

        def api(engine):
            begin = time.monotonic_ns()
            (end,) = programs.check("logs", engine.socket, made[engine.name], lines, 100)
            return (int(end) - begin) / 1e6

        def line(engine):
            begin = time.monotonic_ns()
            command = ["docker", "-H", f"unix://{engine.socket}", "logs", made[engine.name]]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as docker:
                (end,) = programs.check("raw", "-", lines, 100, stdin=docker.stdout)
            return (int(end) - begin) / 1e6

        for what, work in (("API", api), ("docker logs", line)):
            samples, cpu = _rounds(engines, rounds, work)
            yield f"{name}, {lines / 1e6:g} M lines by {what}", "ms", "low", samples
            yield "  CPU of the engine", "s", "low", cpu
        for engine in engines:
            engine.api.remove(made[engine.name])


def following(engines, programs, lines, micros, rounds):
    """How late a line comes that is followed by the API, from just before its write(2) on."""
    median, late = ({engine.name: [] for engine in engines} for _ in range(2))
    for number in range(rounds):
        for engine in engines if number % 2 else engines[::-1]:
            container = programs.create(engine, "json-file", {}, ["stamps", lines, micros])
            engine.api.start(container)
            took = sorted(int(ns) / 1e6 for ns in programs.check("follow", engine.socket, container, lines))
            if len(took) != lines:
                raise RuntimeError(f"{engine.name}: {len(took)} lines instead of {lines} were followed")
            median[engine.name].append(statistics.median(took))
            late[engine.name].append(took[len(took) * 99 // 100])
            engine.api.remove(container)
    yield f"logs -f, a line each {micros / 1000:g} ms: median", "ms", "low", median
    yield "  the 99th of 100", "ms", "low", late
