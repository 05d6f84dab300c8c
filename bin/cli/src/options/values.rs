//! The small languages inside single flags.

use std::collections::HashMap;

use bollard::models::{DeviceMapping, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum};

use super::OptionError;

fn bad(flag: &'static str, value: &str, why: impl Into<String>) -> OptionError {
    OptionError::Value { flag, value: value.to_owned(), why: why.into() }
}

/// Lines of a file of variables or labels.
pub fn lines(path: &str) -> Result<Vec<String>, OptionError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| OptionError::File { path: path.to_owned(), why: error.to_string() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// Variables of files and flags; a bare name takes the value `lookup` has, or vanishes.
pub fn environment(
    from_files: &[String],
    flags: &[String],
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, OptionError> {
    let mut found = Vec::new();
    for entry in from_files.iter().chain(flags) {
        match entry.split_once('=') {
            Some(("", _)) => return Err(bad("env", entry, "invalid environment variable")),
            Some(_) => found.push(entry.clone()),
            None => found.extend(lookup(entry).map(|value| format!("{entry}={value}"))),
        }
    }
    Ok(found)
}

/// `key=value` flags as a map; a bare key has an empty value.
pub fn map(flags: &[String]) -> HashMap<String, String> {
    flags
        .iter()
        .map(|flag| flag.split_once('=').unwrap_or((flag, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `--log-opt`, which needs a value.
pub fn log_options(flags: &[String]) -> Result<HashMap<String, String>, OptionError> {
    match flags.iter().find(|flag| !flag.contains('=')) {
        Some(flag) => Err(bad("log-opt", flag, "expected KEY=VALUE")),
        None => Ok(map(flags)),
    }
}

/// `--restart`.
pub fn restart(text: &str) -> Result<RestartPolicy, OptionError> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => {
            let count =
                count.parse().map_err(|_| bad("restart", text, "maximum retry count must be an integer"))?;
            (name, Some(count))
        }
        None => (text, None),
    };
    let name = match name {
        "no" | "" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => {
            return Err(bad(
                "restart",
                text,
                "unknown policy; use 'no', 'always', 'unless-stopped' or 'on-failure'",
            ));
        }
    };
    if count.is_some() && name != RestartPolicyNameEnum::ON_FAILURE {
        return Err(bad("restart", text, "maximum retry count can only be used with 'on-failure'"));
    }
    Ok(RestartPolicy { name: Some(name), maximum_retry_count: count })
}

/// `--ulimit`.
pub fn ulimit(text: &str) -> Result<ResourcesUlimits, OptionError> {
    let why = || bad("ulimit", text, "invalid ulimit argument");
    let (name, limits) = text.split_once('=').ok_or_else(why)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| why());
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(bad("ulimit", text, "ulimit soft limit must be less than or equal to hard limit"));
    }
    Ok(ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) })
}

/// `--cpus`, in billionths.
pub fn nano_cpus(text: &str) -> Result<i64, OptionError> {
    match text.parse::<f64>() {
        Ok(cpus) if cpus >= 0.0 && cpus.is_finite() => Ok((cpus * 1e9).round() as i64),
        _ => Err(bad("cpus", text, "not a number of CPUs")),
    }
}

/// `--tmpfs`.
pub fn tmpfs(flags: &[String]) -> HashMap<String, String> {
    flags
        .iter()
        .map(|flag| flag.split_once(':').unwrap_or((flag, "")))
        .map(|(path, options)| (path.to_owned(), options.to_owned()))
        .collect()
}

/// `--add-host`; both `host:ip` and `host=ip` are in use.
pub fn add_host(text: &str) -> Result<String, OptionError> {
    let (host, ip) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(|| bad("add-host", text, "bad format for add-host"))?;
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    match ip == "host-gateway" || ip.parse::<std::net::IpAddr>().is_ok() {
        true => Ok(format!("{host}:{ip}")),
        false => Err(bad("add-host", text, format!("invalid IP address in add-host: \"{ip}\""))),
    }
}

/// `--device`.
pub fn device(text: &str) -> DeviceMapping {
    let is_mode = |part: &&str| !part.is_empty() && part.chars().all(|c| "rwm".contains(c));
    let parts: Vec<&str> = text.split(':').collect();
    let host = parts.first().copied().unwrap_or_default();
    let mode = parts.get(1..).and_then(|rest| rest.last()).copied().filter(is_mode);
    let inside = parts.get(1).copied().filter(|part| part.starts_with('/')).unwrap_or(host);
    DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(mode.unwrap_or("rwm").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_variable_passes_on_this_process_value_or_nothing() {
        let lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let flags = ["A=1".to_owned(), "HOME".to_owned(), "NOPE".to_owned(), "B=".to_owned()];
        assert_eq!(
            environment(&["F=0".to_owned()], &flags, lookup).unwrap(),
            ["F=0", "A=1", "HOME=/root", "B="]
        );
        assert!(environment(&[], &["=x".to_owned()], |_| None).is_err());
    }

    #[test]
    fn restart_policies_are_checked_before_the_daemon_sees_them() {
        assert_eq!(restart("on-failure:3").unwrap().maximum_retry_count, Some(3));
        assert!(restart("always:3").is_err());
        assert!(restart("sometimes").is_err());
    }

    #[test]
    fn limits_and_cpus_are_numbers() {
        let limit = ulimit("nofile=1024:2048").unwrap();
        assert_eq!((limit.soft, limit.hard), (Some(1024), Some(2048)));
        assert!(ulimit("nofile=2:1").is_err());
        assert_eq!(nano_cpus("1.5").unwrap(), 1_500_000_000);
        assert!(nano_cpus("many").is_err());
    }

    #[test]
    fn hosts_take_both_separators() {
        assert_eq!(add_host("db:10.0.0.1").unwrap(), "db:10.0.0.1");
        assert_eq!(add_host("db=[::1]").unwrap(), "db:::1");
        assert!(add_host("db").is_err());
    }
}
