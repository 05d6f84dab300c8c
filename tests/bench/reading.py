"""The figures of reading much: a json-file of many gigabytes, and many followers of one container."""

import datetime
import os
import statistics
import subprocess
import time
from pathlib import Path

MINUTE = 60
BLOCK = 1 << 20


def _write(log, gigabytes, hours):
    """Lines of 100 bytes, whose times go over so many hours up to now; gives how many of the last minute there are."""
    blocks = gigabytes * 1000_000_000 // BLOCK
    end = time.time()
    filling = "x" * 99
    mark = "2006-01-02T15:04:05.000000001Z"
    record = f'{{"log":"{filling}\\n","stream":"stdout","time":"{mark}"}}\n'
    lines = BLOCK // len(record)
    block = (record * lines).encode()
    last = 0
    with open(log, "wb", buffering=0) as out:
        for number in range(blocks):
            at = end - (blocks - 1 - number) * hours * 3600 / blocks
            stamp = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f001Z")
            out.write(block.replace(mark.encode(), stamp.encode()))
            last += lines if at >= end - MINUTE + 0.001 else 0
    return last, end


def _has_read(pid):
    text = Path(f"/proc/{pid}/io").read_text()
    return int(text.split("rchar: ")[1].split()[0])


def _peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def big(engines, gigabytes, rounds, hours=24):
    """The last lines and the last minute of a big file: by the API, without the command line's own start."""
    made = {}
    for engine in engines:
        container = engine.api.create(engine.image, ["true"])
        engine.api.start(container)
        engine.api.wait(container)
        log = Path(engine.api.inspect(container)["LogPath"])
        made[engine.name] = (container, *_write(log, gigabytes, hours))
        cursor = log.with_name("json-file.cursor")
        if cursor.exists():
            # Without its cursor file all that stands in the log counts: an engine finds that when it starts.
            engine.end()
            cursor.unlink()
            engine.start()
            until = time.monotonic() + 60
            while not engine.api.call("GET", f"/containers/{container}/logs?stdout=1&tail=1") and time.monotonic() < until:
                time.sleep(0.05)
    os.sync()
    for what, query, cold in (
        ("--tail 10", "tail=10", False),
        ("--since the last minute", "since=", False),
        ("--since the last minute, nothing cached", "since=", True),
    ):
        took, read, grown = ({engine.name: [] for engine in engines} for _ in range(3))
        for _ in range(rounds):
            for engine in engines:
                container, lines, end = made[engine.name]
                wanted = query + (f"{end - MINUTE:.3f}" if query == "since=" else "")
                if cold:
                    os.sync()
                    Path("/proc/sys/vm/drop_caches").write_text("1")
                _peak(engine.daemon.pid)
                before, held = _has_read(engine.daemon.pid), _peak(engine.daemon.pid)
                begin = time.monotonic()
                answer = engine.api.call("GET", f"/containers/{container}/logs?stdout=1&{wanted}")
                took[engine.name].append((time.monotonic() - begin) * 1e3)
                read[engine.name].append((_has_read(engine.daemon.pid) - before) / 1e6)
                grown[engine.name].append((_peak(engine.daemon.pid) - held) / 1e6)
                found = answer.count(b"\n")
                if found != (10 if query == "tail=10" else lines):
                    raise RuntimeError(f"{engine.name}: {wanted}: {found} lines instead of {lines}")
        yield f"{gigabytes} GB json-file, {what}", "ms", "low", took
        yield "  read by the daemon", "MB", "low", read
        yield "  its memory grows by at most", "MB", "low", grown
    for engine in engines:
        engine.api.remove(made[engine.name][0])


def followers(engines, programs, count, lines, micros, rounds):
    """How late a line comes to each of many followers, and what they cost the engine."""
    for many in (1, count):
        median, late, cpu = ({engine.name: [] for engine in engines} for _ in range(3))
        for number in range(rounds):
            for engine in engines if number % 2 else engines[::-1]:
                container = programs.create(engine, "json-file", {}, ["stamps", lines, micros])
                engine.api.start(container)
                before = engine.cpu()
                command = [str(programs.receiver), "follow", str(engine.socket), container, str(lines)]
                all_of_them = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(many)]
                took = []
                for one in all_of_them:
                    out, _ = one.communicate(timeout=300)
                    # The first lines were written before anybody followed.
                    own = [int(ns) / 1e6 for ns in out.split()]
                    if len(own) != lines:
                        raise RuntimeError(f"{engine.name}: {len(own)} lines instead of {lines} were followed")
                    took += own[lines // 4:]
                cpu[engine.name].append(engine.cpu() - before)
                took.sort()
                median[engine.name].append(statistics.median(took))
                late[engine.name].append(took[len(took) * 99 // 100])
                engine.api.remove(container)
        yield f"{many} x logs -f, a line each {micros / 1000:g} ms: median", "ms", "low", median
        yield "  the 99th of 100", "ms", "low", late
        yield f"  CPU of the engine for {lines} lines", "s", "low", cpu
