//! `POST /containers/create`: the request, merged with its image, becomes a container's specification.
//! What gantry cannot honour is refused by name; nothing is silently dropped.

mod attachments;
mod defaults;
mod endpoint;
mod health;
mod image;
mod isolation;
mod limits;
mod mounts;
mod ports;
mod refuse;
mod restart;

pub use attachments::attachment;
pub use defaults::{Defaults, fill, log_sinks};
pub use endpoint::interface_settings;
pub use isolation::{Runtimes, settle as settle_namespaces};
pub use limits::{Limited, Purpose, resources};
pub use mounts::{Sources, fill as mount, without_mounts};
pub use refuse::option as unsupported;
pub use restart::known as known_restart_policy;

use bollard_stubs::models::{ContainerCreateBody, HostConfig};
use contract::image::ImageSummary;
use contract::record::ContainerSpec;
use contract::{Kind, PortError};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn invalid(text: impl Into<String>) -> PortError {
    PortError::new(Kind::Invalid, text)
}

/// Builds the specification but for its mounts; `id` and `created_ns` are the caller's.
pub fn resolve(
    body: ContainerCreateBody,
    request: Value,
    image: &ImageSummary,
    defaults: &Defaults,
) -> Result<ContainerSpec, PortError> {
    let host = body.host_config.clone().unwrap_or_default();
    refuse::unsupported(&host)?;
    let from_image = image::ImageDefaults::read(&image.config);
    let entrypoint_given = body.entrypoint.is_some();
    let entrypoint = body.entrypoint.clone().filter(|e| !e.iter().all(String::is_empty) || e.is_empty());
    let entrypoint = match (entrypoint_given, entrypoint) {
        (true, given) => given.unwrap_or_default(),
        (false, _) => from_image.entrypoint.clone(),
    };
    // A new entrypoint drops the image's command, as Docker does.
    let command = match body.cmd.clone().filter(|c| !c.is_empty()) {
        Some(command) => command,
        None if entrypoint_given => Vec::new(),
        None => from_image.command.clone(),
    };
    let args: Vec<String> = entrypoint.iter().chain(&command).cloned().collect();
    if args.is_empty() {
        return Err(invalid("no command specified"));
    }
    let mut labels = from_image.labels.clone();
    labels.extend(body.labels.clone().unwrap_or_default());
    let (log_driver, log_opts) = logging(&host, defaults);
    let mut exposed = from_image.exposed.clone();
    exposed.extend(body.exposed_ports.clone().unwrap_or_default());
    exposed.sort();
    exposed.dedup();
    let tty = body.tty.unwrap_or(false);
    let network_mode = match host.network_mode.as_deref().unwrap_or("default") {
        "" | "default" | "bridge" => "bridge".to_owned(),
        other => other.to_owned(),
    };
    attachments::in_anothers(&body, &host, &network_mode)?;
    if body.network_disabled == Some(true) {
        return Err(refuse::option("NetworkDisabled"));
    }
    let hostname = match non_empty(body.hostname.clone()) {
        None if network_mode == "host" => defaults.hostname.clone(),
        given => given.unwrap_or_default(),
    };
    let working_dir = non_empty(body.working_dir.clone()).unwrap_or(from_image.working_dir);
    if !working_dir.is_empty() && !working_dir.starts_with('/') {
        return Err(invalid(format!(
            "the working directory '{working_dir}' is invalid, it needs to be an absolute path"
        )));
    }
    let mut spec = ContainerSpec {
        image: image.id.clone(),
        image_name: body.image.clone().unwrap_or_default(),
        args,
        entrypoint_len: entrypoint.len(),
        env: image::merge_env(&from_image.env, body.env.as_deref().unwrap_or_default()),
        working_dir,
        user: non_empty(body.user.clone()).unwrap_or(from_image.user),
        hostname,
        domainname: body.domainname.clone().unwrap_or_default(),
        tty,
        open_stdin: body.open_stdin.unwrap_or(false),
        stdin_once: body.stdin_once.unwrap_or(false),
        attach: [
            body.attach_stdin.unwrap_or(false),
            body.attach_stdout.unwrap_or(false),
            body.attach_stderr.unwrap_or(false),
        ],
        stop_signal: non_empty(body.stop_signal.clone()).unwrap_or(from_image.stop_signal),
        stop_timeout: body.stop_timeout,
        ports: if network_mode == "host" {
            Vec::new()
        } else {
            ports::parse(&host, &exposed, defaults.publish)?
        },
        exposed,
        attachments: attachments::attachments(&body, &request, &network_mode)?,
        links: attachments::links(&host, &network_mode)?,
        network_mode,
        extra_hosts: host.extra_hosts.clone().unwrap_or_default(),
        dns: host.dns.clone().unwrap_or_default(),
        dns_search: host.dns_search.clone().unwrap_or_default(),
        dns_options: host.dns_options.clone().unwrap_or_default(),
        shm_size: host.shm_size.filter(|n| *n > 0).unwrap_or(defaults.shm_size),
        resources: limited(&host, &request, defaults)?.0,
        cgroup_parent: limits::cgroup_parent(&host),
        storage_size: limits::storage_size(&host, defaults.storage_size)?,
        ulimits: host
            .ulimits
            .clone()
            .unwrap_or_default()
            .into_iter()
            .map(|u| (u.name.unwrap_or_default(), u.soft.unwrap_or(0), u.hard.unwrap_or(0)))
            .collect(),
        sysctls: host.sysctls.clone().unwrap_or_default().into_iter().collect(),
        oom_score_adj: limits::oom_score_adj(&host)?,
        console_size: console_size(&host),
        auto_remove: host.auto_remove.unwrap_or(false),
        restart: restart::policy(&host)?,
        backoff: restart::backoff(&labels)?,
        labels,
        health: health::resolve(body.healthcheck.as_ref(), from_image.config, &from_image.shell)?,
        log_driver,
        log_opts,
        log_sinks: defaults.log_sinks.clone(),
        request,
        ..ContainerSpec::default()
    };
    isolation::apply(&mut spec, &body, &host, defaults)?;
    Ok(spec)
}

