//! The folder that members go to, kept open while they go to the same one.

use rustix::fs::{self as rfs, Mode};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest path that is made up here instead of being asked for; the kernel's own limit is 4096.
const LONGEST: usize = 3500;

/// An open folder.
pub(super) struct Open {
    /// What members call it.
    called: Vec<u8>,
    pub(super) fd: OwnedFd,
    /// Its path with no links in it, where that is of use.
    pub(super) path: Option<Vec<u8>>,
    /// What is made in it may get more from it than it is asked for: a group, access lists.
    pub(super) gives: Gives,
}

/// What a folder does to the files made in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// They are as they are asked for, and the process's own.
    Nothing,
    /// Owner and mode have to be set.
    Something,
}

impl Open {
    /// One that members call so. `exact`: modes are what they are asked to be, unless the folder itself says otherwise.
    pub(super) fn new(called: Vec<u8>, fd: OwnedFd, path: Option<Vec<u8>>, exact: bool) -> io::Result<Self> {
        let shares =
            || -> io::Result<bool> { Ok(Mode::from_raw_mode(rfs::fstat(&fd)?.st_mode).contains(Mode::SGID)) };
        let gives = if exact && !shares()? { Gives::Nothing } else { Gives::Something };
        Ok(Self { called, fd, path, gives })
    }

    /// One just made in it, if its path can be told without asking.
    pub(super) fn inner(&self, name: &[u8], fd: OwnedFd, exact: bool) -> io::Result<Option<Self>> {
        let below = |folder: &[u8]| {
            let mut path = folder.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            Some(path).filter(|path| path.len() < LONGEST)
        };
        let (Some(called), Some(path)) = (below(&self.called), self.path.as_deref().and_then(below)) else {
            return Ok(None);
        };
        Self::new(called, fd, Some(path), exact).map(Some)
    }

    /// Whether these names lead to it.
    pub(super) fn is(&self, parts: &[&[u8]]) -> bool {
        let mut called = self.called.as_slice();
        for (at, part) in parts.iter().enumerate() {
            let rest = called.strip_prefix(if at == 0 { &b""[..] } else { b"/" });
            match rest.and_then(|rest| rest.strip_prefix(*part)) {
                Some(rest) => called = rest,
                None => return false,
            }
        }
        called.is_empty()
    }
}

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Open;

    #[test]
    fn a_folder_is_known_by_all_its_names_and_no_others() {
        let open = |called: &str| {
            let fd = std::fs::File::open("/").unwrap().into();
            Open::new(called.into(), fd, Some(called.into()), false).unwrap()
        };
        let (deep, root) = (open("a/bc/d"), open(""));
        assert!(deep.is(&[b"a", b"bc", b"d"]));
        assert!(root.is(&[]));
        for other in
            [&[&b"a"[..], b"bc"][..], &[b"a", b"bc", b"d", b"e"], &[b"a", b"b", b"d"], &[b"abc", b"d"], &[]]
        {
            assert!(!deep.is(other));
        }
        assert!(!root.is(&[b"a"]));
        let inner = deep.inner(b"e", std::fs::File::open("/").unwrap().into(), false).unwrap().unwrap();
        assert!(inner.is(&[b"a", b"bc", b"d", b"e"]));
        assert!(
            deep.inner(&[b'x'; 4000], std::fs::File::open("/").unwrap().into(), false).unwrap().is_none()
        );
    }
}
