//! How a container's health is checked: the request's wish over its image's `HEALTHCHECK`.

use super::invalid;
use bollard_stubs::models::HealthConfig;
use contract::PortError;
use contract::record::Health;
use serde_json::Value;

/// Docker's shortest time of a health check, nanoseconds.
const SHORTEST: i64 = 1_000_000;

/// The request's check, with what it leaves open from `image`, an image's configuration. `shell` runs `CMD-SHELL`.
pub(super) fn resolve(
    asked: Option<&HealthConfig>,
    image: &Value,
    shell: &[String],
) -> Result<Option<Health>, PortError> {
    if let Some(asked) = asked {
        check(asked)?;
    }
    let own = asked.map(read);
    let inherited = image.get("Healthcheck").filter(|h| !h.is_null()).map(from_image);
    let mut health = match (own, inherited) {
        (None, None) => return Ok(None),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(own), Some(image)) => merged(own, image),
    };
    health.args = probe(&health.test, shell);
    Ok(Some(health).filter(|h| *h != Health::default()))
}

/// Docker's checks, in its words.
fn check(health: &HealthConfig) -> Result<(), PortError> {
    let times = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ];
    for (name, time) in times {
        if time.is_some_and(|t| t != 0 && t < SHORTEST) {
            return Err(invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if health.retries.is_some_and(|n| n < 0) {
        return Err(invalid("Retries in Healthcheck cannot be negative"));
    }
    let test = health.test.as_deref().unwrap_or_default();
    match test.first().map(String::as_str) {
        None | Some("NONE") => Ok(()),
        Some("CMD" | "CMD-SHELL") if test.len() > 1 => Ok(()),
        Some("CMD" | "CMD-SHELL") => Err(invalid("the health check has no command")),
        // Docker takes these and never runs them.
        Some(other) => {
            Err(invalid(format!("unknown health check type '{other}': use NONE, CMD or CMD-SHELL")))
        }
    }
}

fn read(health: &HealthConfig) -> Health {
    Health {
        test: health.test.clone().unwrap_or_default(),
        args: Vec::new(),
        interval_ns: health.interval.unwrap_or(0),
        timeout_ns: health.timeout.unwrap_or(0),
        start_period_ns: health.start_period.unwrap_or(0),
        start_interval_ns: health.start_interval.unwrap_or(0),
        retries: health.retries.unwrap_or(0),
    }
}

fn from_image(health: &Value) -> Health {
    let number = |key: &str| health.get(key).and_then(Value::as_i64).unwrap_or(0);
    let test = health.get("Test").and_then(Value::as_array);
    Health {
        test: test.into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned)).collect(),
        args: Vec::new(),
        interval_ns: number("Interval"),
        timeout_ns: number("Timeout"),
        start_period_ns: number("StartPeriod"),
        start_interval_ns: number("StartInterval"),
        retries: number("Retries"),
    }
}

/// Field by field (moby `daemon/commit.go`).
fn merged(own: Health, image: Health) -> Health {
    let or = |own: i64, image: i64| if own == 0 { image } else { own };
    Health {
        test: if own.test.is_empty() { image.test } else { own.test },
        args: Vec::new(),
        interval_ns: or(own.interval_ns, image.interval_ns),
        timeout_ns: or(own.timeout_ns, image.timeout_ns),
        start_period_ns: or(own.start_period_ns, image.start_period_ns),
        start_interval_ns: or(own.start_interval_ns, image.start_interval_ns),
        retries: or(own.retries, image.retries),
    }
}

/// What a probe runs; nothing for `NONE`, and for an image's test of a kind that Docker does not know either.
fn probe(test: &[String], shell: &[String]) -> Vec<String> {
    match test.split_first() {
        Some((kind, command)) if kind == "CMD" => command.to_vec(),
        Some((kind, command)) if kind == "CMD-SHELL" && !command.is_empty() => {
            let own = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if shell.is_empty() { &own } else { shell };
            shell.iter().chain(command).cloned().collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(asked: Value, image: Value) -> Result<Option<Health>, PortError> {
        let asked: Option<HealthConfig> = serde_json::from_value(asked).unwrap();
        resolve(asked.as_ref(), &image, &[])
    }

    #[test]
    fn what_the_request_leaves_open_comes_from_the_image() {
        let image = json!({"Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Interval": 5_000_000_000_i64, "Retries": 7}});
        let health = resolved(json!({"Retries": 2}), image.clone()).unwrap().unwrap();
        assert_eq!((health.retries, health.interval_ns), (2, 5_000_000_000));
        assert_eq!(health.args, ["/bin/sh", "-c", "curl x"]);
        let off = resolved(json!({"Test": ["NONE"]}), image).unwrap().unwrap();
        assert!(off.args.is_empty());
        assert_eq!(resolved(json!({}), json!({})).unwrap(), None);
    }

    #[test]
    fn an_images_own_shell_runs_its_command() {
        let shell = ["bash".to_owned(), "-ec".to_owned()];
        assert_eq!(probe(&["CMD-SHELL".into(), "x".into()], &shell), ["bash", "-ec", "x"]);
        assert_eq!(probe(&["CMD".into(), "x".into(), "y".into()], &shell), ["x", "y"]);
    }

    #[test]
    fn wrong_values_are_refused_in_dockers_words() {
        let text = |asked| resolved(asked, json!({})).unwrap_err().text;
        assert_eq!(text(json!({"Interval": 1000})), "Interval in Healthcheck cannot be less than 1ms");
        assert_eq!(text(json!({"StartInterval": 1})), "StartInterval in Healthcheck cannot be less than 1ms");
        assert_eq!(text(json!({"Retries": -1})), "Retries in Healthcheck cannot be negative");
        assert!(text(json!({"Test": ["PING", "x"]})).contains("PING"));
    }
}
