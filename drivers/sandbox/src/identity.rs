//! Who a process is: users and groups looked up in the container's own files, capabilities, limits.

use crate::config::Rlimit;
use crate::error::{LaunchError, Step};
use nix::unistd::{Gid, Uid};

/// A resolved user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home folder.
    pub home: String,
}

/// Looks `user[:group]` and extra groups up in `/etc/passwd` and `/etc/group` texts, as Docker does: a number is an id
/// and needs no entry, anything else is a name and does.
pub fn look_up(user: &str, extra: &str, passwd: &str, group: &str) -> Result<Identity, LaunchError> {
    let (user, named_group) = user.split_once(':').unwrap_or((user, ""));
    let asked = if user.is_empty() { Some(0) } else { number(user)? };
    let entry = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| match asked {
        Some(uid) => f.get(2).is_some_and(|t| t.parse() == Ok(uid)),
        None => f.first() == Some(&user),
    });
    let field = |index: usize| entry.as_ref().and_then(|f| f.get(index)).copied();
    let numeric = |index: usize| field(index).and_then(|t| t.parse::<u32>().ok());
    let uid = asked.or_else(|| numeric(2)).ok_or_else(|| {
        LaunchError::new(format!("unable to find user {user}"), "no matching entries in passwd file")
    })?;
    let mut gid = numeric(3).unwrap_or(0);
    let mut groups = Vec::new();
    if named_group.is_empty() {
        // Memberships follow the name; an explicit group replaces them.
        if let Some(name) = field(0) {
            for line in group.lines() {
                let fields: Vec<_> = line.split(':').collect();
                if let (Some(gid), Some(members)) =
                    (fields.get(2).and_then(|t| t.parse().ok()), fields.get(3))
                    && members.split(',').any(|m| m == name)
                {
                    groups.push(gid);
                }
            }
        }
    } else {
        gid = group_id(named_group, group, "unable to find group")?;
    }
    for name in extra.split(',').filter(|n| !n.is_empty()) {
        groups.push(group_id(name, group, "Unable to find group")?);
    }
    // A process without its own group among the others could give it up to pass a rule that denies the group
    // (CVE-2022-36109).
    let mut all = vec![gid];
    for group in groups {
        if !all.contains(&group) {
            all.push(group);
        }
    }
    let home = field(5).filter(|h| !h.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { uid, gid, groups: all, home })
}

/// An id; `None` for what is a name.
fn number(text: &str) -> Result<Option<u32>, LaunchError> {
    match text.parse::<i64>() {
        Err(_) => Ok(None),
        Ok(id) => match u32::try_from(id).ok().filter(|id| *id <= i32::MAX.cast_unsigned()) {
            Some(id) => Ok(Some(id)),
            None => Err(LaunchError::new("", "uids and gids must be in range 0-2147483647")),
        },
    }
}

/// A group by name or number; `missing` is how Docker begins when there is none of the name.
fn group_id(name: &str, group: &str, missing: &str) -> Result<u32, LaunchError> {
    if let Some(id) = number(name)? {
        return Ok(id);
    }
    let found = group.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.first() == Some(&name));
    found
        .and_then(|f| f.get(2)?.parse().ok())
        .ok_or_else(|| LaunchError::new(format!("{missing} {name}"), "no matching entries in group file"))
}

/// Gives stdio to the user, who could not open /dev/stdout anew otherwise.
pub fn own_stdio(uid: u32) -> Result<(), LaunchError> {
    let null = nix::sys::stat::makedev(1, 3);
    for fd in 0..3 {
        // SAFETY: stdio is open for as long as this process lives.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let is = rustix::fs::fstat(fd).step("look at stdio")?;
        if is.st_uid != uid && is.st_rdev != null {
            nix::unistd::fchown(fd, Some(Uid::from_raw(uid)), None).step("give stdio to the user")?;
        }
    }
    Ok(())
}

