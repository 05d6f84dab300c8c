//! The container's file system tree, made inside its own mount namespace. Every path inside the root is resolved with
//! openat2(RESOLVE_IN_ROOT) and used through its descriptor, so that a link in an image can never lead a mount
//! outside (CVE-2019-14271, CVE-2021-30465, CVE-2025-31133).

use crate::config::{Config, Device, Mount, Overlay};
use crate::error::{LaunchError, Step};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use rustix::fs::{AtFlags, Mode as RMode, OFlags, ResolveFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Device nodes every container has: name, major, minor.
const NODES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links in /dev: name, target.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Folder,
    File,
}

fn fd_path(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn nothing() -> Option<&'static str> {
    None
}

/// Mounts everything and makes the new root `/`. Returns the tty's master and slave when one is wanted.
pub fn prepare(config: &Config) -> Result<(), LaunchError> {
    mount(nothing(), "/", nothing(), MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing())
        .step("make mounts private")?;
    let root_path = mount_root(config)?;
    let root = open_root(&root_path)?;
    for entry in &config.mounts {
        mount_entry(&root, entry)?;
    }
    let nodes: Vec<Device> = NODES
        .iter()
        .map(|(name, major, minor)| Device {
            path: format!("/dev/{name}"),
            kind: "c".into(),
            major: *major,
            minor: *minor,
            file_mode: 0o666,
        })
        .collect();
    for device in nodes.iter().chain(&config.linux.devices) {
        make_device(&root, device)?;
    }
    let dev = resolve(&root, "/dev", OFlags::PATH | OFlags::DIRECTORY)?;
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            other => other,
        }
        .step(format!("link /dev/{name}"))?;
    }
    pivot(&root)
}

/// What remains to be done once `/proc` is the container's own: kernel parameters, then hiding.
pub fn conceal(config: &Config) -> Result<(), LaunchError> {
    for (key, value) in &config.linux.sysctl {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        std::fs::write(&path, value).step(format!("set sysctl {key}"))?;
    }
    let root = open_root("/")?;
    for path in &config.linux.readonly_paths {
        let Ok(target) = resolve(&root, path, OFlags::PATH) else { continue };
        let at = fd_path(&target);
        mount(Some(at.as_str()), at.as_str(), nothing(), MsFlags::MS_BIND | MsFlags::MS_REC, nothing())
            .step(format!("bind {path}"))?;
        // The descriptor names what was there before; the new mount on top must be opened anew.
        let bound = resolve(&root, path, OFlags::PATH)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        remount(&bound, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags, path)?;
    }
    let null = resolve(&root, "/dev/null", OFlags::PATH)?;
    let stat = rustix::fs::fstat(&null).step("look at /dev/null")?;
    if stat.st_rdev != makedev(1, 3)
        || SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFCHR
    {
        return Err(LaunchError::new("mask paths", "/dev/null is not the null device"));
    }
    for path in &config.linux.masked_paths {
        let Ok(target) = resolve(&root, path, OFlags::PATH) else { continue };
        let kind = rustix::fs::fstat(&target).step(format!("look at {path}"))?.st_mode;
        let at = fd_path(&target);
        if SFlag::from_bits_truncate(kind) & SFlag::S_IFMT == SFlag::S_IFDIR {
            mount(Some("tmpfs"), at.as_str(), Some("tmpfs"), MsFlags::MS_RDONLY, Some("size=0k"))
        } else {
            mount(Some(fd_path(&null).as_str()), at.as_str(), nothing(), MsFlags::MS_BIND, nothing())
        }
        .step(format!("mask {path}"))?;
    }
    if config.root.readonly {
        remount(&root, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, "/")?;
    }
    Ok(())
}

/// Makes the terminal the container's console.
pub fn bind_console(slave: &OwnedFd) -> Result<(), LaunchError> {
    let root = open_root("/")?;
    let console = ensure(&root, "/dev/console", Shape::File)?;
    mount(Some(fd_path(slave).as_str()), fd_path(&console).as_str(), nothing(), MsFlags::MS_BIND, nothing())
        .step("bind /dev/console")
}

fn mount_root(config: &Config) -> Result<String, LaunchError> {
    let Some(text) = config.annotations.get("gantry.overlay") else {
        let path = config.root.path.as_str();
        mount(Some(path), path, nothing(), MsFlags::MS_BIND | MsFlags::MS_REC, nothing())
            .step(format!("bind root {path}"))?;
        return Ok(path.to_owned());
    };
    let overlay: Overlay =
        serde_json::from_str(text).map_err(|e| LaunchError::new("read the overlay annotation", e))?;
    let options =
        format!("lowerdir={},upperdir={},workdir={}", overlay.lower.join(":"), overlay.upper, overlay.work);
    mount(
        Some("overlay"),
        overlay.target.as_str(),
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .step(format!("mount overlay at {}", overlay.target))?;
    Ok(overlay.target)
}

fn open_root(path: &str) -> Result<OwnedFd, LaunchError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, RMode::empty())
        .step(format!("open root {path}"))
}

fn resolve(root: &impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, LaunchError> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, RMode::empty(), how).step(format!("open {path}"))
}

