//! What sets a container apart from its host: capabilities, namespaces, devices, security options, its runtime.

use super::{Defaults, invalid, non_empty};
use bollard_stubs::models::{ContainerCreateBody, HostConfig};
use contract::record::{ContainerSpec, Device, Namespaces};
use contract::{Kind, PortError};
use runtime::oci::Security;

/// Names under which Docker's clients know the engine's own runtime.
const OWN_RUNTIMES: [&str; 3] = ["gantry", "runc", "io.containerd.runc.v2"];

/// Runtimes that containers may name.
#[derive(Debug, Clone, Default)]
pub struct Runtimes {
    /// Names of those configured.
    pub names: Vec<String>,
    /// The one for containers that name none; empty = the engine's own.
    pub default: String,
}

impl Runtimes {
    /// A container's runtime as it is recorded: empty for the engine's own.
    fn choose(&self, asked: Option<&str>) -> Result<String, PortError> {
        let name = asked.filter(|n| !n.is_empty()).unwrap_or(&self.default);
        match name {
            configured if self.names.iter().any(|n| n == configured) => Ok(configured.to_owned()),
            own if own.is_empty() || OWN_RUNTIMES.contains(&own) => Ok(String::new()),
            unknown => Err(invalid(format!("unknown or invalid runtime name: {unknown}"))),
        }
    }
}

/// Names of capabilities, known ones; `option` is the field they stand in.
fn capabilities(names: Option<Vec<String>>, option: &str) -> Result<Vec<String>, PortError> {
    let names = names.unwrap_or_default();
    for name in names.iter().filter(|n| !n.eq_ignore_ascii_case("ALL")) {
        let upper = name.to_uppercase();
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let wrong = |what: &str| Err(invalid(format!("invalid {option}: {what}: {full:?}")));
        match runtime::oci::canonical_capability(name) {
            None => return wrong("unknown capability"),
            Some(known) if !runtime::oci::capability_available(known) => {
                return wrong(
                    "capability not supported by your kernel or not available in the current environment",
                );
            }
            Some(_) => {}
        }
    }
    Ok(names)
}

/// The modes of the namespaces, checked.
fn namespaces(host: &HostConfig, defaults: &Defaults) -> Result<Namespaces, PortError> {
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_default();
    let other = |mode: &str| Namespaces::other(mode).is_some_and(|name| !name.is_empty());
    let wrong = |kind: &str, mode: &str| Err(invalid(format!("invalid {kind} mode: {mode}")));
    let ipc = match mode(&host.ipc_mode).as_str() {
        "" => defaults.ipc.clone(),
        fine if ["none", "private", "host", "shareable"].contains(&fine) || other(fine) => fine.to_owned(),
        unknown => return wrong("IPC", unknown),
    };
    let pid = mode(&host.pid_mode);
    if !pid.is_empty() && pid != "host" && !other(&pid) {
        return wrong("PID", &pid);
    }
    let uts = mode(&host.uts_mode);
    if !uts.is_empty() && uts != "host" {
        return wrong("UTS", &uts);
    }
    let user = mode(&host.userns_mode);
    if !user.is_empty() && user != "host" {
        let text = "gantry does not remap users: the user namespace mode can be \"host\" only";
        return Err(PortError::new(Kind::Unsupported, format!("{text}, not {user:?}")));
    }
    let cgroup = non_empty(host.cgroupns_mode.map(|m| m.to_string()));
    let cgroup = cgroup.unwrap_or_else(|| defaults.cgroupns.clone());
    Ok(Namespaces { pid, ipc, uts, cgroup, user })
}

/// Devices, with what the request leaves open.
fn devices(host: &HostConfig) -> Vec<Device> {
    let given = host.devices.iter().flatten().map(|d| {
        let outside = d.path_on_host.clone().unwrap_or_default();
        Device {
            inside: non_empty(d.path_in_container.clone()).unwrap_or_else(|| outside.clone()),
            access: non_empty(d.cgroup_permissions.clone()).unwrap_or_else(|| "rwm".into()),
            host: outside,
        }
    });
    given.collect()
}

/// No device driver is known that could give what is asked for.
fn refuse_requests(host: &HostConfig) -> Result<(), PortError> {
    let Some(request) = host.device_requests.iter().flatten().next() else { return Ok(()) };
    let driver = request.driver.clone().unwrap_or_default();
    let sets = request.capabilities.clone().unwrap_or_default();
    let sets: Vec<String> = sets.iter().map(|set| format!("[{}]", set.join(" "))).collect();
    Err(invalid(format!("could not select device driver {driver:?} with capabilities: [{}]", sets.join(" "))))
}