/// Applies resource limits.
pub fn limit(rlimits: &[Rlimit]) -> Result<(), LaunchError> {
    const NAMES: [&str; 16] = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    for rlimit in rlimits {
        let name = rlimit.kind.trim_start_matches("RLIMIT_");
        let step = || format!("set limit {name}");
        let number = NAMES.iter().position(|n| *n == name).and_then(|n| u32::try_from(n).ok());
        let number = number.ok_or_else(|| LaunchError::new(step(), "no such limit"))?;
        let value = libc::rlimit { rlim_cur: rlimit.soft, rlim_max: rlimit.hard };
        // SAFETY: `value` lives over the call, which only reads it.
        if unsafe { libc::setrlimit(number, &raw const value) } != 0 {
            return Err(std::io::Error::last_os_error()).step(step());
        }
    }
    Ok(())
}

/// Named capabilities as a mask of their numbers (include/uapi/linux/capability.h).
pub fn mask(capabilities: &[String]) -> u64 {
    const NAMES: [&str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];
    let numbers =
        capabilities.iter().filter_map(|c| NAMES.iter().position(|n| c.strip_prefix("CAP_") == Some(n)));
    numbers.fold(0, |mask, n| mask | 1 << n)
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Becomes the identity with exactly these capabilities; a user other than root keeps none of them effective, as in
/// Docker, but may gain those of the bounding set through files.
pub fn assume(identity: &Identity, capabilities: u64) -> Result<(), LaunchError> {
    let header = CapHeader { version: 0x2008_0522, pid: 0 };
    let mut held = [CapData::default(); 2];
    // SAFETY: header and both data words live over the call, version 3 takes exactly two.
    if unsafe { libc::syscall(libc::SYS_capget, &raw const header, held.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error()).step("read capabilities");
    }
    // What this daemon itself was not given cannot be passed on, not even to a privileged container.
    let [first, second] = held;
    let mask = capabilities & (u64::from(first.permitted) | u64::from(second.permitted) << 32);
    for number in 0..64u64 {
        if mask & (1 << number) != 0 {
            continue;
        }
        // SAFETY: plain numbers.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        if done != 0 {
            match nix::errno::Errno::last() {
                // The kernel knows no capability of this number: none after it either.
                nix::errno::Errno::EINVAL => break,
                e => return Err(e).step("drop bounding capabilities"),
            }
        }
    }
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups).step("set groups")?;
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid).step(format!("set group {}", identity.gid))?;
    let uid = Uid::from_raw(identity.uid);
    nix::unistd::setresuid(uid, uid, uid).step(format!("set user {}", identity.uid))?;
    if identity.uid != 0 {
        return Ok(());
    }
    let [low, high] = [mask as u32, (mask >> 32) as u32];
    let half = |bits| CapData { effective: bits, permitted: bits, inheritable: 0 };
    let data = [half(low), half(high)];
    // SAFETY: header and both data words live over the call, version 3 takes exactly two.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("set capabilities");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:50:web,root\n";

    #[test]
    fn a_name_brings_its_groups_and_home() {
        let identity = look_up("web", "", PASSWD, GROUP).unwrap();
        assert_eq!(identity, Identity { uid: 33, gid: 34, groups: vec![34, 50], home: "/srv".into() });
    }

    #[test]
    fn numbers_need_no_entry_and_names_do() {
        assert_eq!(look_up("1234:99", "", PASSWD, GROUP).unwrap().gid, 99);
        assert!(
            look_up("nobody", "", PASSWD, GROUP)
                .unwrap_err()
                .to_string()
                .starts_with("unable to find user nobody")
        );
    }

    #[test]
    fn a_user_named_like_a_number_is_never_taken_for_the_number() {
        let passwd = "33:x:0:0::/evil:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n";
        assert_eq!(look_up("33", "", passwd, GROUP).unwrap().uid, 33);
        assert!(look_up("4294967296", "", PASSWD, GROUP).is_err());
    }

    #[test]
    fn the_own_group_is_always_among_the_others() {
        assert_eq!(look_up("5:6", "logs,6", PASSWD, GROUP).unwrap().groups, [6, 50]);
    }

    #[test]
    fn capabilities_become_their_numbers() {
        assert_eq!(mask(&["CAP_CHOWN".into(), "CAP_CHECKPOINT_RESTORE".into()]), 1 | 1 << 40);
    }
}
