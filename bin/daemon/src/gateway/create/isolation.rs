//! What sets a container apart from its host: capabilities, namespaces, devices, security options.

use super::invalid;
use contract::PortError;

/// Names of capabilities, known ones.
pub(super) fn capabilities(names: Option<Vec<String>>) -> Result<Vec<String>, PortError> {
    let names = names.unwrap_or_default();
    for name in &names {
        if !name.eq_ignore_ascii_case("ALL") && runtime::oci::canonical_capability(name).is_none() {
            return Err(invalid(format!("invalid capability: unknown capability: \"{name}\"")));
        }
    }
    Ok(names)
}
