//! Where the daemon keeps things, and the daemon's own process.

use crate::error::ValueError;
use crate::key::{Key, Kind, Section};
use crate::source::Source;
use std::path::PathBuf;

pub(crate) const SECTION: Section = Section {
    heading: "Daemon",
    keys: &[
        Key::new(
            "data-root",
            Kind::Text,
            "FOLDER",
            "Where images, containers and logs lie [default: /var/lib/gantry]",
        ),
        Key::new(
            "exec-root",
            Kind::Text,
            "FOLDER",
            "Where sockets of running containers lie [default: /run/gantry]",
        ),
        Key::new(
            "pidfile",
            Kind::Text,
            "FILE",
            "File for the daemon's pid [default: gantryd.pid in the exec-root]",
        )
        .short('p'),
        Key::new(
            "cgroup-parent",
            Kind::Text,
            "PATH",
            "cgroup under which containers get theirs [default: /gantry]",
        ),
        Key::new(
            "storage-opts",
            Kind::List,
            "KEY=VALUE",
            "overlay2.size=10G: bytes a container's own layer may take, where data-root is XFS with pquota",
        )
        .flag("storage-opt"),
        Key::new("shim", Kind::Text, "FILE", "The gantry-shim program [default: beside gantryd]"),
        Key::new(
            "spool-budget",
            Kind::Size,
            "BYTES",
            "Undelivered output kept on disk for each container, at least 1m [default: 64m]",
        ),
        Key::new(
            "oom-score-adjust",
            Kind::Number,
            "NUMBER",
            "The daemon's own oom_score_adj, -1000 to 1000 [default: as it was started]",
        ),
        Key::new(
            "live-restore",
            Kind::Switch,
            "",
            "Containers live on while the daemon is away [default: true]",
        )
        .reloads(),
        Key::new(
            "shutdown-timeout",
            Kind::Number,
            "SECONDS",
            "With live-restore=false: how long containers may take to stop, -1 = as they like [default: 15]",
        )
        .reloads(),
        Key::new("labels", Kind::List, "KEY=VALUE", "Label of the daemon, shown by info")
            .flag("label")
            .reloads(),
        Key::new(
            "features",
            Kind::Own,
            "NAME[=BOOL]",
            "Feature to switch; gantry has none, and names what it does not know",
        )
        .flag("feature")
        .reloads(),
        Key::new(
            "experimental",
            Kind::Switch,
            "",
            "Shown by info and version; gantry has no experimental features",
        ),
    ],
};

/// The smallest buffer that is one: a few segments of output.
const LEAST_SPOOL: i64 = 1 << 20;

/// Places, and what concerns the daemon's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Where images, containers and logs lie.
    pub data_root: PathBuf,
    /// Where sockets of running containers lie.
    pub exec_root: PathBuf,
    /// Where the daemon's pid is written.
    pub pidfile: Option<PathBuf>,
    /// cgroup under which containers get theirs.
    pub cgroup_parent: String,
    /// The shim program; beside the daemon when not set.
    pub shim: Option<PathBuf>,
    /// Bytes of undelivered output kept for each container.
    pub spool_budget: u64,
    /// Bytes that a container's own layer may take, if it asks for nothing else (`overlay2.size`).
    pub storage_size: Option<u64>,
    /// The daemon's own; `None` = left alone.
    pub oom_score_adjust: Option<i32>,
    /// Containers live on while the daemon is away.
    pub live_restore: bool,
    /// Seconds containers may take to stop; negative = as long as they like.
    pub shutdown_timeout: i64,
    /// `key=value` or a bare word.
    pub labels: Vec<String>,
    /// Shown only.
    pub experimental: bool,
}

