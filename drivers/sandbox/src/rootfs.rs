//! The container's file system tree, made inside its own mount namespace and finished before the container can run or
//! see any of it.

mod detached;
pub mod dev;
mod foreign;
mod hide;
mod options;
mod overlay;
mod tree;
pub mod view;

pub use detached::{Reach, attach, change};
pub use foreign::{is_theirs, shared_memory};
pub use overlay::mount_root;
pub use tree::lies_on;

use crate::config::{Config, Mount};
use crate::error::{LaunchError, Step};
use detached::Propagation;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::SFlag;
use options::Options;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags as Flags;
use std::os::fd::OwnedFd;
use tree::Shape;

/// Files of /proc that a bind may cover (runc's list); anything else there would let a volume pose as the kernel.
const COVERABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];
/// Where one of our own file systems went, while it is needed.
#[derive(Default)]
struct Own {
    proc: Option<OwnedFd>,
    dev: Option<OwnedFd>,
}

/// Mounts everything and makes the new root `/`. `grouped` returns once this process is in its control groups, which
/// is first needed for their mounts. Answers our handle of /dev, unless the user brought one along.
pub fn prepare(
    config: &Config,
    grouped: impl FnOnce() -> Result<(), LaunchError>,
) -> Result<Option<OwnedFd>, LaunchError> {
    hide::check_sysctls(&config.linux)?;
    // Sources are taken before the host's mounts are let go of, while they still belong to the host's groups of peers.
    let mut sources = Vec::new();
    for entry in config.mounts.iter().filter(|m| m.kind == "bind") {
        sources.push(source(config, entry)?);
    }
    let mut sources = sources.into_iter();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .step("make mounts private")?;
    let root_path = overlay::mount_root(config)?;
    let root = tree::open(&root_path)?;
    let mut grouped = Some(grouped);
    let mut own = Own::default();
    for entry in &config.mounts {
        match entry.kind.as_str() {
            "bind" => {
                let source =
                    sources.next().ok_or_else(|| LaunchError::new("bind", "its source is missing"))?;
                bind(&root, entry, source)?;
                if entry.destination == "/dev" {
                    own.dev = None;
                }
            }
            "cgroup" => {
                if let Some(grouped) = grouped.take() {
                    grouped()?;
                }
                mount_cgroups(&root, &entry.destination, Options::parse(&entry.options).flags, config)?;
            }
            _ => mount_kernel(&root, entry, &mut own)?,
        }
    }
    if let Some(grouped) = grouped.take() {
        grouped()?;
    }
    for device in &config.linux.devices {
        // A /dev of the user's is a folder of the host's: no node is ever made there.
        if own.dev.is_some() || !device.path.starts_with("/dev/") {
            dev::add(&root, device)?;
        }
    }
    if let Some(proc) = &own.proc {
        hide::set_sysctls(proc, &config.linux.sysctl)?;
    }
    let null = match &own.dev {
        Some(dev) => tree::within(dev, "null", OFlags::PATH).step("open /dev/null")?,
        None => tree::resolve(&root, "/dev/null")?,
    };
    hide::hide(config, &root, own.proc.as_ref(), &dev::null(null)?)?;
    if config.root.readonly {
        detached::change(&root, Reach::One, Flags::MOUNT_ATTR_RDONLY, None)?;
    }
    pivot(&root)?;
    Ok(own.dev)
}

