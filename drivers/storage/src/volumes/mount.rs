//! Volumes that lie elsewhere: what the options `type`, `device` and `o` name is mounted over their folder.

use contract::volume::Volume;
use contract::{Kind, PortError};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags as Peers, UnmountFlags, mount, mount_change, mount_remount, unmount,
};
use std::ffi::CString;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

/// Makes a volume's data appear in its folder; answers the folder.
pub fn put_on(volume: &Volume) -> Result<PathBuf, PortError> {
    let at = &volume.mountpoint;
    if volume.is_mount() && !is_mounted(at) {
        let option = |key: &str| volume.options.as_ref().and_then(|o| o.get(key)).map_or("", String::as_str);
        attach(option("device"), at, option("type"), option("o")).map_err(|why| {
            let why = hide_password(option("o"), why);
            let text = format!("error while mounting volume '{}': {why}", at.display());
            PortError::new(Kind::Bug, text)
        })?;
    }
    Ok(at.clone())
}

/// Takes all off that is mounted at a folder.
pub fn take_off(at: &Path) -> Result<(), PortError> {
    while is_mounted(at) {
        match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(e) => return Err(crate::file::failed("unmounting", at)(e.into())),
        }
    }
    Ok(())
}

fn is_mounted(at: &Path) -> bool {
    let is = statx(CWD, at, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    is.is_ok_and(|is| is.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Options in their text form, in the kernel's.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    flags: MountFlags,
    bind: Option<Peers>,
    peers: Peers,
    data: String,
}

impl Default for Words {
    fn default() -> Self {
        Self { flags: MountFlags::empty(), bind: None, peers: Peers::empty(), data: String::new() }
    }
}

fn parse(text: &str) -> Words {
    let mut out = Words::default();
    let mut data: Vec<&str> = Vec::new();
    for word in text.split(',').filter(|w| !w.is_empty()) {
        let (on, flag) = match word {
            "defaults" => continue,
            "ro" => (true, MountFlags::RDONLY),
            "rw" => (false, MountFlags::RDONLY),
            "nosuid" => (true, MountFlags::NOSUID),
            "suid" => (false, MountFlags::NOSUID),
            "nodev" => (true, MountFlags::NODEV),
            "dev" => (false, MountFlags::NODEV),
            "noexec" => (true, MountFlags::NOEXEC),
            "exec" => (false, MountFlags::NOEXEC),
            "sync" => (true, MountFlags::SYNCHRONOUS),
            "async" => (false, MountFlags::SYNCHRONOUS),
            "dirsync" => (true, MountFlags::DIRSYNC),
            "noatime" => (true, MountFlags::NOATIME),
            "atime" => (false, MountFlags::NOATIME),
            "nodiratime" => (true, MountFlags::NODIRATIME),
            "diratime" => (false, MountFlags::NODIRATIME),
            "relatime" => (true, MountFlags::RELATIME),
            "norelatime" => (false, MountFlags::RELATIME),
            "strictatime" => (true, MountFlags::STRICTATIME),
            "nostrictatime" => (false, MountFlags::STRICTATIME),
            "bind" | "rbind" => {
                out.bind = Some(if word == "rbind" { Peers::REC } else { Peers::empty() });
                continue;
            }
            other => {
                match propagation(other) {
                    Some(peers) => out.peers |= peers,
                    None => data.push(other),
                }
                continue;
            }
        };
        out.flags.set(flag, on);
    }
    out.data = data.join(",");
    out
}

fn propagation(word: &str) -> Option<Peers> {
    let (rec, bare) = match word.strip_prefix('r') {
        Some(bare) => (Peers::REC, bare),
        None => (Peers::empty(), word),
    };
    let kind = match bare {
        "private" => Peers::PRIVATE,
        "shared" => Peers::SHARED,
        "slave" => Peers::DOWNSTREAM,
        "unbindable" => Peers::UNBINDABLE,
        _ => return None,
    };
    Some(kind | rec)
}

fn attach(device: &str, at: &Path, kind: &str, options: &str) -> Result<(), String> {
    if device.is_empty() {
        return Err("missing device in volume options".into());
    }
    let resolved = if matches!(kind, "nfs" | "cifs") { with_address(options)? } else { options.to_owned() };
    let words = parse(&resolved);
    let told = |e: Errno| {
        let data = if words.data.is_empty() { String::new() } else { format!(", data: {}", words.data) };
        let flags = words.flags.bits() | words.bind.map_or(0, |rec| libc_bind() | rec.bits());
        let flags = if flags == 0 { String::new() } else { format!(", flags: 0x{flags:x}") };
        let why = std::io::Error::from(e).to_string().to_lowercase();
        let why = why.split(" (os error").next().unwrap_or_default();
        format!("failed to mount local volume: mount {device}:{}{flags}{data}: {why}", at.display())
    };
    let data = CString::new(words.data.clone()).map_err(|_| "a mount option holds a zero byte".to_owned())?;
    match words.bind {
        Some(rec) if rec.is_empty() => rustix::mount::mount_bind(device, at).map_err(told)?,
        Some(_) => rustix::mount::mount_bind_recursive(device, at).map_err(told)?,
        None => mount(device, at, kind, words.flags, data.as_c_str()).map_err(told)?,
    }
    let finished = (|| {
        if words.bind.is_some() && !words.flags.is_empty() {
            // The first call heeds no flags of a bind.
            mount_remount(at, words.flags | MountFlags::BIND, "")?;
        }
        if words.peers.is_empty() { Ok(()) } else { mount_change(at, words.peers) }
    })();
    finished.map_err(|e| {
        let why = told(e);
        if let Err(error) = take_off(at) {
            tracing::warn!("{}", error.chain());
        }
        why
    })
}

/// `MS_BIND`, for the text of an error.
fn libc_bind() -> u32 {
    MountFlags::BIND.bits()
}

/// The kernel's network file systems take numbers only: a name in `addr=` is looked up.
fn with_address(options: &str) -> Result<String, String> {
    let Some(name) = options.split(',').find_map(|w| w.strip_prefix("addr=")) else {
        return Ok(options.to_owned());
    };
    if name.is_empty() || name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(options.to_owned());
    }
    let found = (name, 0).to_socket_addrs().map_err(|e| e.to_string());
    let found = found.and_then(|mut all| all.next().ok_or_else(|| format!("no address of {name}")));
    let address = found.map_err(|e| format!("error resolving passed in network volume address: {e}"))?;
    Ok(options.replacen(&format!("addr={name}"), &format!("addr={}", address.ip()), 1))
}

fn hide_password(options: &str, text: String) -> String {
    match options.split(',').find(|w| w.starts_with("password=") && w.len() > 9) {
        Some(word) => text.replace(word, "password=********"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_flags_and_the_rest_is_the_file_systems() {
        let words = parse("ro,nosuid,size=1m,rw,uid=1000");
        assert_eq!((words.flags, words.data.as_str()), (MountFlags::NOSUID, "size=1m,uid=1000"));
        let words = parse("rbind,rslave,ro");
        assert_eq!((words.bind, words.peers), (Some(Peers::REC), Peers::DOWNSTREAM | Peers::REC));
        assert_eq!(parse(""), Words::default());
    }

    #[test]
    fn passwords_are_not_told() {
        let told = hide_password("username=a,password=secret", "mount: password=secret: no".into());
        assert_eq!(told, "mount: password=********: no");
    }
}
