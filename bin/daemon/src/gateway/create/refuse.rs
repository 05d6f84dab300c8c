//! The options this engine does not honour yet, each refused by its own name.

use bollard_stubs::models::HostConfig;
use contract::{Kind, PortError};

/// The refusal of one option.
pub fn option(name: &str) -> PortError {
    PortError::new(Kind::Unsupported, format!("gantry does not support {name} yet"))
}

/// Refuses the first unsupported option in use.
pub fn unsupported(host: &HostConfig) -> Result<(), PortError> {
    let mode = |mode: &Option<String>, fine: &[&str]| {
        mode.as_deref().is_some_and(|m| !m.is_empty() && !fine.contains(&m))
    };
    let positive = |n: Option<i64>| n.unwrap_or(0) > 0;
    let table = [("Cgroup", mode(&host.cgroup, &[])), ("CpuCount", positive(host.cpu_count))];
    if let Some((name, _)) = table.iter().find(|(_, used)| *used) {
        return Err(option(name));
    }
    Ok(())
}
