"""The figures. Each yields `(what, unit, better, samples per engine)`; rounds alternate between the engines."""

import subprocess
import time

import processes


def _timed(work):
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def _rounds(engines, count, work):
    """Milliseconds of `work(engine)`, the engines taking turns and the turns changing order."""
    samples = {engine.name: [] for engine in engines}
    for engine in engines:
        work(engine)  # the first one pays for caches
    for number in range(count):
        for engine in engines if number % 2 else engines[::-1]:
            samples[engine.name].append(_timed(lambda: work(engine)))
    return samples


def cli_alone(engines, count):
    """What the command line costs by itself, within each figure named `docker`."""

    def work(engine):
        subprocess.run(["docker", "--version"], check=True, capture_output=True)

    yield "(docker --version, no daemon)", "ms", "low", _rounds(engines, count, work)


def starts(engines, count):
    for network in ("bridge", "none"):

        def run(engine):
            engine.docker("run", "--rm", "--net", network, engine.image, "true")

        yield f"docker run --rm, {network}", "ms", "low", _rounds(engines, count, run)

        def whole(engine):
            container = engine.api.create(engine.image, ["true"], network)
            engine.api.start(container)
            if engine.api.wait(container) != 0:
                raise RuntimeError(f"{engine.name}: `true` failed")
            engine.api.remove(container)

        yield f"API create+start+wait+remove, {network}", "ms", "low", _rounds(engines, count, whole)
    yield from _parts(engines, count)


def _parts(engines, count):
    """Where the bridged whole goes: each call by itself."""
    parts = {call: {engine.name: [] for engine in engines} for call in ("create", "start", "wait", "remove")}
    for number in range(count):
        for engine in engines if number % 2 else engines[::-1]:
            made = []
            times = {
                "create": _timed(lambda: made.append(engine.api.create(engine.image, ["true"], "bridge"))),
                "start": _timed(lambda: engine.api.start(made[0])),
                "wait": _timed(lambda: engine.api.wait(made[0])),
                "remove": _timed(lambda: engine.api.remove(made[0])),
            }
            for call, took in times.items():
                parts[call][engine.name].append(took)
    for call, samples in parts.items():
        yield f"  of it {call}", "ms", "low", samples


def execs(engines, count):
    made = {engine.name: engine.api.create(engine.image, ["sleep", "100000"]) for engine in engines}
    for engine in engines:
        engine.api.start(made[engine.name])

    def line(engine):
        engine.docker("exec", made[engine.name], "true")

    def api(engine):
        if engine.api.execute(made[engine.name], ["true"]) != 0:
            raise RuntimeError(f"{engine.name}: exec of `true` failed")

    yield "docker exec true", "ms", "low", _rounds(engines, count, line)
    yield "API exec true", "ms", "low", _rounds(engines, count, api)
    for engine in engines:
        engine.api.remove(made[engine.name])


def memory(engines, count):
    """Idle memory before any container of this figure, and what `count` idle ones add; the containers' own processes
    are counted on neither side."""
    idle, added, shim = {}, {}, {}
    for engine in engines:
        time.sleep(2)  # what the figures before left running settles
        before = [processes.memory(pid)[0] for pid in engine.processes()]
        made = [engine.api.create(engine.image, ["sleep", "100000"]) for _ in range(count)]
        for container in made:
            engine.api.start(container)
        time.sleep(2)
        now = engine.processes()
        after = [processes.memory(pid)[0] for pid in now]
        shims = [pid for pid in now if "shim" in processes.name(pid)]
        if len(shims) < count:
            raise RuntimeError(f"{engine.name}: {len(shims)} shims for {count} containers")
        idle[engine.name] = [sum(before) / 1e6]
        added[engine.name] = [(sum(after) - sum(before)) / 1e6 / count]
        shim[engine.name] = [processes.memory(pid)[1] / 1e6 for pid in shims]
        for container in made:
            engine.api.remove(container)
    yield "idle daemon(s), PSS", "MB", "low", idle
    yield f"added per container ({count} idle), PSS", "MB", "low", added
    yield "  of it private to its shim", "MB", "low", shim


def ports(engines, count, rounds):
    """What a start costs that publishes one port more, without and beside so many others; and what those cost at once."""
    per = 200
    samples = {when: {engine.name: [] for engine in engines} for when in ("none", "others", "start", "remove")}
    for engine in engines:

        def one(when):
            container = engine.api.create(engine.image, ["sleep", "100000"], "bridge", ports={80: 9000})
            samples[when][engine.name].append(_timed(lambda: engine.api.start(container)))
            engine.api.remove(container)

        one("none")
        samples["none"][engine.name].clear()  # the first one pays for caches
        for _ in range(rounds):
            one("none")
        made = []
        for first in range(10_000, 10_000 + count - 1, per):
            wanted = {inside: first + inside for inside in range(1, min(per, 10_000 + count - 1 - first) + 1)}
            made.append(engine.api.create(engine.image, ["sleep", "100000"], "bridge", ports=wanted))
            samples["start"][engine.name].append(_timed(lambda: engine.api.start(made[-1])))
        for _ in range(rounds):
            one("others")
        for container in made:
            samples["remove"][engine.name].append(_timed(lambda: engine.api.remove(container)))
    yield "start with one port, the first", "ms", "low", samples["none"]
    yield f"start with one port beside {count - 1} others", "ms", "low", samples["others"]
    yield f"start with {per} ports", "ms", "low", samples["start"]
    yield f"remove with {per} ports", "ms", "low", samples["remove"]
