"""Pulling and loading a large image, beside dockerd and beside `tar -x` of the same layers at once."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from layers import Layers

TAR = "tar -x"
# The registry of each engine is on loopback in that engine's network namespace; they serve one folder.
PORT = 5000
# Seconds for which ext4 remembers deleted inodes (RECENTCY_MIN in fs/ext4/ialloc.c), and a little.
FORGETTING = 65


class Registry:
    """Debian's docker-registry in an engine's network namespace."""

    def __init__(self, engine, folder):
        self.engine, self.folder = engine, Path(folder)
        config = engine.root / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {self.folder}}}\n"
            f"http: {{addr: '127.0.0.1:{PORT}'}}\n"
        )
        self.process = self._inside(["docker-registry", "serve", str(config)])
        until = time.monotonic() + 30
        while self._inside(["busybox", "wget", "-qO-", f"http://127.0.0.1:{PORT}/v2/"]).wait() != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("docker-registry does not answer")
            time.sleep(0.1)

    def _inside(self, command):
        enter = ["nsenter", f"--net=/proc/{self.engine.daemon.pid}/ns/net", *command]
        null = subprocess.DEVNULL
        return subprocess.Popen(enter, stdin=null, stdout=null, stderr=null, start_new_session=True)

    def fill(self, layout, name):
        command = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:large",
                   f"docker://127.0.0.1:{PORT}/{name}"]
        if self._inside(command).wait() != 0:
            raise RuntimeError(f"skopeo cannot push {name}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def _untar(layers, folder):
    """All layers at once, each into its own folder, as one command per layer would."""
    running = []
    for number, layer in enumerate(layers):
        into = folder / str(number)
        into.mkdir(parents=True)
        running.append(subprocess.Popen(["tar", "-xf", str(layer), "-C", str(into)]))
    if any([process.wait() != 0 for process in running]):
        raise RuntimeError("tar failed")


class Figure:
    """One way an image comes in: how a variant is made ready, and how an engine takes it."""

    def __init__(self, what, kind, ready, bring):
        self.what, self.kind, self.ready, self.bring = what, kind, ready, bring


def _pull(registry, kind):
    name = "127.0.0.1:%d/large:%s-%d"

    def ready(image, number):
        registry.fill(image.layout(kind), f"large:{kind}-{number}")

    def bring(engine, number):
        engine.docker("pull", "-q", name % (PORT, kind, number))

    return Figure(f"pull, layers in {kind}", kind, ready, bring)


def _load():
    archives = {}

    def ready(image, number):
        archives[number] = image.saved(f"large:{number}")

    def bring(engine, number):
        engine.docker("load", "-qi", str(archives[number]))

    return Figure("load of docker save's form", "plain", ready, bring)


def _compare(engines, rounds, folder, layers, figure, first):
    """Seconds of each engine and of tar, by turns; an engine that cannot (an old dockerd and zstd) has none.

    Each round brings layers that nobody has, and nothing is removed before the last: ext4 looks through every inode
    deleted within the last minute before it makes a file.
    """
    samples = {engine.name: [] for engine in engines} | {TAR: []}
    able = list(engines)
    scratch = Path(folder) / "untarred"
    for number in range(first, first + rounds + 1):
        image = layers.variant(number)
        figure.ready(image, number)
        for who in [*able, None] if number % 2 else [None, *able[::-1]]:
            os.sync()
            begin = time.perf_counter()
            try:
                figure.bring(who, number) if who else _untar(image.files[figure.kind], scratch / str(number))
            except subprocess.CalledProcessError as error:
                print(f"({who.name}: {error.stderr.decode(errors='replace').strip()[:150]})")
                able.remove(who)
                continue
            if number > first:  # the first one pays for caches
                samples[who.name if who else TAR].append(time.perf_counter() - begin)
    shutil.rmtree(scratch)
    for number in range(first, first + rounds + 1):
        shutil.rmtree(layers.folder / f"variant-{number}")
    for engine in engines:
        engine.docker("image", "prune", "-af")
    return samples


def images(engines, rounds, folder, kinds):
    layers = Layers(Path(folder) / "large")
    print(f"({layers.text})")
    registries = []
    try:
        for engine in engines:
            registries.append(Registry(engine, Path(folder) / "registry"))
        for turn, kind in enumerate(kinds):
            if turn:
                time.sleep(FORGETTING)
            figure = _load() if kind == "load" else _pull(registries[0], kind)
            samples = _compare(engines, rounds, folder, layers, figure, turn * (rounds + 1))
            yield figure.what, "s", "low", samples
    finally:
        for registry in registries:
            registry.stop()
