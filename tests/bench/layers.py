"""A large image of realistic content, made of this machine's own /usr: as layers, as an OCI layout, as `docker save`."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

# Bytes of content, where it is taken from, and where more is taken from if that is not enough: shared libraries, many
# small files, a language's modules, headers, few large programs, a little configuration.
PLAN = [
    (110e6, ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]),
    (60e6, ["/usr/share"]),
    (45e6, ["/usr/lib/python3.11", "/usr/lib/python3", "/usr/lib/perl"]),
    (35e6, ["/usr/include", "/usr/lib/gcc", "/usr/libexec"]),
    (45e6, ["/usr/bin", "/usr/sbin"]),
    (5e6, ["/etc", "/var/lib/dpkg"]),
]
SPARE = ["/usr/lib", "/usr/local", "/usr/share", "/usr/libexec"]


def _files(folders):
    for folder in folders:
        for path, inner, names in os.walk(folder):
            inner.sort()
            yield from (os.path.join(path, name) for name in sorted(names))


def _plain(member):
    """As Docker's own layers: whole seconds."""
    member.mtime = int(member.mtime)
    return member


def _write(archive, budget, folders, taken):
    """One layer; answers how many files and bytes it has."""
    made, count, size = set(), 0, 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(folders + SPARE):
            if size >= budget:
                break
            known = os.lstat(path)
            if path in taken or not (os.path.isfile(path) or os.path.islink(path)) or known.st_size > budget / 2:
                continue
            taken.add(path)
            for parent in reversed(Path(path).parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    tar.add(parent, recursive=False, filter=_plain)
            tar.add(path, recursive=False, filter=_plain)
            count, size = count + 1, size + known.st_size
    return count, size


def _digest(data):
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with open(data, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _marker(number):
    """A member that makes a layer another one, as the beginning of a tar stream."""
    member, content = tarfile.TarInfo(f".variant-{number}"), str(number).encode()
    member.size = len(content)
    return member.tobuf() + content.ljust(512, b"\0")


PACKERS = {"gzip": ["gzip", "-nc"], "zstd": ["zstd", "-qc"]}


class Layers:
    """What all variants have in common, packed once: compressors at their defaults, as Docker pushes layers."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        taken, files, size = set(), 0, 0
        self.files = {"plain": []}
        for number, (budget, folders) in enumerate(PLAN):
            archive = self.folder / f"{number}.tar"
            count, bytes_ = _write(archive, budget, folders, taken)
            self.files["plain"].append(archive)
            files, size = files + count, size + bytes_
        self.text = f"{len(PLAN)} layers, {files} files, {size / 1e6:.0f} MB"
        for kind, packer in PACKERS.items():
            self.files[kind] = [Path(f"{layer}.{kind}") for layer in self.files["plain"]]
            for plain, packed in zip(self.files["plain"], self.files[kind]):
                with open(packed, "wb") as to:
                    subprocess.run([*packer, str(plain)], check=True, stdout=to)

    def variant(self, number):
        return Image(self, self.folder / f"variant-{number}", _marker(number))


class Image:
    """One variant: the same layers, each with a small file before all others, so that no engine knows any of them."""

    def __init__(self, layers, folder, marker):
        self.folder = folder
        folder.mkdir()
        self.files = {}
        for kind, sources in layers.files.items():
            packer = PACKERS.get(kind)
            # Compressed streams may follow one another.
            head = subprocess.run(packer, check=True, input=marker, capture_output=True).stdout if packer else marker
            self.files[kind] = [folder / source.name for source in sources]
            for source, target in zip(sources, self.files[kind]):
                with open(target, "wb") as to, open(source, "rb") as rest:
                    to.write(head)
                    shutil.copyfileobj(rest, to, 1 << 20)
        ids = [f"sha256:{_digest(layer)}" for layer in self.files["plain"]]
        self.config = json.dumps({
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
            "config": {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": ids},
        }).encode()

    def layout(self, kind):
        """An OCI layout of it, for skopeo."""
        folder = self.folder / f"layout-{kind}"
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)

        def described(data, media):
            digest = _digest(data)
            if isinstance(data, bytes):
                (blobs / digest).write_bytes(data)
                size = len(data)
            else:
                os.link(data, blobs / digest)
                size = data.stat().st_size
            return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": size}

        layers = [described(layer, f"layer.v1.tar+{kind}") for layer in self.files[kind]]
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": described(self.config, "config.v1+json"), "layers": layers}
        entry = described(json.dumps(manifest).encode(), "manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": "large"}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return folder

    def saved(self, name):
        """What `docker save` writes of it: blobs first, then the manifest that tells what they are."""
        archive = self.folder / "saved.tar"
        with tarfile.open(archive, "w") as tar:

            def add(path, data):
                member = tarfile.TarInfo(path)
                if isinstance(data, bytes):
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                else:
                    member.size = data.stat().st_size
                    with open(data, "rb") as file:
                        tar.addfile(member, file)
                return path

            layers = [add(f"blobs/sha256/{_digest(layer)}", layer) for layer in self.files["plain"]]
            config = add(f"blobs/sha256/{_digest(self.config)}", self.config)
            item = {"Config": config, "RepoTags": [name], "Layers": layers}
            add("manifest.json", json.dumps([item]).encode())
        return archive
