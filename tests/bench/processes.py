"""Processes and their memory, from /proc."""

import os
from pathlib import Path


def _table():
    """Pid to parent and command line, of all processes."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
            line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        state, parent = stat.rsplit(")", 1)[1].split()[:2]
        if state != "Z":
            table[int(entry)] = (int(parent), line)
    return table


def family(daemon, root, without=()):
    """Pids of what names `root` in its command line or descends from `daemon`, less `without` and their descendants."""
    table = _table()

    def below(pid, roots):
        while pid in table:
            if pid in roots:
                return True
            pid = table[pid][0]
        return False

    found = [p for p, (_, line) in table.items() if root in line or (daemon and below(p, {daemon}))]
    return sorted(p for p in found if p != os.getpid() and not below(p, set(without)))


def memory(pid):
    """PSS and private memory of a process, bytes; zeros when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:]}
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def name(pid):
    """A process's short name."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
