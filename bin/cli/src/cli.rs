//! The command line as a whole: global flags, the shape of usage and help.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, CommandFactory, Parser};

use crate::client::{Client, ClientError, DEFAULT_HOST, Tls};
use crate::command::Command;
use crate::configuration::{self, Configuration};
use crate::guide;
use crate::output;

/// Run and look after containers
#[derive(Debug, Parser)]
#[command(name = "gantry", version, disable_help_flag = true, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Which daemon, and how.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// Print usage
    #[arg(long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags in front of the command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global Options")]
pub struct GlobalOptions {
    /// Daemon socket to connect to, unix://PATH or tcp://HOST[:PORT] [env: GANTRY_HOST, DOCKER_HOST] [default: unix:///run/gantry.sock]
    #[arg(short = 'H', long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Location of client config files [env: DOCKER_CONFIG] [default: ~/.docker]
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Name of the context to use; only "default" is known [env: DOCKER_CONTEXT]
    #[arg(short, long, value_name = "NAME")]
    pub context: Option<String>,
    /// Enable debug mode: tell what is asked of which daemon
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Set the logging level ("debug", "info", "warn", "error", "fatal")
    #[arg(short, long, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error", "fatal"], default_value = "info", hide_possible_values = true)]
    pub log_level: String,
    /// Use TLS; implied by --tlsverify [env: DOCKER_TLS]
    #[arg(long)]
    pub tls: bool,
    /// Use TLS and verify the remote [env: DOCKER_TLS_VERIFY]
    #[arg(long)]
    pub tlsverify: bool,
    /// Trust certs signed only by this CA [default: ca.pem in $DOCKER_CERT_PATH or ~/.docker]
    #[arg(long, value_name = "FILE")]
    pub tlscacert: Option<PathBuf>,
    /// Path to TLS certificate file [default: cert.pem there]
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<PathBuf>,
    /// Path to TLS key file [default: key.pem there]
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<PathBuf>,
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl GlobalOptions {
    fn host(&self, environment: Environment<'_>) -> String {
        let given = self.host.clone().or_else(|| environment("GANTRY_HOST"));
        given
            .or_else(|| environment("DOCKER_HOST"))
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| DEFAULT_HOST.to_owned())
    }

    fn tls(&self, folder: &Path, environment: Environment<'_>) -> Option<Tls> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let verify = self.tlsverify || set("DOCKER_TLS_VERIFY").is_some();
        let named = self.tlscacert.is_some() || self.tlscert.is_some() || self.tlskey.is_some();
        if !(self.tls || verify || named || set("DOCKER_TLS").is_some()) {
            return None;
        }
        let folder = set("DOCKER_CERT_PATH").map_or_else(|| folder.to_owned(), PathBuf::from);
        let file = |flag: &Option<PathBuf>, name: &str| flag.clone().unwrap_or_else(|| folder.join(name));
        Some(Tls {
            verify: verify || self.tlscacert.is_some(),
            authority: file(&self.tlscacert, "ca.pem"),
            certificate: file(&self.tlscert, "cert.pem"),
            key: file(&self.tlskey, "key.pem"),
        })
    }

    /// The client these flags and the environment describe.
    pub fn client(&self, environment: Environment<'_>) -> Result<Client, ClientError> {
        let context = self.context.clone().or_else(|| environment("DOCKER_CONTEXT"));
        if let Some(name) = context.filter(|name| !matches!(name.as_str(), "" | "default")) {
            return Err(ClientError::Failed(format!(
                "context \"{name}\": contexts are not supported; name the daemon with --host or DOCKER_HOST"
            )));
        }
        let folder = configuration::folder(self.config.as_deref(), environment);
        let (configuration, warning) = Configuration::read(&folder);
        if let Some(warning) = warning {
            output::error_line(warning);
        }
        let host = self.host(environment);
        let tls = self.tls(&folder, environment);
        if self.debug || self.log_level == "debug" {
            let how = if tls.is_some() { "with TLS" } else { "without TLS" };
            output::error_line(format!(
                "DEBUG: daemon at {host} {how}, configuration in {}",
                folder.display()
            ));
        }
        Client::new(&host, tls.as_ref(), configuration)
    }
}

/// The command line with usage, help and habits as Docker's.
pub fn command() -> clap::Command {
    guide::top(guide::shape(Cli::command(), "gantry"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::container;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn the_flag_wins_over_both_variables() {
        let both = |name: &str| Some(format!("unix:///{name}"));
        let host = |flag: Option<&str>, environment: Environment<'_>| {
            GlobalOptions { host: flag.map(str::to_owned), ..Default::default() }.host(environment)
        };
        assert_eq!(host(Some("unix:///flag"), &both), "unix:///flag");
        assert_eq!(host(None, &both), "unix:///GANTRY_HOST");
        assert_eq!(host(None, &|name| both(name).filter(|_| name == "DOCKER_HOST")), "unix:///DOCKER_HOST");
        assert_eq!(host(None, &|_| None), DEFAULT_HOST);
    }

    #[test]
    fn tls_is_asked_for_by_flag_or_variable_and_checked_unless_said_otherwise() {
        let none = GlobalOptions::default();
        assert_eq!(none.tls(Path::new("/c"), &|_| None), None);
        let careless = GlobalOptions { tls: true, ..Default::default() };
        assert!(!careless.tls(Path::new("/c"), &|_| None).unwrap().verify);
        let variables = |name: &str| match name {
            "DOCKER_TLS_VERIFY" => Some("1".to_owned()),
            "DOCKER_CERT_PATH" => Some("/certs".to_owned()),
            _ => None,
        };
        let found = none.tls(Path::new("/c"), &variables).unwrap();
        assert!(found.verify);
        assert_eq!(found.key, Path::new("/certs/key.pem"));
    }

    #[test]
    fn host_and_hostname_do_not_collide() {
        let line = ["gantry", "-H", "unix:///s", "run", "-h", "box", "img", "-H", "x"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.global.host.as_deref(), Some("unix:///s"));
        let Command::Run(run) = cli.command else { panic!("not run") };
        let run: container::run::Run = *run;
        assert_eq!(run.options.network.hostname.as_deref(), Some("box"));
        assert_eq!(run.options.image_and_command, ["img", "-H", "x"]);
    }
}
