"""Starts the engines side by side, each in network and mount namespaces of its own, and takes them down without a trace."""

import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

from api import Api
import processes

# In a network namespace of its own a daemon needs a /sys that shows it, over which the control groups are mounted again.
# Its own control group counts the CPU time of its shims and other helpers, also of those that have ended.
ENTER = """
set -e
echo $$ > "$2"
mount --make-rprivate /
mkdir -p "$1"; mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys; mount --rbind "$1" /sys/fs/cgroup; umount -l "$1"; rmdir "$1"
ip link set lo up
shift 2; exec "$@"
"""


class Engine:
    name = ""
    image = "bench:latest"

    def __init__(self, root):
        self.root = Path(root) / self.name
        self.socket = self.root / "api.sock"
        self.log = self.root / "daemon.log"
        self.group = f"bench-{self.name}-{os.getpid()}"
        self.daemon = None
        self.api = Api(str(self.socket))

    def command(self):
        raise NotImplementedError

    def start(self):
        self.root.mkdir(parents=True, exist_ok=True)
        own = self.own_group()
        own.mkdir(exist_ok=True)
        enter = ["unshare", "--net", "--mount", "sh", "-c", ENTER, "sh", str(self.root / "cgroup"), str(own / "cgroup.procs")]
        # What a stray SIGINT at the terminal kills must be taken down in order: the daemon gets a session of its own.
        with open(self.log, "wb") as log:
            self.daemon = subprocess.Popen(
                enter + self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 60
        while not self.api.ready():
            if self.daemon.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.name} did not start:\n" + self.log.read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def docker(self, *arguments):
        """The docker command line against this engine; gives what it wrote."""
        command = ["docker", "-H", f"unix://{self.socket}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout

    def own_group(self):
        """The control group of its own processes, where CPU time is counted."""
        top = Path("/sys/fs/cgroup")
        return (top / "cpuacct" if (top / "cpuacct").is_dir() else top) / f"{self.group}-engine"

    def cpu(self):
        """CPU seconds of its own processes so far, without those of containers."""
        own = self.own_group()
        if (own / "cpuacct.usage").exists():
            return int((own / "cpuacct.usage").read_text()) / 1e9
        return int((own / "cpu.stat").read_text().split()[1]) / 1e6

    def version(self):
        return self.api.call("GET", "/version")["Version"]

    def processes(self):
        """Its own processes: everything that names its root or descends from its daemon, but no container's."""
        containers = {self.api.inspect(c["Id"])["State"]["Pid"] for c in self.api.call("GET", "/containers/json")}
        return processes.family(self.daemon.pid, str(self.root), without=containers)

    def stop(self):
        if self.daemon is None:
            return
        try:
            for container in self.api.call("GET", "/containers/json?all=1"):
                self.api.remove(container["Id"])
        except (OSError, RuntimeError) as error:
            print(f"{self.name}: removing containers: {error}")
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        left = processes.family(None, str(self.root))
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        if left:
            print(f"{self.name}: killed what was left: {left}")
        for hierarchy in self.hierarchies():
            folders = [folder for folder, _, _ in os.walk(hierarchy, topdown=False)]
            for folder in folders:
                try:
                    os.rmdir(folder)
                except OSError as error:
                    print(f"{self.name}: {folder}: {error}")
        shutil.rmtree(self.root, ignore_errors=True)

    def end(self):
        """Ends the daemon alone, to be started again."""
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(30)
        self.api.connection.close()

    def hierarchies(self):
        """Its group in each hierarchy; no walk through all groups, where those of others come and go."""
        top = Path("/sys/fs/cgroup")
        groups = (top / self.group, *(one / self.group for one in top.iterdir()), self.own_group())
        return [path for path in groups if path.is_dir()]

    def left(self):
        """What is still there after the end, as texts."""
        found = [f"process {pid}" for pid in processes.family(None, str(self.root))]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        found += [f"mount {line.split()[1]}" for line in mounts if str(self.root) in line]
        found += [f"cgroup {path}" for path in self.hierarchies()]
        if self.root.exists():
            found.append(f"files in {self.root}")
        return found


class Gantry(Engine):
    name = "gantry"

    def __init__(self, root, binaries):
        super().__init__(root)
        self.binaries = Path(binaries)

    def command(self):
        return [
            str(self.binaries / "gantryd"), "-H", f"unix://{self.socket}", "--data-root", str(self.root / "data"),
            "--exec-root", str(self.root / "run"), "--pidfile", str(self.root / "pid"), "--bridge", "bench0",
            "--bip", "10.231.1.1/24", "--cgroup-parent", f"/{self.group}",
        ]


class Docker(Engine):
    name = "dockerd"

    def command(self):
        return [
            shutil.which("dockerd") or "dockerd", "-H", f"unix://{self.socket}", "--data-root", str(self.root / "data"),
            "--exec-root", str(self.root / "run"), "--pidfile", str(self.root / "pid"), "--bip", "10.231.2.1/24",
            "--cgroup-parent", f"/{self.group}", "--config-file", str(self.root / "daemon.json"),
        ]

    def start(self):
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "daemon.json").write_text("{}")
        super().start()


def make_image(folder):
    """A root file system with busybox alone, as a tar archive."""
    busybox = shutil.which("busybox")
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    archive = Path(folder) / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return archive
