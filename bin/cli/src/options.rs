//! The flags of `run` and `create` by theme, and what they mean to the API.

pub mod health;
pub mod limits;
pub mod mounts;
pub mod network;
pub mod run;
pub mod security;
pub mod value;

use bollard::models::{ContainerCreateBody, HostConfig, NetworkingConfig};
use clap::Args;

/// Flags that make no sense together or with what they name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    /// A value only readable once all flags are known.
    #[error("{0}")]
    Value(String),
    /// Flags that exclude each other.
    #[error("conflicting options: {0}")]
    Conflict(&'static str),
    /// Something Docker has and this platform or daemon has not.
    #[error("{flag} is not supported: {why}")]
    Unsupported {
        /// The flag.
        flag: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A file of variables or labels.
    #[error("open {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What the kernel said.
        why: String,
    },
    /// A line in such a file; Docker says the same of both kinds.
    #[error("invalid env file ({path}): {why}")]
    Line {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Flags that describe a container.
#[derive(Debug, Clone, Default, Args)]
pub struct ContainerOptions {
    /// What runs, and as whom.
    #[command(flatten)]
    pub run: run::RunOptions,
    /// What it may see of the host's files.
    #[command(flatten)]
    pub mounts: mounts::MountOptions,
    /// How it is reached.
    #[command(flatten)]
    pub network: network::NetworkOptions,
    /// What it may use up; can be changed later.
    #[command(flatten)]
    pub limits: limits::Limits,
    /// What it may use up; fixed at creation.
    #[command(flatten)]
    pub fixed: limits::FixedLimits,
    /// What it may do.
    #[command(flatten)]
    pub security: security::SecurityOptions,
    /// How it is looked after.
    #[command(flatten)]
    pub health: health::HealthOptions,
    /// The image, then the command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"])]
    pub image_and_command: Vec<String>,
}

/// The body of `POST /containers/create` while it is put together.
#[derive(Debug, Default)]
pub struct Draft {
    /// The container's own half.
    pub body: ContainerCreateBody,
    /// Its host's half.
    pub host: HostConfig,
}

/// A list as the API wants it: left out when empty.
pub fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

impl ContainerOptions {
    /// The image as given.
    pub fn image(&self) -> &str {
        self.image_and_command.first().map(String::as_str).unwrap_or_default()
    }

    /// The body these flags ask for.
    pub fn body(&self) -> Result<ContainerCreateBody, OptionError> {
        let mut draft = Draft::default();
        self.run.fill(&mut draft)?;
        self.mounts.fill(&mut draft)?;
        self.network.fill(&mut draft)?;
        self.limits.fill(&mut draft.host);
        self.fixed.fill(&mut draft.host)?;
        self.security.fill(&mut draft)?;
        self.health.fill(&mut draft)?;
        let Draft { mut body, host } = draft;
        body.image = Some(self.image().to_owned());
        body.cmd = some(self.image_and_command.iter().skip(1).cloned().collect());
        body.host_config = Some(host);
        let endpoints = self.network.endpoints()?;
        body.networking_config =
            (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) });
        Ok(body)
    }
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
            (options.image(), options.run.interactive, options.run.tty, options.run.rm),
            ("alpine", true, true, true)
        );
        let body = options.body().unwrap();
        assert_eq!(body.cmd.unwrap(), ["sh", "-c", "--", "--rm", "-e"]);
        assert_eq!(body.hostname.as_deref(), Some("box"));
        assert_eq!(body.exposed_ports.unwrap(), ["80/tcp"]);
        assert_eq!(body.attach_stdin, Some(true));
    }

    #[test]
    fn limits_networks_and_logging_reach_the_host_config() {
        let options = parse(
            "-m 64m --memory-swap=-1 --cpus 0.5 --net web --network-alias db --log-driver syslog --log-opt tag=x --restart on-failure:2 busybox",
        );
        let body = options.body().unwrap();
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
        assert!(parse("--rm --restart always busybox").body().is_err());
    }
}
