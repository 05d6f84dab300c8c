//! What a name stands for, without pulling it.

use crate::blob;
use crate::client::RegistryClient;
use crate::fault::Fault;
use crate::manifest::{self, Descriptor};
use crate::session::Session;
use contract::image::{Credentials, Inspected, RemoteName};
use contract::{Kind, PortError};
use serde_json::{Map, Value, json};

/// The fields of a platform that it has (OCI image specification, "Platform").
fn platform(of: &Value) -> Value {
    let fields = ["architecture", "os", "os.version", "os.features", "variant"];
    let full = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let found = fields.iter().filter_map(|k| Some(((*k).to_owned(), of.get(*k).filter(full)?.clone())));
    Value::Object(found.collect::<Map<String, Value>>())
}

async fn look(session: Session, wanted: &str) -> Result<Inspected, Fault> {
    let found = manifest::fetch_whole(&session, wanted).await?;
    let descriptor = json!({ "mediaType": found.media_type, "digest": found.digest, "size": found.size });
    let platforms = match found.content.get("manifests").and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(|entry| entry.get("platform")).map(platform).collect(),
        None => {
            let config = Descriptor::read(found.content.get("config").unwrap_or(&Value::Null))?;
            let config = blob::fetch_small(&session, &config).await?;
            let config: Value = serde_json::from_slice(&config)
                .map_err(|e| Fault::Content(format!("the configuration of {wanted} is not valid: {e}")))?;
            vec![platform(&config)]
        }
    };
    Ok(Inspected { descriptor, platforms })
}

impl RegistryClient {
    /// From the first of the registry's addresses that has it.
    pub(crate) async fn look_at(
        &self,
        name: &RemoteName,
        auth: Option<Credentials>,
    ) -> Result<Inspected, Fault> {
        let wanted = name.digest.as_ref().unwrap_or(&name.tag);
        self.ask(name, auth, |session| look(session, wanted)).await
    }
}

/// The registry's own words, under the status that belongs to them.
pub fn told(fault: Fault) -> PortError {
    let kind = match &fault {
        Fault::Named { code, .. } => match code.as_str() {
            "UNAUTHORIZED" => Kind::Unauthorized,
            "DENIED" => Kind::Denied,
            "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" => Kind::NotFound,
            "NAME_INVALID" | "TAG_INVALID" | "DIGEST_INVALID" => Kind::Invalid,
            _ => Kind::Bug,
        },
        Fault::Missing(_) => Kind::NotFound,
        _ => Kind::Bug,
    };
    match fault {
        Fault::Port(error) => error,
        fault => PortError::new(kind, fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_what_they_say() {
        let config =
            json!({"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "", "history": []});
        assert_eq!(platform(&config), json!({"architecture": "arm64", "os": "linux", "variant": "v8"}));
    }
}
