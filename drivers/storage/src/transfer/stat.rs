//! What a path of a container is, as Docker tells its clients.

use super::{Held, Inside, Link, words};
use contract::archive::PathStat;
use contract::{Kind, PortError};
use rustix::fs::FileType;
use rustix::io::Errno;

/// Links followed to find where one leads.
const LINKS: usize = 255;

/// Last name of a path as Go's `filepath.Base` gives it: `.` for a path that ends so, `/` for the root.
pub(super) fn base(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let trimmed = path.get(..end).unwrap_or_default();
    match trimmed.rsplit(|b| *b == b'/').next() {
        Some(name) if !name.is_empty() => name.to_vec(),
        _ => b"/".to_vec(),
    }
}

/// `PATH` cannot be looked at.
pub(super) fn missing(path: &[u8], error: Errno) -> PortError {
    let kind = if error == Errno::NOENT { Kind::NotFound } else { Kind::Bug };
    PortError::new(kind, format!("lstat {}: {}", String::from_utf8_lossy(path), words(&error.into())))
}

/// Go's `os.FileMode` of a mode of the kernel's.
pub(super) fn mode(kernel: u32) -> u32 {
    let kind = match FileType::from_raw_mode(kernel) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bit = |mask: u32, to: u32| if kernel & mask == 0 { 0 } else { 1 << to };
    kernel & 0o777 | kind | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20)
}

/// A path without empty names, `.` and `..`.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
        match part {
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    [b"/", parts.join(&b'/').as_slice()].concat()
}

impl Inside {
    /// Describes a path and keeps hold of it.
    pub(super) fn describe(&self, path: &[u8]) -> Result<(PathStat, Held), PortError> {
        let held = self.hold(path, Link::Keep).map_err(|e| missing(path, e))?;
        let link_target = match held.kind() {
            FileType::Symlink => String::from_utf8_lossy(&self.leads_to(path)).into_owned(),
            _ => String::new(),
        };
        let seconds = i128::from(held.stat.st_mtime) * 1_000_000_000 + i128::from(held.stat.st_mtime_nsec);
        let stat = PathStat {
            name: String::from_utf8_lossy(&base(path)).into_owned(),
            size: held.stat.st_size,
            mode: mode(held.stat.st_mode),
            mtime: jiff::Timestamp::from_nanosecond(seconds).unwrap_or_default().to_string(),
            link_target,
        };
        Ok((stat, held))
    }

    /// Where a link leads, also when there is nothing.
    fn leads_to(&self, path: &[u8]) -> Vec<u8> {
        if let Ok(place) = self.hold(path, Link::Follow).and_then(|held| self.whereabouts(&held)) {
            return place;
        }
        let mut at = clean(path);
        for _ in 0..LINKS {
            let Ok(held) = self.hold(&at, Link::Keep) else { break };
            let Ok(link) = rustix::fs::readlinkat(&held.file, "", Vec::new()) else { break };
            let target = link.to_bytes();
            let above = at.iter().rposition(|b| *b == b'/').and_then(|end| at.get(..end)).unwrap_or_default();
            at =
                if target.starts_with(b"/") { clean(target) } else { clean(&[above, b"/", target].concat()) };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_is_gos() {
        for (path, name) in [("/a/b", "b"), ("/a/b/", "b"), ("/a/.", "."), ("/", "/"), ("", "/"), ("a", "a")]
        {
            assert_eq!(base(path.as_bytes()), name.as_bytes(), "{path}");
        }
    }

    #[test]
    fn modes_are_gos() {
        assert_eq!(mode(0o041_777), 0o777 | 1 << 31 | 1 << 20);
        assert_eq!(mode(0o104_755), 0o755 | 1 << 23);
        assert_eq!(mode(0o120_777), 0o777 | 1 << 27);
    }

    #[test]
    fn paths_are_cleaned_and_do_not_rise_above_the_root() {
        assert_eq!(clean(b"//a/./b/../../../c"), b"/c");
    }
}
