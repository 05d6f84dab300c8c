//! What the daemon's configuration gives containers that say nothing. It is settled when they are created, as their log
//! options are.

use super::Runtimes;
use crate::compose;
use crate::host::{Host, Limits};
use config::{Config, Seccomp};
use contract::log::{DAEMONS, Delivery, Destination, Options, Streams, named};
use contract::record::ContainerSpec;
use contract::{Kind, PortError};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Daemon-wide settings that a request falls back to.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Log driver for containers that name none.
    pub log_driver: String,
    /// Options for that driver.
    pub log_opts: BTreeMap<String, String>,
    /// Where the lines of all containers go besides.
    pub log_sinks: Vec<Destination>,
    /// Bytes of /dev/shm.
    pub shm_size: i64,
    /// Where ports are published that name no address.
    pub publish: Ipv4Addr,
    /// This machine's name, which containers on its network share.
    pub hostname: String,
    /// What the kernel can limit.
    pub limits: Arc<Limits>,
    /// Bytes that a container's own layer may take.
    pub storage_size: Option<u64>,
    /// Runtimes by name.
    pub runtimes: Runtimes,
    /// Who shares a container's System V IPC, in Docker's word.
    pub ipc: String,
    /// Its view of the control groups, in Docker's word.
    pub cgroupns: String,
    /// A small init.
    pub init: bool,
}

/// The daemon's own sinks: their names are apart from those that containers give theirs.
pub fn log_sinks(config: &Config) -> Result<Vec<Destination>, PortError> {
    let told = |name: &str, text: &str| PortError::new(Kind::Invalid, format!("log-sinks: {name}: {text}"));
    let mut out = Vec::new();
    for (name, sink) in &config.defaults.log_sinks {
        let streams = match sink.streams.as_str() {
            "" => Some(Streams::Both),
            text => Streams::parse(text),
        };
        if !named(name) {
            return Err(told(name, "a name has letters, digits, - and _"));
        }
        if sink.driver == "none" {
            return Err(told(name, "none is no log sink: it takes no lines"));
        }
        if log_drivers::find(&sink.driver).is_some_and(|kind| kind.reader().is_some()) {
            return Err(told(
                name,
                "each container has one folder: a sink for all of them sends its lines elsewhere",
            ));
        }
        if let Some(key) = sink.options.keys().find(|key| key.starts_with("cache-")) {
            return Err(told(name, &format!("log opt '{key}' concerns a container's local copy")));
        }
        let (delivery, options): (Options, Options) =
            sink.options.clone().into_iter().partition(|(key, _)| Delivery::is_option(key));
        let streams = streams.ok_or_else(|| told(name, "streams is stdout, stderr or both"))?;
        let delivery = Delivery::of(&delivery).map_err(|e| told(name, &e.text))?;
        let one = Destination::new(&format!("{DAEMONS}{name}"), &sink.driver, streams, &options);
        out.push(Destination { delivery, ..one });
    }
    compose::drivers(config)
        .check_all(&out)
        .map_err(|e| PortError::new(e.kind, format!("log-sinks: {}", e.chain())))?;
    Ok(out)
}

impl Defaults {
    /// Of a daemon on this machine.
    pub fn of(config: &Config, host: &Host) -> Self {
        Self {
            log_driver: config.defaults.log_driver.clone(),
            log_opts: config.defaults.log_opts.clone(),
            // Checked when the daemon started.
            log_sinks: log_sinks(config).unwrap_or_default(),
            shm_size: config.defaults.shm_size,
            publish: config.bridge.ip,
            hostname: host.name.clone(),
            limits: Arc::clone(&host.limits),
            storage_size: config.daemon.storage_size,
            runtimes: Runtimes {
                names: config.defaults.runtimes.keys().cloned().collect(),
                default: config.defaults.default_runtime.clone(),
            },
            ipc: config.defaults.ipc.as_str().to_owned(),
            cgroupns: config.defaults.cgroupns.as_str().to_owned(),
            init: config.defaults.init,
        }
    }
}

