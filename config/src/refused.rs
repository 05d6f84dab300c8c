//! Docker's options that gantry honours in one way only, or not at all. Each is named when it is used; none is ignored.

use crate::error::ValueError;
use crate::key::{HIDDEN, Key, Kind, Section};
use crate::source::{Given, Source};
use serde_json::Value;

const fn text(name: &'static str) -> Key {
    Key::new(name, Kind::Text, "", "Not supported")
}

const fn switch(name: &'static str) -> Key {
    Key::new(name, Kind::Switch, "", "Not supported, except false")
}

const fn list(name: &'static str, flag: &'static str) -> Key {
    Key::new(name, Kind::List, "", "Not supported").flag(flag)
}

pub(crate) const SECTION: Section = Section {
    heading: HIDDEN,
    keys: &[
        text("storage-driver").short('s'),
        list("exec-opts", "exec-opt"),
        switch("ip-forward-no-drop"),
        switch("allow-direct-routing"),
        text("userland-proxy-path"),
        text("userns-remap"),
        switch("selinux-enabled"),
        text("init-path"),
        text("default-init").flag(""),
        text("resolv-conf").flag(""),
        list("authorization-plugins", "authorization-plugin"),
        text("containerd"),
        text("containerd-namespace"),
        text("containerd-plugin-namespace").flag("containerd-plugins-namespace"),
        switch("cri-containerd"),
        list("cdi-spec-dirs", "cdi-spec-dir"),
        text("cpu-rt-period"),
        text("cpu-rt-runtime"),
        text("swarm-default-advertise-addr"),
        text("swarm-raft-heartbeat-tick").flag(""),
        text("swarm-raft-election-tick").flag(""),
        list("node-generic-resources", "node-generic-resource"),
        text("network-control-plane-mtu"),
        text("network-diagnostic-port"),
        switch("rootless"),
        list("allow-nondistributable-artifacts", "allow-nondistributable-artifacts"),
        text("api-cors-header"),
        Key::new("builder", Kind::Own, "", "Not supported").flag(""),
        switch("restart").short('r'),
    ],
};

/// Why each is refused. Those that stand elsewhere have a value that is fine.
const REASONS: [(&str, &str); 26] = [
    ("ip-forward-no-drop", "it never sets the policy of other tables' forward chains; leave it out"),
    ("allow-direct-routing", "containers' addresses are reached from the host alone"),
    ("userland-proxy-path", "published ports are rules of nftables, there is no proxy"),
    ("userns-remap", "containers have the host's user ids"),
    ("selinux-enabled", "it sets no SELinux labels"),
    ("init-path", "its own init is part of gantry-shim"),
    ("default-init", "its own init is part of gantry-shim"),
    ("resolv-conf", "the host's /etc/resolv.conf is read: set dns, dns-opts and dns-search"),
    ("authorization-plugins", "it has no plugins: whoever reaches the socket may do everything"),
    ("containerd", "it has a runtime of its own"),
    ("containerd-namespace", "it has a runtime of its own"),
    ("containerd-plugin-namespace", "it has a runtime of its own"),
    ("cri-containerd", "it has a runtime of its own"),
    ("cdi-spec-dirs", "it has no device plugins"),
    ("cpu-rt-period", "set real-time limits by container"),
    ("cpu-rt-runtime", "set real-time limits by container"),
    ("swarm-default-advertise-addr", "it has no swarm"),
    ("swarm-raft-heartbeat-tick", "it has no swarm"),
    ("swarm-raft-election-tick", "it has no swarm"),
    ("node-generic-resources", "it has no swarm"),
    ("network-control-plane-mtu", "it has no swarm"),
    ("network-diagnostic-port", "it has no swarm"),
    ("rootless", "it must run as root"),
    ("allow-nondistributable-artifacts", "it pushes no images yet"),
    ("api-cors-header", "Docker has removed it: use a reverse proxy"),
    ("builder", "it builds no images yet"),
];

/// Refuses the first that is used.
pub(crate) fn check(source: &Source) -> Result<(), ValueError> {
    for (key, why) in REASONS {
        let used = match source.given(key) {
            None => false,
            Some(Given::Flag(values)) => values.iter().any(|v| !matches!(v.as_str(), "" | "false" | "0")),
            Some(Given::File(value)) => !off(value),
        };
        if used {
            return Err(source.unsupported(key, why));
        }
    }
    match source.some_text("storage-driver")?.as_deref() {
        None | Some("overlay2" | "overlayfs") => {}
        Some(other) => {
            return Err(source.unsupported("storage-driver", format!("it has overlay2 only, not {other}")));
        }
    }
    for option in source.list("exec-opts")? {
        let (name, value) = option.split_once('=').unwrap_or((&option, ""));
        match (name.trim(), value.trim()) {
            ("native.cgroupdriver", "cgroupfs") => {}
            ("native.cgroupdriver", other) => {
                let text = format!("native.cgroupdriver can only be cgroupfs, not {other}");
                return Err(source.unsupported("exec-opts", text));
            }
            _ => {
                return Err(ValueError::Told(format!(
                    "invalid exec-opt ({option}): unknown option: '{name}'"
                )));
            }
        }
    }
    if source.switch("restart")? == Some(false) {
        return Err(source.unsupported("restart", "use a restart policy on docker run"));
    }
    Ok(())
}

/// Values by which an option says that it is not used.
fn off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}
