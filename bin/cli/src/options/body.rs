//! Flags into the body of `POST /containers/create`.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkingConfig,
};

use super::volumes::Volume;
use super::{ContainerOptions, OptionError, ports, values, volumes};
use crate::error::CommandError;
use crate::units;

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn size(text: &Option<String>) -> Result<Option<i64>, CommandError> {
    Ok(text.as_deref().map(units::ram_in_bytes).transpose()?)
}

/// The body `options` ask for. `attached` is whether someone will be looking on.
pub fn create(options: &ContainerOptions, attached: bool) -> Result<ContainerCreateBody, CommandError> {
    if options.rm && options.restart.as_deref().is_some_and(|policy| policy != "no") {
        return Err(OptionError::Conflict("cannot specify both --restart and --rm").into());
    }
    if options.cpus.is_some() && (options.cpu_period.is_some() || options.cpu_quota.is_some()) {
        return Err(OptionError::Conflict("Nano CPUs and CPU Period/Quota cannot both be set").into());
    }
    let mut from_files = Vec::new();
    for path in &options.env_file {
        from_files.extend(values::lines(path)?);
    }
    let env = values::environment(&from_files, &options.env, |name| std::env::var(name).ok())?;
    let mut labels = HashMap::new();
    for path in &options.label_file {
        labels.extend(values::map(&values::lines(path)?));
    }
    labels.extend(values::map(&options.label));

    let (mut binds, mut anonymous) = (Vec::new(), Vec::new());
    let here = std::env::current_dir().unwrap_or_default();
    for spec in &options.volume {
        match volumes::volume(spec, &here)? {
            Volume::Bind(bind) => binds.push(bind),
            Volume::Anonymous(path) => anonymous.push(path),
        }
    }
    let port_bindings = ports::bindings(&options.publish)?;
    let mut exposed: Vec<String> = port_bindings.keys().cloned().collect();
    for spec in &options.expose {
        exposed.extend(ports::expose(spec)?);
    }
    exposed.sort();
    exposed.dedup();

    let command: Vec<String> = options.image_and_command.iter().skip(1).cloned().collect();
    let attach_stdin = attached && options.interactive && options.attaches("stdin");
    Ok(ContainerCreateBody {
        image: Some(options.image().to_owned()),
        cmd: some(command),
        // An empty --entrypoint resets the image's, which the API spells [""].
        entrypoint: options.entrypoint.clone().map(|entrypoint| vec![entrypoint]),
        hostname: options.hostname.clone(),
        domainname: options.domainname.clone(),
        user: options.user.clone(),
        working_dir: options.workdir.clone(),
        env: some(env),
        labels: Some(labels),
        tty: Some(options.tty),
        open_stdin: Some(options.interactive),
        stdin_once: Some(attach_stdin),
        attach_stdin: Some(attach_stdin),
        attach_stdout: Some(attached && options.attaches("stdout")),
        attach_stderr: Some(attached && options.attaches("stderr")),
        exposed_ports: some(exposed),
        volumes: some(anonymous),
        stop_signal: options.stop_signal.clone(),
        stop_timeout: options.stop_timeout,
        healthcheck: health(options)?,
        networking_config: networking(options),
        host_config: Some(HostConfig {
            binds: some(binds),
            port_bindings: (!port_bindings.is_empty()).then_some(port_bindings),
            ..host_config(options)?
        }),
        ..Default::default()
    })
}

fn host_config(options: &ContainerOptions) -> Result<HostConfig, CommandError> {
    let memory_swap = match options.memory_swap.as_deref() {
        Some("-1") => Some(-1),
        _ => size(&options.memory_swap)?,
    };
    let log_config = (options.log_driver.is_some() || !options.log_opt.is_empty())
        .then(|| {
            values::log_options(&options.log_opt)
                .map(|config| HostConfigLogConfig { typ: options.log_driver.clone(), config: Some(config) })
        })
        .transpose()?;
    let console = crate::terminal::size().filter(|_| options.tty);
    Ok(HostConfig {
        network_mode: Some(first_network(options).unwrap_or("default").to_owned()),
        publish_all_ports: Some(options.publish_all),
        auto_remove: Some(options.rm),
        log_config,
        restart_policy: options.restart.as_deref().map(values::restart).transpose()?,
        memory: size(&options.memory)?,
        memory_swap,
        memory_reservation: size(&options.memory_reservation)?,
        cpu_shares: options.cpu_shares,
        cpuset_cpus: options.cpuset_cpus.clone(),
        cpuset_mems: options.cpuset_mems.clone(),
        nano_cpus: options.cpus.as_deref().map(values::nano_cpus).transpose()?,
        cpu_period: options.cpu_period,
        cpu_quota: options.cpu_quota,
        pids_limit: options.pids_limit,
        oom_score_adj: options.oom_score_adj,
        oom_kill_disable: options.oom_kill_disable.then_some(true),
        cap_add: some(options.cap_add.clone()),
        cap_drop: some(options.cap_drop.clone()),
        privileged: Some(options.privileged),
        security_opt: some(options.security_opt.clone()),
        devices: some(options.device.iter().map(|text| values::device(text)).collect()),
        group_add: some(options.group_add.clone()),
        init: options.init.then_some(true),
        readonly_rootfs: Some(options.read_only),
        tmpfs: (!options.tmpfs.is_empty()).then(|| values::tmpfs(&options.tmpfs)),
        shm_size: size(&options.shm_size)?,
        ulimits: some(options.ulimit.iter().map(|text| values::ulimit(text)).collect::<Result<_, _>>()?),
        sysctls: (!options.sysctl.is_empty()).then(|| values::map(&options.sysctl)),
        extra_hosts: some(
            options.add_host.iter().map(|text| values::add_host(text)).collect::<Result<_, _>>()?,
        ),
        dns: some(options.dns.clone()),
        dns_options: some(options.dns_option.clone()),
        dns_search: some(options.dns_search.clone()),
        links: some(options.link.clone()),
        mounts: some(options.mount.iter().map(|text| volumes::mount(text)).collect::<Result<_, _>>()?),
        volumes_from: some(options.volumes_from.clone()),
        pid_mode: options.pid.clone(),
        ipc_mode: options.ipc.clone(),
        uts_mode: options.uts.clone(),
        userns_mode: options.userns.clone(),
        cgroupns_mode: options.cgroupns.as_deref().and_then(|mode| mode.parse().ok()),
        cgroup_parent: options.cgroup_parent.clone(),
        runtime: options.runtime.clone(),
        console_size: console.map(|(rows, columns)| vec![usize::from(rows), usize::from(columns)]),
        ..Default::default()
    })
}

