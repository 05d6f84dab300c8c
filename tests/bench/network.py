"""Figures of networks: what an attachment costs, how fast published ports are, what making a network costs."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from figures import _timed

# What the engines' namespaces and the other host have in common; each engine has a link of its own.
HOST, OTHER, PREFIX = "10.232.9.1", "10.232.9.2", 24
HTTP, BULK = 8080, 5201
SERVER = Path(__file__).resolve().parent / "server.c"


class OtherHost:
    """A network namespace joined to an engine's by a link: a second host."""

    def __init__(self, engine):
        self.engine = engine
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "100000"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        until = time.monotonic() + 10
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == own:
            if time.monotonic() > until:
                raise RuntimeError("the other host's namespace was not made")
            time.sleep(0.01)
        here = self.on_engine
        here("ip", "link", "add", "benchout", "type", "veth", "peer", "name", "eth0", "netns", str(self.process.pid))
        here("ip", "address", "add", f"{HOST}/{PREFIX}", "dev", "benchout")
        here("ip", "link", "set", "benchout", "up")
        self.run("ip", "address", "add", f"{OTHER}/{PREFIX}", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", HOST)

    def run(self, *command):
        return entered(self.process.pid, *command)

    def on_engine(self, *command):
        return entered(self.engine.daemon.pid, *command)

    def stop(self):
        self.process.kill()
        self.process.wait()


def entered(pid, *command):
    enter = ["timeout", "60", "nsenter", "-t", str(pid), "-n", *command]
    done = subprocess.run(enter, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()[-500:]}")
    return done.stdout


def attach(engines, count):
    """What a bridge costs a start beside no network: pairs, one right after the other."""

    def start(engine, network):
        container = engine.api.create(engine.image, ["sleep", "1000"], network)
        took = _timed(lambda: engine.api.start(container))
        engine.api.remove(container)
        return took

    def line(engine, network):
        return _timed(lambda: engine.docker("run", "--rm", "--net", network, engine.image, "true"))

    for what, work in (("API start", start), ("docker run --rm", line)):
        samples = {network: {engine.name: [] for engine in engines} for network in ("bridge", "none")}
        more = {engine.name: [] for engine in engines}
        for engine in engines:
            for network in ("bridge", "none"):
                work(engine, network)  # the first one pays for caches
        for number in range(count):
            for engine in engines if number % 2 else engines[::-1]:
                order = ("bridge", "none") if number % 4 < 2 else ("none", "bridge")
                took = {network: work(engine, network) for network in order}
                for network in order:
                    samples[network][engine.name].append(took[network])
                more[engine.name].append(took["bridge"] - took["none"])
        for network in ("bridge", "none"):
            yield f"{what}, {network}", "ms", "low", samples[network]
        yield f"  {what}: bridge costs more than none by", "ms", "low", more


def networks(engines, count):
    """Making and removing a network."""
    made, gone = ({engine.name: [] for engine in engines} for _ in range(2))
    for number in range(count):
        for engine in engines if number % 2 else engines[::-1]:
            name = f"bench{number}"
            made[engine.name].append(_timed(lambda: engine.api.call("POST", "/networks/create", {"Name": name})))
            gone[engine.name].append(_timed(lambda: engine.api.call("DELETE", f"/networks/{name}")))
    yield "network create", "ms", "low", made
    yield "network rm", "ms", "low", gone


def traffic(engines, count, folder):
    """Requests and bytes through a published port, from three places."""
    server = Path(folder) / "server"
    subprocess.run(["cc", "-O2", "-static", "-o", str(server), str(SERVER)], check=True)
    system = [f"{os.path.realpath(path)}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
    others, made = {}, {}
    try:
        for engine in engines:
            others[engine.name] = OtherHost(engine)
            web = engine.api.create(
                engine.image, ["/server", "80"], "bridge", binds=[f"{server}:/server:ro"], ports={80: HTTP}
            )
            bulk = engine.api.create(
                engine.image, ["/usr/bin/iperf3", "-s"], "bridge", binds=system, ports={5201: BULK}
            )
            made[engine.name] = [web, bulk]
            for container in made[engine.name]:
                engine.api.start(container)
        time.sleep(1)
        places = (
            ("another host", HOST, lambda engine: others[engine.name].process.pid),
            ("the host's own address", HOST, lambda engine: engine.daemon.pid),
            ("127.0.0.1", "127.0.0.1", lambda engine: engine.daemon.pid),
        )
        for place, address, pid in places:
            for kind, options in (("a connection each", ["-n", "8000"]), ("connections kept", ["-n", "80000", "-k"])):

                def requests(engine):
                    url = f"http://{address}:{HTTP}/"
                    said = entered(pid(engine), "ab", "-q", "-c", "16", *options, url)
                    if not re.search(r"^Failed requests:\s+0$", said, re.MULTILINE):
                        raise RuntimeError(f"{engine.name}: requests failed:\n{said}")
                    return float(re.search(r"^Requests per second:\s+([\d.]+)", said, re.MULTILINE).group(1))

                yield f"HTTP from {place}, {kind}", "1/s", "high", _taken(engines, count, requests)

            def bulk(engine):
                said = entered(pid(engine), "iperf3", "-c", address, "-p", str(BULK), "-t", "2", "-J")
                return json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9

            yield f"bulk from {place}", "Gb/s", "high", _taken(engines, count, bulk)
    finally:
        for engine in engines:
            for container in made.get(engine.name, []):
                engine.api.remove(container)
            if engine.name in others:
                others[engine.name].stop()


def _taken(engines, count, work):
    samples = {engine.name: [] for engine in engines}
    for engine in engines:
        work(engine)
    for number in range(count):
        for engine in engines if number % 2 else engines[::-1]:
            samples[engine.name].append(work(engine))
    return samples

