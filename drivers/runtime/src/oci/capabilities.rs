//! Docker's default capabilities and the effect of `--cap-add`, `--cap-drop`, `--privileged`.

use contract::record::ContainerSpec;
use std::sync::LazyLock;

/// Docker's default set (moby `oci/caps/defaults.go`).
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Every capability of Linux 6 (include/uapi/linux/capability.h), in order.
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A user's spelling (`net_admin`, `CAP_NET_ADMIN`) as the kernel's; `None` when there is no such capability.
pub fn canonical(name: &str) -> Option<&'static str> {
    let upper = name.to_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    ALL.into_iter().find(|known| known.strip_prefix("CAP_") == Some(bare))
}

/// Whether this daemon holds a capability by the kernel's spelling, and so may pass it on: the kernel may lack it, or whoever
/// started the daemon.
pub fn available(name: &str) -> bool {
    static HELD: LazyLock<u64> = LazyLock::new(|| {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let permitted =
            text.lines().find_map(|l| u64::from_str_radix(l.strip_prefix("CapPrm:")?.trim(), 16).ok());
        permitted.unwrap_or(u64::MAX)
    });
    ALL.iter().position(|known| *known == name).is_some_and(|number| *HELD & 1 << number != 0)
}

/// The set a container runs with.
pub fn effective(spec: &ContainerSpec) -> Vec<&'static str> {
    let is_all = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case("ALL"));
    let base: &[&'static str] = if spec.privileged || is_all(&spec.cap_add) {
        &ALL
    } else if is_all(&spec.cap_drop) {
        &[]
    } else {
        &DEFAULT
    };
    let added: Vec<_> = spec.cap_add.iter().filter_map(|n| canonical(n)).collect();
    let dropped: Vec<_> = spec.cap_drop.iter().filter_map(|n| canonical(n)).collect();
    ALL.into_iter()
        .filter(|cap| (base.contains(cap) && !dropped.contains(cap)) || added.contains(cap))
        .filter(|cap| available(cap))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_all_and_adding_one_leaves_that_one() {
        let spec = ContainerSpec {
            cap_drop: vec!["ALL".into()],
            cap_add: vec!["net_admin".into()],
            ..ContainerSpec::default()
        };
        assert_eq!(effective(&spec), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn the_default_set_is_dockers() {
        assert_eq!(effective(&ContainerSpec::default()).len(), DEFAULT.len());
    }
}
