//! What the user mounts: binds, volumes, file systems in memory, and the engine's own files among them.

use contract::record::{Bind, VolumeUse};
use contract::runtime::SandboxSpec;
use serde_json::{Value, json};

/// Places inside that the user has taken.
pub fn taken(spec: &SandboxSpec) -> impl Iterator<Item = &str> {
    let c = &spec.container;
    let binds = c.binds.iter().map(|b| b.target.as_str());
    let volumes = c.volumes.iter().map(|v| v.target.as_str());
    binds.chain(volumes).chain(c.tmpfs.keys().map(String::as_str))
}

/// All of them, parents before children.
pub fn list(spec: &SandboxSpec) -> Vec<Value> {
    let c = &spec.container;
    let mut out: Vec<(&str, Value)> = Vec::new();
    out.extend(c.tmpfs.iter().map(|(target, options)| (target.as_str(), memory(target, options))));
    out.extend(c.binds.iter().map(|b| (b.target.as_str(), bind(b))));
    out.extend(c.volumes.iter().map(|v| (v.target.as_str(), volume(v))));
    for (target, name) in
        [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")]
    {
        if !taken(spec).any(|t| t == target) {
            let access = if c.read_only { "ro" } else { "rw" };
            let source = spec.files_of.as_ref().unwrap_or(&spec.directory).join(name);
            let options = ["rbind", access, "rprivate"];
            out.push((target, mount(target, "bind", &source.to_string_lossy(), &options)));
        }
    }
    out.sort_by_key(|(target, _)| target.split('/').filter(|n| !n.is_empty()).count());
    out.into_iter().map(|(_, mount)| mount).collect()
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

fn memory(target: &str, options: &str) -> Value {
    let mut all = vec!["noexec", "nosuid", "nodev", "rprivate"];
    all.extend(options.split(',').filter(|o| !o.is_empty()));
    mount(target, "tmpfs", "tmpfs", &all)
}

fn bind(bind: &Bind) -> Value {
    let reach = if bind.top_only { "bind" } else { "rbind" };
    let access = match (bind.read_only, bind.writable_below) {
        (false, _) => "rw",
        (true, true) => "ro",
        // What is mounted below a read-only bind is read-only too (Docker 25 and later).
        (true, false) => "rro",
    };
    mount(&bind.target, "bind", &bind.source, &[reach, access, bind.effective_propagation()])
}

fn volume(volume: &VolumeUse) -> Value {
    let access = if volume.read_only { "rro" } else { "rw" };
    let base = volume.source.to_string_lossy();
    if volume.subpath.is_empty() {
        return mount(&volume.target, "bind", &base, &["rbind", access, "rprivate"]);
    }
    let inner = volume.source.join(&volume.subpath);
    let mut out = mount(&volume.target, "bind", &inner.to_string_lossy(), &["rbind", access, "rprivate"]);
    // Whoever else has the volume may have put links there that lead out of it.
    if let Some(map) = out.as_object_mut() {
        map.insert("beneath".into(), base.into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::record::ContainerSpec;
    use contract::runtime::{Joined, RootSpec};

    #[test]
    fn mounts_come_by_depth_and_the_engines_files_give_way() {
        let bind = |target: &str| Bind { source: "/s".into(), target: target.into(), ..Bind::default() };
        let volume = VolumeUse { source: "/v".into(), target: "/etc".into(), ..VolumeUse::default() };
        let container = ContainerSpec {
            binds: vec![bind("/etc/hosts"), bind("/a/b/c")],
            volumes: vec![volume],
            tmpfs: [("/a/b".to_owned(), "exec".to_owned())].into(),
            ..ContainerSpec::default()
        };
        let root = RootSpec { lower: vec![], upper: "".into(), work: "".into(), target: "".into() };
        let spec = SandboxSpec {
            container,
            root,
            directory: "/d".into(),
            addresses: Vec::new(),
            answers: Default::default(),
            hosts: Vec::new(),
            environment: Vec::new(),
            files_of: None,
            gateways: Vec::new(),
            netns: None,
            joined: Joined::default(),
        };
        let list = list(&spec);
        let shown: Vec<_> = list
            .iter()
            .map(|m| (m["destination"].as_str().unwrap(), m["source"].as_str().unwrap()))
            .collect();
        let wanted = [
            ("/etc", "/v"),
            ("/a/b", "tmpfs"),
            ("/etc/hosts", "/s"),
            ("/etc/resolv.conf", "/d/resolv.conf"),
            ("/etc/hostname", "/d/hostname"),
            ("/a/b/c", "/s"),
        ];
        assert_eq!(shown, wanted);
    }
}
