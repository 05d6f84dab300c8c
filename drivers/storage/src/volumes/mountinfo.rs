//! The kernel's table of mounts (proc_pid_mountinfo(5)).

use crate::file::failed;
use contract::PortError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount: where, and its optional fields (`shared:1`, `master:2`).
#[derive(Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Mount point.
    pub at: PathBuf,
    /// Optional fields.
    pub peers: Vec<String>,
}

fn table() -> Result<Vec<Mounted>, PortError> {
    let path = Path::new("/proc/self/mountinfo");
    let text = std::fs::read_to_string(path).map_err(failed("reading", path))?;
    Ok(text.lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<Mounted> {
    let mut fields = line.split(' ').skip(4);
    let at = unescape(fields.next()?);
    let peers = fields.skip(1).take_while(|f| *f != "-").map(str::to_owned).collect();
    Some(Mounted { at, peers })
}

/// Blanks, tabs, newlines and backslashes are written as `\040` and the like.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(b'\\'));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes).into()
}

/// Mount points at or below a path.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, PortError> {
    Ok(table()?.into_iter().map(|m| m.at).filter(|at| at.starts_with(path)).collect())
}

/// The mount a path lies on; of several at one place the topmost.
pub fn of(path: &Path) -> Result<Option<Mounted>, PortError> {
    let above = table()?.into_iter().filter(|m| path.starts_with(&m.at));
    Ok(above.max_by_key(|m| m.at.as_os_str().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_where_and_among_which_peers() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime shared:1 master:7 - ext3 /dev/root rw";
        let wanted = Mounted { at: r"/mnt 2\x".into(), peers: vec!["shared:1".into(), "master:7".into()] };
        assert_eq!(read(line), Some(wanted));
        assert_eq!(read("22 1 0:5 / /dev rw - devtmpfs udev rw").unwrap().peers, Vec::<String>::new());
    }
}
