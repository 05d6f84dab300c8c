//! Health checks as Docker's API words them.

use super::time;
use contract::record::{Health, HealthState, Wellbeing};
use serde_json::{Map, Value, json};

/// `Config.Healthcheck`: what was not set is left out.
pub fn config(health: &Health) -> Value {
    let mut out = Map::new();
    if !health.test.is_empty() {
        out.insert("Test".into(), json!(health.test));
    }
    let numbers = [
        ("Interval", health.interval_ns),
        ("Timeout", health.timeout_ns),
        ("StartPeriod", health.start_period_ns),
        ("StartInterval", health.start_interval_ns),
        ("Retries", health.retries),
    ];
    out.extend(numbers.iter().filter(|(_, n)| *n != 0).map(|(k, n)| ((*k).to_owned(), json!(n))));
    Value::Object(out)
}

/// `State.Health`.
pub fn state(health: &HealthState) -> Value {
    let probe = |p: &contract::record::Probe| json!({ "Start": time(p.start_ns), "End": time(p.end_ns), "ExitCode": p.exit_code, "Output": p.output });
    json!({
        "Status": word(health.status),
        "FailingStreak": health.failing_streak,
        "Log": health.log.iter().map(probe).collect::<Vec<_>>(),
    })
}

/// `starting`, `healthy`, `unhealthy`.
pub fn word(status: Wellbeing) -> &'static str {
    match status {
        Wellbeing::Starting => "starting",
        Wellbeing::Healthy => "healthy",
        Wellbeing::Unhealthy => "unhealthy",
    }
}
