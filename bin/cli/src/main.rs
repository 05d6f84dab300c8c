//! `gantry`, the command line: Docker's commands and flags for the gantry daemon.

mod client;
mod command;
mod error;
mod options;
mod output;
mod session;
mod template;
mod terminal;
mod units;

use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{ArgAction, Parser};

use client::{Client, DEFAULT_HOST};
use command::Command;

const EXAMPLES: &str = "\
Examples:
  gantry run --rm -it busybox sh        a shell in a new container
  gantry run -d --name web -p 8080:80 nginx
  gantry logs -f web                    follow what it prints
  gantry exec -it web sh                look inside
  gantry stop web && gantry rm web
  gantry actors                         what goes on inside the daemon

'gantry COMMAND --help' explains a command.";

/// Run and look after containers.
#[derive(Debug, Parser)]
#[command(name = "gantry", version, disable_help_flag = true, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Daemon socket to connect to [env: GANTRY_HOST, DOCKER_HOST] [default: unix:///run/gantry.sock]
    #[arg(short = 'H', long, global = true, value_name = "ADDRESS")]
    host: Option<String>,
    /// Print usage
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

fn host(flag: Option<String>, environment: impl Fn(&str) -> Option<String>) -> String {
    flag.or_else(|| environment("GANTRY_HOST"))
        .or_else(|| environment("DOCKER_HOST"))
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| DEFAULT_HOST.to_owned())
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Docker's own statuses: 1 for too few arguments, 125 for what it does not understand.
            return Ok(match error.kind() {
                ErrorKind::MissingRequiredArgument => ExitCode::FAILURE,
                _ if error.use_stderr() => ExitCode::from(125),
                _ => ExitCode::SUCCESS,
            });
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let address = host(cli.host, |name| std::env::var(name).ok());
    let result = match Client::new(&address) {
        Ok(client) => runtime.block_on(command::run(cli.command, &client)),
        Err(error) => Err(error.into()),
    };
    // A read of standard input cannot be cancelled and must not keep the process.
    runtime.shutdown_background();
    Ok(match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error_line(error.to_string());
            ExitCode::from(error.code())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_flag_wins_over_both_variables() {
        let both = |name: &str| Some(format!("unix:///{name}"));
        assert_eq!(host(Some("unix:///flag".into()), both), "unix:///flag");
        assert_eq!(host(None, both), "unix:///GANTRY_HOST");
        assert_eq!(host(None, |name| both(name).filter(|_| name == "DOCKER_HOST")), "unix:///DOCKER_HOST");
        assert_eq!(host(None, |_| None), DEFAULT_HOST);
    }

    #[test]
    fn host_and_hostname_do_not_collide() {
        let cli =
            Cli::try_parse_from(["gantry", "-H", "unix:///s", "run", "-h", "box", "img", "-H", "x"]).unwrap();
        assert_eq!(cli.host.as_deref(), Some("unix:///s"));
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.options.hostname.as_deref(), Some("box"));
        assert_eq!(run.options.image_and_command, ["img", "-H", "x"]);
    }
}