/// Fills what a specification leaves open, and refuses what the daemon's configuration rules out.
pub fn fill(spec: &mut ContainerSpec, config: &Config) -> Result<(), PortError> {
    if !config.bridge.icc && !spec.links.is_empty() {
        let text = "gantry does not support Links on a daemon with icc=false: use a user-defined network";
        return Err(PortError::new(Kind::Unsupported, text));
    }
    let own = &config.defaults;
    for limit in &own.ulimits {
        if !spec.ulimits.iter().any(|(name, ..)| *name == limit.name) {
            spec.ulimits.push((limit.name.clone(), limit.soft, limit.hard));
        }
    }
    if spec.dns.is_empty() {
        spec.dns = own.dns.iter().map(ToString::to_string).collect();
    }
    if spec.dns_search.is_empty() {
        spec.dns_search.clone_from(&own.dns_search);
    }
    if spec.dns_options.is_empty() {
        spec.dns_options.clone_from(&own.dns_options);
    }
    if !own.host_gateways.is_empty() {
        let entries = std::mem::take(&mut spec.extra_hosts).into_iter();
        let told = entries.flat_map(|entry| match entry.strip_suffix("host-gateway") {
            Some(name) => own.host_gateways.iter().map(|gateway| format!("{name}{gateway}")).collect(),
            None => vec![entry],
        });
        spec.extra_hosts = told.collect();
    }
    let said = |prefix: &str| spec.security_opt.iter().any(|o| o.starts_with(prefix));
    let (privileges, calls) = (said("no-new-privileges"), said("seccomp"));
    if own.no_new_privileges && !privileges {
        spec.security_opt.push("no-new-privileges".to_owned());
    }
    match &own.seccomp {
        Seccomp::Unconfined if !calls => spec.security_opt.push("seccomp=unconfined".to_owned()),
        Seccomp::File(_, text) if !calls => spec.security_opt.push(format!("seccomp={text}")),
        Seccomp::Builtin | Seccomp::Unconfined | Seccomp::File(..) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Config {
        let args = ["gantryd", "--config-file", "/dev/null"].iter().chain(flags).map(Into::into);
        Config::load(args).unwrap()
    }

    #[test]
    fn only_what_a_container_leaves_open_is_filled() {
        let config = config(&[
            "--dns=10.0.0.1",
            "--dns-search=lan",
            "--dns-opt=ndots:2",
            "--default-ulimit=nofile=1:2",
            "--default-ulimit=core=0",
            "--no-new-privileges",
            "--seccomp-profile=unconfined",
            "--host-gateway-ip=fd00::9",
            "--host-gateway-ip=10.9.9.9",
        ]);
        let mut spec =
            ContainerSpec { extra_hosts: vec!["h:host-gateway".into()], ..ContainerSpec::default() };
        fill(&mut spec, &config).unwrap();
        assert_eq!((spec.dns, spec.dns_search), (vec!["10.0.0.1".to_owned()], vec!["lan".to_owned()]));
        assert_eq!(
            (spec.dns_options, spec.extra_hosts),
            (vec!["ndots:2".to_owned()], vec!["h:10.9.9.9".to_owned(), "h:fd00::9".to_owned()])
        );
        assert_eq!(spec.ulimits, [("core".to_owned(), 0, 0), ("nofile".to_owned(), 1, 2)]);
        assert_eq!(spec.security_opt, ["no-new-privileges", "seccomp=unconfined"]);
        let asked = ContainerSpec {
            dns: vec!["10.0.0.2".into()],
            ulimits: vec![("nofile".into(), 7, 7)],
            security_opt: vec!["no-new-privileges:false".into(), "seccomp=builtin".into()],
            ..ContainerSpec::default()
        };
        let mut spec = asked.clone();
        fill(&mut spec, &config).unwrap();
        assert_eq!((spec.dns, spec.security_opt), (asked.dns, asked.security_opt));
        assert_eq!(spec.ulimits, [("nofile".to_owned(), 7, 7), ("core".to_owned(), 0, 0)]);
    }
}
