"""Pulling and loading a large image, beside dockerd and beside `tar -x` of the same layers at once."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from layers import Image

TAR = "tar -x"
# The registry of each engine is on loopback in that engine's network namespace; they serve one folder.
PORT = 5000


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


def _cold(engine, name):
    """Takes the image away, and waits until the disk has nothing to do on anybody's account."""
    subprocess.run(["docker", "-H", f"unix://{engine.socket}", "rmi", "-f", name], capture_output=True)
    engine.docker("image", "prune", "-f")
    os.sync()


def _untar(layers, folder):
    """All layers at once, each into its own folder, as one command per layer would."""
    running = []
    for number, layer in enumerate(layers):
        into = folder / str(number)
        into.mkdir(parents=True)
        running.append(subprocess.Popen(["tar", "-xf", str(layer), "-C", str(into)]))
    if any([process.wait() != 0 for process in running]):
        raise RuntimeError("tar failed")


def _compare(engines, rounds, folder, layers, name, bring):
    """Seconds of `bring(engine)` and of tar, by turns; an engine that cannot (an old dockerd and zstd) has none."""
    samples = {engine.name: [] for engine in engines} | {TAR: []}
    able = list(engines)
    scratch = Path(folder) / "untarred"
    for number in range(rounds + 1):
        for who in [*able, None] if number % 2 else [None, *able[::-1]]:
            if who:
                _cold(who, name)
            begin = time.perf_counter()
            try:
                bring(who) if who else _untar(layers, scratch)
            except subprocess.CalledProcessError as error:
                print(f"({who.name}: {error.stderr.decode(errors='replace').strip()[:150]})")
                able.remove(who)
                continue
            took = time.perf_counter() - begin
            if who:
                _cold(who, name)
            else:
                shutil.rmtree(scratch)
                os.sync()
            if number:  # the first one pays for caches
                samples[who.name if who else TAR].append(took)
    return samples


def images(engines, rounds, folder, only=("gzip", "zstd", "load")):
    image = Image(Path(folder) / "large")
    print(f"({image.text})")
    registries = []
    try:
        for engine in engines:
            registries.append(Registry(engine, Path(folder) / "registry"))
        for kind in [k for k in only if k != "load"]:
            name = f"127.0.0.1:{PORT}/large:{kind}"
            registries[0].fill(image.layout(kind), f"large:{kind}")
            samples = _compare(engines, rounds, folder, image.packed(kind), name, lambda e: e.docker("pull", "-q", name))
            yield f"pull, layers in {kind}", "s", "low", samples
    finally:
        for registry in registries:
            registry.stop()
    if "load" in only:
        name, archive = "large:saved", image.saved("large:saved")
        load = lambda engine: engine.docker("load", "-qi", str(archive))
        yield "load of docker save's form", "s", "low", _compare(engines, rounds, folder, image.plain, name, load)
