//! OCI runtimes besides gantry's own.

use crate::error::ValueError;
use crate::source::Source;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names that mean gantry's own sandbox; Docker's clients say `runc` when they mean the usual one.
pub const OWN: [&str; 2] = ["gantry", "runc"];

/// An external runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// The program, by path or by name on PATH.
    pub path: String,
    /// Arguments before the runtime's own.
    #[serde(rename = "runtimeArgs")]
    pub args: Vec<String>,
    #[serde(rename = "runtimeType")]
    shim: String,
    options: serde_json::Map<String, serde_json::Value>,
}

/// The runtimes by name, and the one used when nothing is said.
pub(crate) fn read(source: &Source) -> Result<(BTreeMap<String, Runtime>, String), ValueError> {
    const KEY: &str = "runtimes";
    let told = ValueError::Told;
    let mut runtimes: BTreeMap<String, Runtime> = source.object(KEY)?;
    for text in source.flags.get(KEY).into_iter().flatten() {
        let (name, path) = match text.split_once('=').map(|(n, p)| (n.trim(), p.trim())) {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => (name.to_ascii_lowercase(), path),
            _ => return Err(told(format!("invalid runtime argument: {text}"))),
        };
        if runtimes.contains_key(&name) {
            return Err(told(format!("runtime '{name}' was already defined")));
        }
        runtimes.insert(name, Runtime { path: path.to_owned(), ..Runtime::default() });
    }
    for (name, runtime) in &runtimes {
        if OWN.contains(&name.as_str()) {
            return Err(told(format!("runtime name '{name}' is reserved")));
        }
        if !runtime.shim.is_empty() || !runtime.options.is_empty() {
            let text = format!("runtime {name}: runtimeType and options are containerd's, give it a path");
            return Err(source.unsupported(KEY, text));
        }
        if runtime.path.is_empty() {
            return Err(told(format!("runtime {name}: either a runtimeType or a path must be configured")));
        }
    }
    let default = source.some_text("default-runtime")?.unwrap_or_else(|| "gantry".to_owned());
    if !OWN.contains(&default.as_str()) && !runtimes.contains_key(&default) {
        return Err(told(format!("specified default runtime '{default}' does not exist")));
    }
    Ok((runtimes, default))
}
