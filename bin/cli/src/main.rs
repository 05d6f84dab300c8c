//! `gantry`, the command line: Docker's commands and flags for the gantry daemon.

mod cli;
mod client;
mod command;
mod completion;
mod configuration;
mod credentials;
mod download;
mod error;
mod guide;
mod listing;
mod mistakes;
mod options;
mod output;
mod session;
mod terminal;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use clap::FromArgMatches;
use clap::error::ErrorKind;

use cli::Cli;

/// Reads the command line; what was wrong with it is printed already.
fn parse(arguments: &[OsString]) -> Result<Cli, ExitCode> {
    let root = cli::command();
    let explicit = |argument: &OsString| {
        argument.to_str().is_some_and(|text| text.starts_with('-') && text.contains('='))
    };
    // Switches with a value are rare, and their help would be hard to read.
    let mut found = root.clone().try_get_matches_from(arguments);
    if found.as_ref().is_err_and(clap::Error::use_stderr) && arguments.iter().any(explicit) {
        found = mistakes::with_explicit_booleans(root.clone()).try_get_matches_from(arguments);
    }
    let error = match found.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches)) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::raw(error.render().to_string());
            Err(ExitCode::SUCCESS)
        }
        _ => {
            let mut root = root;
            root.build();
            let mistake = mistakes::describe(&root, arguments, &error);
            output::error_line(mistake.text);
            Err(ExitCode::from(mistake.code))
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    // A shell that completes a line runs this program with COMPLETE set; it ends here then.
    clap_complete::CompleteEnv::with_factory(cli::command).complete();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(code) => return Ok(code),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let result = match cli.global.client(&|name| std::env::var(name).ok()) {
        Ok(client) => runtime.block_on(cli.command.execute(&client)),
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