/// Rows and columns, if both were given.
fn console_size(host: &HostConfig) -> Option<(u16, u16)> {
    match host.console_size.as_deref() {
        Some(&[rows, cols]) if rows > 0 && cols > 0 => {
            Some((u16::try_from(rows).ok()?, u16::try_from(cols).ok()?))
        }
        _ => None,
    }
}

/// The limits of a whole request.
fn limited(host: &HostConfig, request: &Value, defaults: &Defaults) -> Result<limits::Limited, PortError> {
    let raw = request.get("HostConfig").unwrap_or(&Value::Null);
    limits::resources(host, raw, &defaults.limits, Purpose::Create)
}

/// What a user should know of a request that is honoured all the same.
pub fn warnings(body: &ContainerCreateBody, request: &Value, defaults: &Defaults) -> Vec<String> {
    let host = body.host_config.clone().unwrap_or_default();
    // A request that is refused is told why by who resolves it.
    let mut out = limited(&host, request, defaults).map(|(_, warnings)| warnings).unwrap_or_default();
    out.extend(isolation::warnings(&host).into_iter().map(str::to_owned));
    let on_host = host.network_mode.as_deref() == Some("host");
    if on_host && host.port_bindings.as_ref().is_some_and(|p| !p.is_empty()) {
        out.push("Published ports are discarded when using host network mode".into());
    }
    out
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

/// The container's driver and options; the daemon's options apply only to the daemon's own driver, except
/// `cache-*`, which apply to every driver (Docker's rule).
pub fn logging(host: &HostConfig, defaults: &Defaults) -> (String, BTreeMap<String, String>) {
    let given = host.log_config.clone().unwrap_or_default();
    let driver = non_empty(given.typ).unwrap_or_else(|| defaults.log_driver.clone());
    let mut options: BTreeMap<String, String> = given.config.unwrap_or_default().into_iter().collect();
    for (key, value) in &defaults.log_opts {
        if driver == defaults.log_driver || key.starts_with("cache-") {
            options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    (driver, options)
}

#[cfg(test)]
mod tests;
