//! What a container may do to the host, and which of the host's namespaces it shares.

use bollard::models::{DeviceRequest, HostConfig};
use clap::Args;

use super::value::{self, device, gpus};
use super::{Draft, OptionError, some};

/// Flags about rights and namespaces.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Rights and namespaces")]
pub struct SecurityOptions {
    /// Add Linux capabilities, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Drop Linux capabilities, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Give extended privileges to this container
    #[arg(long)]
    pub privileged: bool,
    /// Security Options (seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE, label=…, systempaths=unconfined)
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Add a host device to the container
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]")]
    pub device: Vec<String>,
    /// Add a rule to the cgroup allowed devices list, such as 'c 42:* rmw'
    #[arg(long, value_name = "RULE", value_parser = device::rule)]
    pub device_cgroup_rule: Vec<String>,
    /// GPU devices to add to the container ('all' to pass all GPUs)
    #[arg(long, value_name = "REQUEST", value_parser = gpus::request)]
    pub gpus: Vec<DeviceRequest>,
    /// Sysctl options of the container's own namespaces
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::sysctl)]
    pub sysctl: Vec<String>,
    /// PID namespace to use (host, container:NAME) [default: its own]
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// IPC mode to use (none, private, shareable, host, container:NAME) [default: the daemon's]
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// UTS namespace to use (host) [default: its own]
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// User namespace to use (host) [default: the daemon's]
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Cgroup namespace to use (host, private) [default: the daemon's]
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Container isolation technology (default)
    #[arg(long, value_name = "TECHNOLOGY")]
    pub isolation: Option<String>,
}

impl SecurityOptions {
    /// Writes these flags into `draft`.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), OptionError> {
        self.modes(&mut draft.host)?;
        let mut options = Vec::new();
        let mut open_paths = false;
        for option in &self.security_opt {
            match value::security_option(option)?.as_str() {
                // The API has no such option; it has the lists of paths this one empties.
                "systempaths=unconfined" => open_paths = true,
                other => options.push(other.to_owned()),
            }
        }
        let (mut devices, mut qualified) = (Vec::new(), Vec::new());
        for text in &self.device {
            match device::is_qualified(text) {
                true => qualified.push(text.clone()),
                false => devices.push(device::mapping(text)?),
            }
        }
        let mut requests = self.gpus.clone();
        if !qualified.is_empty() {
            requests.push(DeviceRequest {
                driver: Some("cdi".to_owned()),
                device_ids: Some(qualified),
                ..Default::default()
            });
        }
        let host = &mut draft.host;
        let (add, drop) = value::capabilities(&self.cap_add, &self.cap_drop);
        host.cap_add = some(add);
        host.cap_drop = some(drop);
        host.privileged = Some(self.privileged);
        host.security_opt = some(options);
        host.masked_paths = open_paths.then(Vec::new);
        host.readonly_paths = open_paths.then(Vec::new);
        host.devices = some(devices);
        host.device_cgroup_rules = some(self.device_cgroup_rule.clone());
        host.device_requests = some(requests);
        host.sysctls = (!self.sysctl.is_empty()).then(|| value::map(&self.sysctl));
        Ok(())
    }

    fn modes(&self, host: &mut HostConfig) -> Result<(), OptionError> {
        let refuse = |text: &str| Err(OptionError::Value(text.to_owned()));
        let given = |mode: &Option<String>| mode.clone().filter(|mode| !mode.is_empty());
        let of_container =
            |mode: &str| mode.strip_prefix("container:").is_some_and(|container| !container.is_empty());
        host.pid_mode = given(&self.pid);
        if host.pid_mode.as_deref().is_some_and(|mode| mode != "host" && !of_container(mode)) {
            return refuse("--pid: invalid PID mode");
        }
        host.uts_mode = given(&self.uts);
        if host.uts_mode.as_deref().is_some_and(|mode| mode != "host") {
            return refuse("--uts: invalid UTS mode");
        }
        host.userns_mode = given(&self.userns);
        if host.userns_mode.as_deref().is_some_and(|mode| mode != "host") {
            return refuse("--userns: invalid USER mode");
        }
        if let Some(mode) = given(&self.cgroupns) {
            match mode.parse() {
                Ok(mode) => host.cgroupns_mode = Some(mode),
                Err(_) => return refuse("--cgroupns: invalid CGROUP mode"),
            }
        }
        host.ipc_mode = given(&self.ipc);
        if let Some(isolation) = given(&self.isolation) {
            match isolation.to_lowercase().parse() {
                Ok(isolation) => host.isolation = Some(isolation),
                Err(_) => {
                    return Err(OptionError::Value(format!(
                        "invalid isolation '{isolation}': only \"default\" is supported on Linux"
                    )));
                }
            }
        }
        Ok(())
    }
}
