//! `POST /containers/{id}/update`.

use super::{body_json, id_of};
use crate::gateway::create::{Defaults, Purpose, logging, resources};
use crate::gateway::status::Answer;
use crate::gateway::{Shared, json};
use actors::Changes;
use axum::extract::{Path, Request, State};
use bollard_stubs::models::{HostConfig, HostConfigLogConfig};
use contract::log::Options;
use contract::{Kind, PortError};
use serde_json::{Value, json as object};

pub async fn update(State(gateway): State<Shared>, Path(name): Path<String>, request: Request) -> Answer {
    let raw = body_json(request).await?;
    let restart = restart(&raw)?;
    let log = log(&raw, &Defaults::of(&gateway.live.get(), &gateway.host))?;
    let (resources, warnings) = read(raw, &gateway.host.limits)?;
    gateway.engine.update(&id_of(&gateway, &name)?, Changes { resources, restart, log }).await?;
    Ok(json(&object!({ "Warnings": if warnings.is_empty() { Value::Null } else { object!(warnings) } })))
}

fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// What is no limit.
const OWN: [&str; 2] = ["RestartPolicy", "LogConfig"];

/// Limits have the same names here as in a create. Those of single devices cannot be changed before API 1.55 and are not
/// looked at, as in Docker.
fn read(mut raw: Value, can: &crate::host::Limits) -> Result<crate::gateway::create::Limited, PortError> {
    let devices = [
        "BlkioWeightDevice",
        "BlkioDeviceReadBps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteIOps",
    ];
    if let Some(map) = raw.as_object_mut() {
        map.retain(|key, _| !devices.contains(&key.as_str()) && !OWN.contains(&key.as_str()));
    }
    let host: HostConfig =
        serde_json::from_value(raw.clone()).map_err(|e| invalid(format!("invalid JSON: {e}")))?;
    let (mut limits, warnings) = resources(&host, &raw, can, Purpose::Update)?;
    // Any number that is none takes the limit away.
    limits.pids_limit = limits.pids_limit.map(|n| n.max(0));
    Ok((limits, warnings))
}

/// The restart policy, if one is asked for (moby `ValidateRestartPolicy`).
fn restart(raw: &Value) -> Result<Option<(String, i64)>, PortError> {
    let policy = raw.get("RestartPolicy").unwrap_or(&Value::Null);
    let name = policy.get("Name").and_then(Value::as_str).unwrap_or_default();
    let count = policy.get("MaximumRetryCount").and_then(Value::as_i64).unwrap_or(0);
    match name {
        "" => return Ok(None),
        "no" | "always" | "unless-stopped" if count != 0 => {
            let also = if count < 0 { " and cannot be negative" } else { "" };
            return Err(invalid(format!(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'{also}"
            )));
        }
        "on-failure" if count < 0 => {
            return Err(invalid("invalid restart policy: maximum retry count cannot be negative"));
        }
        "no" | "always" | "unless-stopped" | "on-failure" => {}
        unknown => {
            return Err(invalid(format!(
                "invalid restart policy: unknown policy '{unknown}'; use one of 'no', 'always', 'on-failure', or \
                 'unless-stopped'"
            )));
        }
    }
    Ok(Some((name.to_owned(), count)))
}

/// The log driver and its options, if others are asked for. Docker's clients never do: this is gantry's own. What is left open
/// is filled as in a create.
fn log(raw: &Value, defaults: &Defaults) -> Result<Option<(String, Options)>, PortError> {
    let given = raw.get("LogConfig").cloned().unwrap_or_default();
    let given: Option<HostConfigLogConfig> =
        serde_json::from_value(given).map_err(|e| invalid(format!("invalid JSON: {e}")))?;
    let says = |c: &HostConfigLogConfig| {
        c.typ.as_ref().is_some_and(|t| !t.is_empty()) || c.config.as_ref().is_some_and(|c| !c.is_empty())
    };
    let host = HostConfig { log_config: given.filter(says), ..HostConfig::default() };
    Ok(host.log_config.is_some().then(|| logging(&host, defaults)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_are_checked_in_dockers_words() {
        let ask = |name: &str, count: i64| {
            restart(&object!({ "RestartPolicy": { "Name": name, "MaximumRetryCount": count } }))
                .map_err(|e| e.text)
        };
        assert_eq!(ask("", 0), Ok(None));
        assert_eq!(ask("on-failure", 3), Ok(Some(("on-failure".into(), 3))));
        assert!(ask("always", 3).unwrap_err().ends_with("can only be used with 'on-failure'"));
        assert!(ask("sometimes", 0).unwrap_err().contains("unknown policy 'sometimes'"));
    }

    #[test]
    fn limits_of_single_devices_are_left_alone() {
        let raw = object!({ "CpuShares": 5, "BlkioDeviceReadBps": [{ "Path": "/dev/none", "Rate": 1 }] });
        let can = crate::host::Limits { shares: true, read_bps: true, ..Default::default() };
        let (resources, _) = read(raw, &can).unwrap();
        assert_eq!((resources.cpu_shares, resources.read_bps.len()), (5, 0));
    }
}