/// A bind's source: a copy of what is mounted there, and what it is.
fn source(config: &Config, entry: &Mount) -> Result<(OwnedFd, Shape), LaunchError> {
    if let Some(pid) = config.annotations.get("gantry.shm").filter(|pid| foreign::is_theirs(pid, entry)) {
        return Ok((foreign::shared_memory(pid)?, Shape::Folder));
    }
    let step = || format!("bind source path {}", entry.source);
    let file = match entry.beneath.as_str() {
        "" => rustix::fs::open(entry.source.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .step(step())?,
        base => tree::beneath(base, &entry.source)?,
    };
    let shape = if tree::kind_of(&file)? == SFlag::S_IFDIR { Shape::Folder } else { Shape::File };
    let reach = if entry.options.iter().any(|o| o == "bind") { Reach::One } else { Reach::Tree };
    let copy = detached::copy(&file, reach).map_err(|e| LaunchError::new(step(), e.cause))?;
    Ok((copy, shape))
}

fn bind(root: &OwnedFd, entry: &Mount, (copy, shape): (OwnedFd, Shape)) -> Result<(), LaunchError> {
    let options = Options::parse(&entry.options);
    let target = tree::ensure(root, &entry.destination, shape)?;
    refuse_proc(&target, &entry.destination)?;
    let named =
        |e: LaunchError| LaunchError::new(format!("bind {} at {}", entry.source, entry.destination), e.cause);
    if options.reach == Reach::Tree {
        detached::change(&copy, Reach::Tree, options.tree_flags, Some(options.propagation)).map_err(named)?;
    } else {
        detached::change(&copy, Reach::Tree, options.tree_flags, None).map_err(named)?;
        detached::change(&copy, Reach::One, Flags::empty(), Some(options.propagation)).map_err(named)?;
    }
    if !options.flags.is_empty() {
        detached::change(&copy, Reach::One, options.flags, None).map_err(named)?;
    }
    detached::attach(&copy, &target).map_err(named)
}

/// A user's mount that a link leads into /proc would stand between us (and the container) and the kernel.
fn refuse_proc(target: &OwnedFd, destination: &str) -> Result<(), LaunchError> {
    if tree::lies_on(target, libc::PROC_SUPER_MAGIC)? && !COVERABLE.contains(&destination) {
        let step = format!("\"{destination}\" cannot be mounted");
        return Err(LaunchError::new(step, "it is inside /proc"));
    }
    Ok(())
}

/// One of the kernel's own file systems, or a tmpfs.
fn mount_kernel(root: &OwnedFd, entry: &Mount, own: &mut Own) -> Result<(), LaunchError> {
    let options = Options::parse(&entry.options);
    let mut data = options.data;
    let target = match tree::resolve(root, &entry.destination) {
        Ok(found) if entry.kind == "tmpfs" => {
            // A folder of the image keeps its mode under a tmpfs, as in Docker.
            let mode = rustix::fs::fstat(&found).step("look at a mount point")?.st_mode & 0o7777;
            data = format!("mode={mode:o},{data}");
            found
        }
        Ok(found) => found,
        Err(_) => tree::ensure(root, &entry.destination, Shape::Folder)?,
    };
    refuse_proc(&target, &entry.destination)?;
    let named = |e: LaunchError| LaunchError::new(format!("{} at {}", e.step, entry.destination), e.cause);
    let made = detached::filesystem(&entry.kind, &entry.source, &data, options.flags).map_err(named)?;
    if options.propagation != Propagation::Private {
        detached::change(&made, Reach::One, Flags::empty(), Some(options.propagation)).map_err(named)?;
    }
    detached::attach(&made, &target).map_err(named)?;
    match entry.destination.as_str() {
        "/proc" if entry.kind == "proc" => own.proc = Some(made),
        "/dev" if entry.kind == "tmpfs" => {
            dev::fill(&made)?;
            own.dev = Some(made);
        }
        _ => {}
    }
    Ok(())
}

/// The container's own view of the cgroup hierarchies: one cgroup2 mount, or a tmpfs with one mount a v1 hierarchy. In the
/// host's cgroup namespace a new mount of the latter shows every group there is; so the container's own are bound, as runc
/// does.
fn mount_cgroups(root: &OwnedFd, at: &str, flags: Flags, config: &Config) -> Result<(), LaunchError> {
    let own = config.linux.namespaces.iter().any(|n| n.kind == "cgroup");
    let target = tree::ensure(root, at, Shape::Folder)?;
    let Some(hierarchies) = crate::cgroup::hierarchies() else {
        return detached::attach(&detached::filesystem("cgroup2", "cgroup", "", flags)?, &target);
    };
    let folder = detached::filesystem("tmpfs", "cgroup", "mode=755", flags & !Flags::MOUNT_ATTR_RDONLY)?;
    detached::attach(&folder, &target)?;
    for hierarchy in &hierarchies {
        let name = hierarchy.folder.as_str();
        rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)).step(format!("make {at}/{name}"))?;
        let inner = tree::within(&folder, name, OFlags::PATH).step(format!("open {at}/{name}"))?;
        let mount = if own {
            detached::filesystem("cgroup", "cgroup", &hierarchy.controllers, flags)?
        } else {
            let path = format!("{}{}", hierarchy.mount_point, config.linux.cgroups_path);
            // A hierarchy in which no group was made for the container (name=systemd) stays an empty folder.
            let Ok(folder) = tree::open(&path) else { continue };
            let copy = detached::copy(&folder, Reach::One)?;
            detached::change(&copy, Reach::One, flags, Some(Propagation::Private))?;
            copy
        };
        detached::attach(&mount, &inner)?;
    }
    if flags.contains(Flags::MOUNT_ATTR_RDONLY) {
        detached::change(&folder, Reach::One, Flags::MOUNT_ATTR_RDONLY, None)?;
    }
    Ok(())
}

/// Makes `root` the root of this mount namespace and lets go of the old one.
fn pivot(root: &OwnedFd) -> Result<(), LaunchError> {
    nix::unistd::fchdir(root).step("enter the new root")?;
    nix::unistd::pivot_root(".", ".").step("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).step("let go of the old root")?;
    nix::unistd::chdir("/").step("enter /")
}