/// Fills in everything of a request that is about isolation.
pub(super) fn apply(
    spec: &mut ContainerSpec,
    body: &ContainerCreateBody,
    host: &HostConfig,
    defaults: &Defaults,
) -> Result<(), PortError> {
    if host.uts_mode.as_deref() == Some("host") && non_empty(body.hostname.clone()).is_some() {
        return Err(invalid("conflicting options: hostname and the UTS mode"));
    }
    if let Some(isolation) = host.isolation.map(|i| i.to_string()).filter(|i| !i.is_empty() && i != "default")
    {
        return Err(invalid(format!("invalid isolation ({isolation}): linux only supports 'default'")));
    }
    if host.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        return Err(invalid("invalid Annotations: the empty string is not permitted as an annotation key"));
    }
    if let Some((key, _)) = host.annotations.iter().flatten().find(|(key, _)| key.starts_with("gantry.")) {
        return Err(invalid(format!("invalid Annotations: {key:?} is for gantry's own use")));
    }
    spec.cap_add = capabilities(host.cap_add.clone(), "CapAdd")?;
    spec.cap_drop = capabilities(host.cap_drop.clone(), "CapDrop")?;
    spec.namespaces = namespaces(host, defaults)?;
    if host.shm_size.is_some_and(|n| n < 0) {
        return Err(invalid("SHM size can not be less than 0"));
    }
    let score = host.oom_score_adj.unwrap_or(0);
    if !(-1000..=1000).contains(&score) {
        let text = format!("Invalid value {score}, range for oom score adj is [-1000, 1000]");
        return Err(invalid(text));
    }
    spec.runtime = defaults.runtimes.choose(host.runtime.as_deref())?;
    spec.security_opt = host.security_opt.clone().unwrap_or_default();
    // Docker answers 500.
    Security::read(&spec.security_opt).map_err(|text| PortError::new(Kind::Exhausted, text))?;
    spec.devices = devices(host);
    spec.device_rules = host.device_cgroup_rules.clone().unwrap_or_default();
    runtime::oci::check_device_rules(&spec.device_rules).map_err(invalid)?;
    refuse_requests(host)?;
    spec.masked_paths = host.masked_paths.clone();
    spec.readonly_paths = host.readonly_paths.clone();
    spec.init = host.init.unwrap_or(defaults.init);
    spec.privileged = host.privileged.unwrap_or(false);
    spec.read_only = host.readonly_rootfs.unwrap_or(false);
    spec.groups = host.group_add.clone().unwrap_or_default();
    Ok(())
}

/// Names of other containers whose namespaces are shared become their ids, by `find`; those that are not there are told of
/// when the container starts.
pub fn settle(namespaces: &mut Namespaces, find: impl Fn(&str) -> Option<String>) {
    for mode in [&mut namespaces.pid, &mut namespaces.ipc] {
        if let Some(id) = Namespaces::other(mode).and_then(&find) {
            *mode = format!("container:{id}");
        }
    }
}

/// What is asked for and has no effect on a kernel without it.
pub(super) fn warnings(host: &HostConfig) -> Vec<&'static str> {
    let options = host.security_opt.clone().unwrap_or_default();
    let security = Security::read(&options).unwrap_or_default();
    let mut out = Vec::new();
    if security.apparmor.is_some_and(|profile| profile != "unconfined") {
        out.push("gantry does not apply AppArmor profiles. AppArmor setting discarded.");
    }
    if security.labelled {
        out.push("gantry does not apply SELinux labels. Label setting discarded.");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_runtime_goes_before_the_engines_own_names() {
        let runtimes = Runtimes { names: vec!["crun".into(), "runc".into()], default: String::new() };
        assert_eq!(runtimes.choose(None).unwrap(), "");
        assert_eq!(runtimes.choose(Some("runc")).unwrap(), "runc");
        assert_eq!(runtimes.choose(Some("gantry")).unwrap(), "");
        assert_eq!(Runtimes::default().choose(Some("runc")).unwrap(), "");
        let defaulted = Runtimes { default: "crun".into(), ..runtimes };
        assert_eq!(defaulted.choose(Some("")).unwrap(), "crun");
        let error = defaulted.choose(Some("/bin/sh")).unwrap_err();
        assert_eq!(error.text, "unknown or invalid runtime name: /bin/sh");
    }

    #[test]
    fn only_names_of_containers_that_are_there_become_ids() {
        let mode = |m: &str| m.to_owned();
        let mut asked =
            Namespaces { pid: mode("container:web"), ipc: mode("container:gone"), ..Namespaces::default() };
        settle(&mut asked, |name| (name == "web").then(|| "0123".to_owned()));
        assert_eq!((asked.pid.as_str(), asked.ipc.as_str()), ("container:0123", "container:gone"));
    }
}