impl Daemon {
    pub(crate) fn read(source: &Source) -> Result<Self, ValueError> {
        let spool = source.size("spool-budget")?.unwrap_or(64 << 20);
        let spool_budget = u64::try_from(spool)
            .ok()
            .filter(|_| spool >= LEAST_SPOOL)
            .ok_or_else(|| source.wrong("spool-budget", format!("must be at least {LEAST_SPOOL}")))?;
        let score = source.number("oom-score-adjust", -1000)?;
        if score.is_some_and(|s| s > 1000) {
            return Err(source.wrong("oom-score-adjust", "must be from -1000 to 1000"));
        }
        features(source)?;
        // Shims and other programs that are told of these have other working directories.
        let place = |key, default: &str| -> Result<PathBuf, ValueError> {
            let given = source.some_text(key)?.unwrap_or_else(|| default.to_owned());
            std::path::absolute(given).map_err(|e| source.wrong(key, e.to_string()))
        };
        let exec_root = place("exec-root", "/run/gantry")?;
        let pidfile = source.text("pidfile")?.map_or_else(|| exec_root.join("gantryd.pid"), PathBuf::from);
        Ok(Self {
            data_root: place("data-root", "/var/lib/gantry")?,
            exec_root,
            pidfile: Some(pidfile).filter(|p| !p.as_os_str().is_empty()),
            cgroup_parent: cgroup_parent(source)?,
            shim: source.some_text("shim")?.map(PathBuf::from),
            spool_budget,
            storage_size: storage_size(source)?,
            oom_score_adjust: score.and_then(|s| i32::try_from(s).ok()),
            live_restore: source.switch("live-restore")?.unwrap_or(true),
            shutdown_timeout: source.number("shutdown-timeout", i64::MIN)?.unwrap_or(15),
            labels: labels(source)?,
            experimental: source.switch("experimental")?.unwrap_or(false),
        })
    }
}

fn cgroup_parent(source: &Source) -> Result<String, ValueError> {
    let Some(path) = source.some_text("cgroup-parent")? else { return Ok("/gantry".to_owned()) };
    if path.ends_with(".slice") {
        return Err(source.unsupported(
            "cgroup-parent",
            "slices belong to systemd's cgroup driver, and gantry has cgroupfs",
        ));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(source.wrong("cgroup-parent", format!("{path:?} leads outside")));
    }
    Ok(if path.starts_with('/') { path } else { format!("/{path}") })
}

/// The options of the storage driver; moby knows them as those of overlay2.
fn storage_size(source: &Source) -> Result<Option<u64>, ValueError> {
    let mut size = None;
    for option in source.list("storage-opts")? {
        let Some((key, value)) = option.split_once('=') else {
            return Err(ValueError::Told(format!("Unable to parse storage-opt key/value: {option}")));
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "overlay2.size" => {
                let bytes = crate::size::bytes(value.trim()).and_then(|n| u64::try_from(n).ok());
                let wrong = || source.wrong("storage-opts", format!("invalid size: '{}'", value.trim()));
                size = Some(bytes.ok_or_else(wrong)?);
            }
            key => return Err(ValueError::Told(format!("overlay2: unknown option {key}"))),
        }
    }
    Ok(size.filter(|n| *n > 0))
}

/// Docker's rule: the same key may not have two values.
fn labels(source: &Source) -> Result<Vec<String>, ValueError> {
    let labels = source.list("labels")?;
    let mut kept: Vec<String> = Vec::new();
    for label in labels {
        let (key, value) = label.split_once('=').map_or((label.as_str(), None), |(k, v)| (k, Some(v)));
        if key.trim_start().is_empty() {
            return Err(ValueError::Told(format!("invalid label '{label}': empty name")));
        }
        if key.contains(char::is_whitespace) {
            return Err(ValueError::Told(format!("label '{key}' contains whitespaces")));
        }
        let earlier = kept.iter().filter_map(|l| l.split_once('=')).find(|(k, _)| *k == key);
        match (earlier, value) {
            (Some((_, old)), Some(new)) if old != new => {
                return Err(ValueError::Told(format!("conflict labels for {key}={new} and {key}={old}")));
            }
            _ if kept.contains(&label) => {}
            _ => kept.push(label),
        }
    }
    Ok(kept)
}

/// Features Docker knows that gantry can only have one way.
fn features(source: &Source) -> Result<(), ValueError> {
    let mut wanted: Vec<(String, bool)> = Vec::new();
    for text in source.flags.get("features").into_iter().flatten() {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let value =
            crate::source::truth(value).ok_or_else(|| source.wrong("features", format!("{text:?}")))?;
        wanted.push((name.to_owned(), value));
    }
    wanted.extend(source.object::<std::collections::BTreeMap<String, bool>>("features")?);
    match wanted.iter().find(|(_, on)| *on) {
        Some((name, _)) => Err(source.unsupported("features", format!("there is no feature {name:?}"))),
        None => Ok(()),
    }
}
