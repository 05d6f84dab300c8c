//! Restart policies, in Docker's words, and gantry's tunables of their pauses.

use super::invalid;
use bollard_stubs::models::HostConfig;
use contract::PortError;
use contract::record::Backoff;
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Labels that tune the pauses begin so.
const TUNABLE: &str = "gantry.restart.";

/// The policy and its count.
pub(super) fn policy(host: &HostConfig) -> Result<(String, i64), PortError> {
    let Some(policy) = &host.restart_policy else { return Ok(("no".into(), 0)) };
    let name = policy.name.map_or_else(String::new, |n| n.to_string());
    let count = policy.maximum_retry_count.unwrap_or(0);
    let name = if name.is_empty() { "no".to_owned() } else { name };
    if host.auto_remove == Some(true) && name != "no" {
        return Err(invalid("can't create 'AutoRemove' container with restart policy"));
    }
    match (name.as_str(), count) {
        (_, 0) | ("on-failure", 1..) => Ok((name, count)),
        ("on-failure", _) => Err(invalid("invalid restart policy: maximum retry count cannot be negative")),
        (_, n) => {
            let negative = if n < 0 { " and cannot be negative" } else { "" };
            Err(invalid(format!(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}"
            )))
        }
    }
}

/// Refuses a policy that nobody knows, before the request is read as a whole.
pub fn known(request: &Value) -> Result<(), PortError> {
    let name = request.pointer("/HostConfig/RestartPolicy/Name").and_then(Value::as_str).unwrap_or_default();
    match name {
        "" | "no" | "always" | "on-failure" | "unless-stopped" => Ok(()),
        other => Err(invalid(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or \
             'unless-stopped'"
        ))),
    }
}

/// The pauses before restarts, from the labels `gantry.restart.min`, `.max` and `.reset`.
pub(super) fn backoff(labels: &BTreeMap<String, String>) -> Result<Backoff, PortError> {
    let mut out = Backoff::default();
    for (label, text) in labels {
        let Some(key) = label.strip_prefix(TUNABLE) else { continue };
        let place = match key {
            "min" => &mut out.min,
            "max" => &mut out.max,
            "reset" => &mut out.reset,
            _ => return Err(invalid(format!("unknown label {label}: use {TUNABLE}min, max or reset"))),
        };
        let time = text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        *place = time.filter(|d| *d >= Duration::from_millis(1)).ok_or_else(|| {
            invalid(format!("label {label}: {text:?} is no time of at least 1ms, as 500ms or 2m"))
        })?;
    }
    // One that is only slowed down need not know of the other limit.
    match (labels.contains_key("gantry.restart.min"), labels.contains_key("gantry.restart.max")) {
        (true, true) if out.min > out.max => {
            Err(invalid(format!("label {TUNABLE}min is longer than {TUNABLE}max")))
        }
        (true, false) => Ok(Backoff { max: out.max.max(out.min), ..out }),
        (false, true) => Ok(Backoff { min: out.min.min(out.max), ..out }),
        _ => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(policy: Value) -> String {
        let host: HostConfig = serde_json::from_value(json!({ "RestartPolicy": policy })).unwrap();
        super::policy(&host).unwrap_err().text
    }

    #[test]
    fn wrong_policies_are_refused_in_dockers_words() {
        let only = "invalid restart policy: maximum retry count can only be used with 'on-failure'";
        assert_eq!(refused(json!({"Name": "always", "MaximumRetryCount": 3})), only);
        let negative = json!({"Name": "no", "MaximumRetryCount": -1});
        assert_eq!(refused(negative), format!("{only} and cannot be negative"));
        assert_eq!(
            refused(json!({"Name": "on-failure", "MaximumRetryCount": -1})),
            "invalid restart policy: maximum retry count cannot be negative"
        );
        let unknown = known(&json!({"HostConfig": {"RestartPolicy": {"Name": "x"}}})).unwrap_err();
        assert!(unknown.text.starts_with("invalid restart policy: unknown policy 'x'; use one of 'no', "));
    }

    #[test]
    fn labels_tune_the_pauses() {
        let of = |pairs: &[(&str, &str)]| {
            backoff(&pairs.iter().map(|(k, v)| (format!("gantry.restart.{k}"), (*v).to_owned())).collect())
        };
        let tuned = of(&[("min", "2s"), ("max", "5m"), ("reset", "1m30s")]).unwrap();
        assert_eq!([tuned.min, tuned.max, tuned.reset].map(|d| d.as_secs()), [2, 300, 90]);
        assert_eq!(of(&[("max", "50ms")]).unwrap().min, Duration::from_millis(50));
        assert_eq!(of(&[("min", "2m")]).unwrap().max, Duration::from_secs(120));
        for wrong in [[("min", "soon")], [("max", "0s")], [("mni", "1s")]] {
            assert!(of(&wrong).is_err(), "{wrong:?}");
        }
        assert!(of(&[("min", "2s"), ("max", "1s")]).is_err());
    }
}
