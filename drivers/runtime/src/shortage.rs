//! Hears of want of memory in a container from the kernel, which counts what it kills and tells when the counters move.

use crate::groups::Groups;
use contract::usage::Shortage;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// On v1 the kernel tells before it kills; so often and so far apart is looked whether it has.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(5);
/// How often processes that stand still are looked at: their relief is not announced.
const STANDING: Duration = Duration::from_secs(1);

/// Resolves once there is more to tell than was told; fails when the group is gone or empty.
pub async fn next(groups: &Groups, told: Shortage) -> io::Result<Shortage> {
    let folder = groups.folder("memory").ok_or(io::ErrorKind::Unsupported)?;
    let bell = if groups.unified { Bell::v2(folder)? } else { Bell::v1(folder)? };
    let mut news = look(groups, folder)?;
    loop {
        if news.kills > told.kills || news.waiting != told.waiting {
            return Ok(news);
        }
        if told.waiting {
            tokio::time::sleep(STANDING).await;
            news = look(groups, folder)?;
            continue;
        }
        bell.rung().await?;
        for _ in 0..LOOKS {
            news = look(groups, folder)?;
            if news != told || groups.unified {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn look(groups: &Groups, folder: &Path) -> io::Result<Shortage> {
    let file = if groups.unified { "memory.events" } else { "memory.oom_control" };
    let text = fs::read_to_string(folder.join(file))?;
    if groups.unified && fs::read_to_string(folder.join("cgroup.events"))?.contains("populated 0") {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(read(&text))
}

/// `memory.events` of v2 or `memory.oom_control` of v1.
fn read(text: &str) -> Shortage {
    let value = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
    let waiting = value("oom_kill_disable ") == Some(1) && value("under_oom ") == Some(1);
    Shortage { kills: value("oom_kill ").unwrap_or(0), waiting }
}

/// What the kernel rings when counters have moved: a descriptor that then has something to read.
struct Bell(Receiver);

impl Bell {
    /// An event descriptor bound to the group (kernel `cgroup-v1/memory.rst`, section 10); also rung when it is removed.
    fn v1(folder: &Path) -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let control = File::open(folder.join("memory.oom_control"))?;
        let wish = format!("{} {}", bell.as_raw_fd(), control.as_raw_fd());
        fs::write(folder.join("cgroup.event_control"), wish)?;
        Self::of(bell.as_fd())
    }

    /// Changes of the counters, and of whether anybody is left.
    fn v2(folder: &Path) -> io::Result<Self> {
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        for file in ["memory.events", "cgroup.events"] {
            watch.add_watch(&folder.join(file), AddWatchFlags::IN_MODIFY)?;
        }
        Self::of(watch.as_fd())
    }

    /// The runtime's type for what is read like a pipe takes any such descriptor.
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(Receiver::from_owned_fd_unchecked(fd.try_clone_to_owned()?)?))
    }

    async fn rung(&self) -> io::Result<()> {
        self.0.readable().await?;
        // What it says does not matter: the counters decide. Room for one event with a name.
        let mut buffer = [0; 1024];
        match self.0.try_read(&mut buffer) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_both_versions_are_read() {
        let v1 = read("oom_kill_disable 1\nunder_oom 1\noom_kill 2\n");
        assert_eq!(v1, Shortage { kills: 2, waiting: true });
        let v2 = read("low 0\nhigh 0\nmax 12\noom 3\noom_kill 1\noom_group_kill 0\n");
        assert_eq!(v2, Shortage { kills: 1, waiting: false });
    }
}