/// The mount point's descriptor, made with its parents when missing.
fn ensure(root: &OwnedFd, path: &str, shape: Shape) -> Result<OwnedFd, LaunchError> {
    if let Ok(found) = resolve(root, path, OFlags::PATH) {
        return Ok(found);
    }
    let relative: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let mut so_far = String::new();
    let mut parent = resolve(root, "/", OFlags::PATH | OFlags::DIRECTORY)?;
    for (index, name) in relative.iter().enumerate() {
        if *name == ".." {
            return Err(LaunchError::new(format!("make mount point {path}"), "path goes upwards"));
        }
        so_far.push('/');
        so_far.push_str(name);
        let last = index + 1 == relative.len();
        if resolve(root, &so_far, OFlags::PATH).is_err() {
            let made = if last && shape == Shape::File {
                mknodat(&parent, *name, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0)
            } else {
                nix::sys::stat::mkdirat(&parent, *name, Mode::from_bits_truncate(0o755))
            };
            match made {
                Err(nix::errno::Errno::EEXIST) | Ok(()) => {}
                Err(e) => return Err(e).step(format!("make mount point {so_far}")),
            }
        }
        parent = resolve(root, &so_far, OFlags::PATH)?;
    }
    Ok(parent)
}

fn mount_entry(root: &OwnedFd, entry: &Mount) -> Result<(), LaunchError> {
    let step = || format!("mount {} at {}", entry.kind, entry.destination);
    let (flags, data) = split_options(&entry.options);
    match entry.kind.as_str() {
        "bind" => {
            let source = Path::new(&entry.source);
            let is_dir =
                std::fs::metadata(source).step(format!("look at bind source {}", entry.source))?.is_dir();
            let shape = if is_dir { Shape::Folder } else { Shape::File };
            let target = ensure(root, &entry.destination, shape)?;
            let at = fd_path(&target);
            mount(Some(source), at.as_str(), nothing(), MsFlags::MS_BIND | MsFlags::MS_REC, nothing())
                .step(step())?;
            let bound = resolve(root, &entry.destination, OFlags::PATH)?;
            mount(
                nothing(),
                fd_path(&bound).as_str(),
                nothing(),
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                nothing(),
            )
            .step(step())?;
            if flags.contains(MsFlags::MS_RDONLY) {
                remount(
                    &bound,
                    MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
                    &entry.destination,
                )?;
            }
            Ok(())
        }
        "cgroup" => mount_cgroups(root, &entry.destination, flags),
        kind => {
            let target = ensure(root, &entry.destination, Shape::Folder)?;
            let data = (!data.is_empty()).then_some(data.as_str());
            mount(Some(entry.source.as_str()), fd_path(&target).as_str(), Some(kind), flags, data)
                .step(step())
        }
    }
}

/// The container's own view of the cgroup hierarchies: one cgroup2 mount, or a tmpfs with one mount a v1 hierarchy.
fn mount_cgroups(root: &OwnedFd, at: &str, flags: MsFlags) -> Result<(), LaunchError> {
    let mount_one = |path: &str, kind: &str, flags: MsFlags, data: Option<&str>| {
        let target = ensure(root, path, Shape::Folder)?;
        mount(Some(kind), fd_path(&target).as_str(), Some(kind), flags, data)
            .step(format!("mount {kind} at {path}"))
    };
    let Some(hierarchies) = crate::cgroup::hierarchies() else {
        return mount_one(at, "cgroup2", flags, None);
    };
    mount_one(at, "tmpfs", flags & !MsFlags::MS_RDONLY, Some("mode=755"))?;
    for hierarchy in &hierarchies {
        mount_one(&format!("{at}/{}", hierarchy.folder), "cgroup", flags, Some(&hierarchy.controllers))?;
    }
    if flags.contains(MsFlags::MS_RDONLY) {
        let target = resolve(root, at, OFlags::PATH)?;
        remount(&target, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, at)?;
    }
    Ok(())
}

/// Adds flags to an existing mount, keeping those that a user namespace or the source has locked.
fn remount(target: &OwnedFd, flags: MsFlags, path: &str) -> Result<(), LaunchError> {
    let at = fd_path(target);
    let held = rustix::fs::fstatvfs(target).map(|s| s.f_flag.bits()).unwrap_or(0);
    let keep =
        MsFlags::from_bits_truncate(held) & (MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC);
    mount(nothing(), at.as_str(), nothing(), flags | keep, nothing())
        .step(format!("remount {path} read-only"))
}

fn split_options(options: &[String]) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data: Vec<&str> = Vec::new();
    for option in options {
        match option.as_str() {
            "ro" => flags |= MsFlags::MS_RDONLY,
            "rw" => flags &= !MsFlags::MS_RDONLY,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "suid" => flags &= !MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "dev" => flags &= !MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "exec" => flags &= !MsFlags::MS_NOEXEC,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            "relatime" => flags |= MsFlags::MS_RELATIME,
            "strictatime" => flags |= MsFlags::MS_STRICTATIME,
            "bind" | "rbind" | "private" | "rprivate" => {}
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

fn make_device(root: &OwnedFd, device: &Device) -> Result<(), LaunchError> {
    let step = || format!("make device {}", device.path);
    let (folder, name) = device.path.rsplit_once('/').unwrap_or(("/", &device.path));
    let parent = ensure(root, folder, Shape::Folder)?;
    let kind = if device.kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    let mode = Mode::from_bits_truncate(device.file_mode);
    match mknodat(&parent, name, kind, mode, makedev(device.major, device.minor)) {
        Err(nix::errno::Errno::EEXIST) => return Ok(()),
        other => other.step(step())?,
    }
    // The umask must not narrow what was asked for.
    rustix::fs::chmodat(&parent, name, RMode::from_bits_truncate(device.file_mode), AtFlags::empty())
        .step(step())
}

/// Makes `root` the root of this mount namespace and lets go of the old one.
fn pivot(root: &OwnedFd) -> Result<(), LaunchError> {
    nix::unistd::fchdir(root).step("enter the new root")?;
    nix::unistd::pivot_root(".", ".").step("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).step("let go of the old root")?;
    nix::unistd::chdir("/").step("enter /")
}
