//! OCI runtimes besides gantry's own, by name.

use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherRuntime {
    /// Its program, by path or by name on PATH.
    pub program: String,
    /// Arguments before its own.
    pub args: Vec<String>,
}

/// All that are configured now.
#[derive(Debug, Clone, Default)]
pub struct OtherRuntimes(Arc<RwLock<BTreeMap<String, OtherRuntime>>>);

impl OtherRuntimes {
    /// From now on it is these.
    pub fn configure(&self, runtimes: BTreeMap<String, OtherRuntime>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = runtimes;
    }

    /// The one of a name, its program as an absolute path.
    pub fn find(&self, name: &str) -> Result<(PathBuf, Vec<String>), PortError> {
        let found = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let found = found.ok_or_else(|| {
            PortError::new(Kind::Invalid, format!("unknown or invalid runtime name: {name}"))
        })?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = match found.program.contains('/') {
            true => Some(PathBuf::from(&found.program)).filter(|p| p.is_file()),
            false => std::env::split_paths(&path).map(|p| p.join(&found.program)).find(|p| p.is_file()),
        };
        let program = program.and_then(|p| std::path::absolute(Path::new(&p)).ok()).ok_or_else(|| {
            let text = format!("runtime {name}: {:?}: executable file not found", found.program);
            PortError::new(Kind::Exhausted, text)
        })?;
        Ok((program, found.args))
    }
}