/// The network's name in `NAME` or `name=NAME,alias=…`.
fn network_name(text: &str) -> &str {
    text.split(',').find_map(|field| field.strip_prefix("name=")).unwrap_or(text)
}

fn first_network(options: &ContainerOptions) -> Option<&str> {
    options.network.first().map(|text| network_name(text))
}

fn networking(options: &ContainerOptions) -> Option<NetworkingConfig> {
    let mut endpoints = HashMap::new();
    for (position, text) in options.network.iter().enumerate() {
        let field = |name: &str| {
            text.split(',')
                .filter_map(|field| field.split_once('='))
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
                .collect::<Vec<_>>()
        };
        let mut aliases = field("alias");
        let mut ip = field("ip").pop();
        if position == 0 {
            aliases.extend(options.network_alias.iter().cloned());
            ip = ip.or_else(|| options.ip.clone());
        }
        let settings = EndpointSettings {
            aliases: some(aliases),
            ipam_config: ip.map(|ip| EndpointIpamConfig { ipv4_address: Some(ip), ..Default::default() }),
            mac_address: options.mac_address.clone().filter(|_| position == 0),
            ..Default::default()
        };
        endpoints.insert(network_name(text).to_owned(), settings);
    }
    (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) })
}

fn health(options: &ContainerOptions) -> Result<Option<HealthConfig>, CommandError> {
    if options.no_healthcheck {
        return Ok(Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }));
    }
    let duration = |text: &Option<String>| text.as_deref().map(units::go_duration).transpose();
    let config = HealthConfig {
        test: options.health_cmd.clone().map(|command| vec!["CMD-SHELL".to_owned(), command]),
        interval: duration(&options.health_interval)?,
        timeout: duration(&options.health_timeout)?,
        start_period: duration(&options.health_start_period)?,
        retries: options.health_retries,
        ..Default::default()
    };
    Ok((config != HealthConfig::default()).then_some(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Cli {
        #[command(flatten)]
        options: ContainerOptions,
    }

    fn parse(line: &str) -> ContainerOptions {
        Cli::try_parse_from(std::iter::once("run").chain(line.split(' '))).unwrap().options
    }

    #[test]
    fn everything_behind_the_image_belongs_to_the_command() {
        let options = parse("-it --rm -p 80:80 -h box alpine sh -c -- --rm -e");
        assert_eq!(
            (options.image(), options.interactive, options.tty, options.rm),
            ("alpine", true, true, true)
        );
        let body = create(&options, true).unwrap();
        assert_eq!(body.cmd.unwrap(), ["sh", "-c", "--", "--rm", "-e"]);
        assert_eq!(body.hostname.as_deref(), Some("box"));
        assert_eq!(body.exposed_ports.unwrap(), ["80/tcp"]);
        assert_eq!(body.attach_stdin, Some(true));
    }

    #[test]
    fn limits_networks_and_logging_reach_the_host_config() {
        let options = parse(
            "-m 64m --memory-swap -1 --cpus 0.5 --net web --network-alias db --log-driver syslog --log-opt tag=x --restart on-failure:2 busybox",
        );
        let body = create(&options, false).unwrap();
        let host = body.host_config.unwrap();
        assert_eq!(
            (host.memory, host.memory_swap, host.nano_cpus),
            (Some(67_108_864), Some(-1), Some(500_000_000))
        );
        assert_eq!(host.network_mode.as_deref(), Some("web"));
        assert_eq!(host.log_config.unwrap().config.unwrap()["tag"], "x");
        assert_eq!(host.restart_policy.unwrap().maximum_retry_count, Some(2));
        let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(endpoints["web"].aliases.as_deref(), Some(&["db".to_owned()][..]));
    }

    #[test]
    fn rm_excludes_a_restart_policy() {
        assert!(create(&parse("--rm --restart always busybox"), true).is_err());
    }
}
