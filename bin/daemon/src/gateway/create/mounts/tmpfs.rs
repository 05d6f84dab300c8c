//! File systems in memory: `--tmpfs` and `--mount type=tmpfs`.

use super::asked::TmpfsOptions;
use super::invalid;
use super::object::check_place;
use contract::PortError;

/// Options that are the mount's (moby `sys/mount`), but for those that make no new one of it.
const FLAGS: [&str; 28] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];

/// Options that are the file system's own and take a value.
const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// Checks one `--tmpfs`.
pub fn check(target: &str, options: &str) -> Result<(), PortError> {
    check_place(target)?;
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let known = match option.split_once('=') {
            Some((key, _)) => VALUES.contains(&key),
            None => FLAGS.contains(&option),
        };
        if !known {
            let parts: Vec<String> = option.splitn(2, '=').map(|p| format!("{p:?}")).collect();
            return Err(invalid(format!("invalid tmpfs option [{}]", parts.join(" "))));
        }
    }
    Ok(())
}

/// The options of a `--mount` in their text form.
pub fn options(options: Option<&TmpfsOptions>, read_only: bool) -> Result<String, PortError> {
    let mut out: Vec<String> = Vec::new();
    if read_only {
        out.push("ro".into());
    }
    let Some(options) = options else { return Ok(out.join(",")) };
    if options.mode != 0 {
        out.push(format!("mode={:o}", options.mode));
    }
    if options.size_bytes != 0 {
        out.push(format!("size={}", options.size_bytes));
    }
    for option in &options.options {
        match option.as_slice() {
            [flag] if matches!(flag.as_str(), "exec" | "noexec") => out.push(flag.clone()),
            [flag, value] if matches!(flag.as_str(), "exec" | "noexec") => {
                return Err(invalid(format!("invalid option: {flag}={value}")));
            }
            [name] | [name, _] => return Err(invalid(format!("invalid option: {name}"))),
            _ => return Err(invalid("invalid option array length")),
        }
    }
    Ok(out.join(","))
}
