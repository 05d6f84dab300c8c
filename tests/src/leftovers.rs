//! What a test left behind, and taking it away.

use crate::place::Place;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Where tests have their folders. Short, because sockets' paths hold 108 bytes.
pub static PLACES: LazyLock<PathBuf> = LazyLock::new(|| PathBuf::from("/tmp"));

/// Everything that a daemon left in a place after its containers were removed and it was stopped, one line each.
pub fn leftovers(place: &Place) -> Vec<String> {
    // Ends that are on their way (a shim after its container's removal) get a moment. So does a program that is just
    // being started: until it has replaced the one that starts it, its command line names the place.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        while !processes(place.root()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let found = found(place);
        if !found.iter().any(|line| line.starts_with("process ")) || Instant::now() >= deadline {
            return found;
        }
    }
}

/// The same at this moment, while the daemon may be running.
pub(crate) fn found(place: &Place) -> Vec<String> {
    let root = place.root();
    let mut found: Vec<String> =
        processes(root).into_iter().map(|pid| format!("process {pid}: {}", command_line(pid))).collect();
    found.extend(
        mounts(root).into_iter().filter(|m| !is_namespace(root, m)).map(|m| format!("mount {}", m.display())),
    );
    for group in cgroups(root).into_iter().filter(|g| g.file_name() != root.file_name()) {
        found.push(format!("cgroup {}", group.display()));
    }
    let known = place.own_links();
    let links = place.run("ip", ["-br", "link"]).stdout;
    for link in links.lines().filter_map(|l| l.split_whitespace().next()) {
        let name = link.split('@').next().unwrap_or(link);
        if name != "lo" && name != "gantry0" && !known.iter().any(|k| k == name) {
            found.push(format!("link {link}"));
        }
    }
    let rules = place.run("nft", ["list", "ruleset"]).stdout;
    let entries = rules.lines().filter(|l| l.contains("elements = ") && !l.contains("\"gantry0\""));
    found.extend(entries.map(|l| format!("nft {}", l.trim())));
    for folder in ["data/containers", "run", "data/overlay"] {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let kept = entry.path().is_dir() && is_empty(&entry.path());
            if !kept {
                found.push(format!("file {}", entry.path().display()));
            }
        }
    }
    found.extend(volumes(root));
    found
}

/// Volumes that nobody named, and those half made, half filled or half removed. Named ones are their users' business.
fn volumes(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("data/volumes")).into_iter().flatten().flatten();
    let left = entries.map(|e| e.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unnamed = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        unnamed || name.starts_with('.') || ["pending", "filling"].iter().any(|mark| path.join(mark).exists())
    });
    left.map(|path| format!("volume {}", path.display())).collect()
}

/// Takes away the folders of test processes that were killed before they could do it themselves: before this one has any,
/// those under its own number are of an earlier one, too.
pub(crate) fn sweep() {
    for entry in std::fs::read_dir(&*PLACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix("gt")
            .and_then(|n| n.split_once('.'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        let gone = |pid: u32| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(gone) {
            wipe(&entry.path());
        }
    }
}

/// Kills, unmounts and deletes everything of the place with this folder.
pub(crate) fn wipe(root: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let pids = processes(root);
        if pids.is_empty() || Instant::now() > deadline {
            break;
        }
        for pid in pids {
            // It may be gone already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // On cgroup v1 the processes of a paused container die only once they go on.
        for state in cgroups(root).iter().map(|g| g.join("freezer.state")).filter(|state| state.exists()) {
            let _ = std::fs::write(state, "THAWED");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for mount in mounts(root).iter().rev() {
        if let Err(error) = umount2(mount, MntFlags::MNT_DETACH) {
            eprintln!("unmounting {}: {error}", mount.display());
        }
    }
    for group in cgroups(root).iter().rev() {
        if let Err(error) = std::fs::remove_dir(group) {
            eprintln!("removing cgroup {}: {error}", group.display());
        }
    }
    if let Err(error) = std::fs::remove_dir_all(root) {
        eprintln!("removing {}: {error}", root.display());
    }
}

/// Processes that name the folder in their command line, or are in the place's cgroups.
fn processes(root: &Path) -> Vec<i32> {
    let mut pids: Vec<i32> = cgroups(root)
        .iter()
        .filter_map(|g| std::fs::read_to_string(g.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|l| l.parse().ok()).collect::<Vec<_>>())
        .collect();
    let needle = format!("{}/", root.display());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        if command_line(pid).contains(&needle) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|pid| *pid != std::process::id() as i32 && alive(*pid));
    pids
}

/// A zombie holds nothing and waits only for its parent.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Mount points under the folder, parents first.
fn mounts(root: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|l| l.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|p| p.starts_with(root)).collect()
}

/// Namespaces of the harness itself are files directly in the folder.
fn is_namespace(root: &Path, mount: &Path) -> bool {
    mount.parent() == Some(root) && mount.is_file()
}

/// The place's cgroups in every hierarchy, parents first.
fn cgroups(root: &Path) -> Vec<PathBuf> {
    let Some(name) = root.file_name() else { return Vec::new() };
    let mut found = Vec::new();
    let mut tops = vec![PathBuf::from("/sys/fs/cgroup")];
    tops.extend(std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path()));
    for top in tops {
        let mut folders = vec![top.join(name)];
        while let Some(folder) = folders.pop().filter(|f| f.is_dir()) {
            let inner = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(inner.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            found.push(folder);
        }
    }
    found
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
