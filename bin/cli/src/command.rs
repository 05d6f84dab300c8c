//! One file per command, and what they share.

mod actors;
mod attach;
mod create;
mod events;
mod exec;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod logs;
mod port;
mod ps;
mod pull;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod start;
mod stop;
mod tag;
mod top;
mod version;
mod wait;

use std::future::Future;

use clap::Subcommand;

use crate::client::{Client, ClientError};
use crate::error::CommandError;
use crate::output;

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create and run a new container from an image
    Run(Box<run::Run>),
    /// Create a new container
    Create(Box<create::Create>),
    /// Start one or more stopped containers
    Start(start::Start),
    /// Stop one or more running containers
    Stop(stop::Stop),
    /// Restart one or more containers
    Restart(restart::Restart),
    /// Kill one or more running containers
    Kill(kill::Kill),
    /// Remove one or more containers
    Rm(rm::Rm),
    /// List containers
    Ps(ps::Ps),
    /// Fetch the logs of a container
    Logs(logs::Logs),
    /// Execute a command in a running container
    Exec(exec::Exec),
    /// Attach local standard streams to a running container
    Attach(attach::Attach),
    /// Return low-level information on containers and images
    Inspect(inspect::Inspect),
    /// Block until one or more containers stop, then print their exit codes
    Wait(wait::Wait),
    /// Display the running processes of a container
    Top(top::Top),
    /// List port mappings for a container
    Port(port::Port),
    /// Rename a container
    Rename(rename::Rename),
    /// Download an image from a registry
    Pull(pull::Pull),
    /// Load an image from a tar archive or STDIN
    Load(load::Load),
    /// Import the contents from a tarball to create a filesystem image
    Import(import::Import),
    /// List images
    Images(images::Images),
    /// Remove one or more images
    Rmi(rmi::Rmi),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(tag::Tag),
    /// Get real time events from the server
    Events(events::Events),
    /// Display system-wide information
    Info(info::Info),
    /// Show the version information
    Version(version::Version),
    /// Show the daemon's actors as a tree
    Actors(actors::Actors),
}

/// Runs one command; the number is the exit status.
pub async fn run(command: Command, client: &Client) -> Result<u8, CommandError> {
    match command {
        Command::Run(run) => run.execute(client).await,
        Command::Create(create) => create.execute(client).await,
        Command::Start(start) => start.execute(client).await,
        Command::Stop(stop) => stop.execute(client).await,
        Command::Restart(restart) => restart.execute(client).await,
        Command::Kill(kill) => kill.execute(client).await,
        Command::Rm(rm) => rm.execute(client).await,
        Command::Ps(ps) => ps.execute(client).await,
        Command::Logs(logs) => logs.execute(client).await,
        Command::Exec(exec) => exec.execute(client).await,
        Command::Attach(attach) => attach.execute(client).await,
        Command::Inspect(inspect) => inspect.execute(client).await,
        Command::Wait(wait) => wait.execute(client).await,
        Command::Top(top) => top.execute(client).await,
        Command::Port(port) => port.execute(client).await,
        Command::Rename(rename) => rename.execute(client).await,
        Command::Pull(pull) => pull.execute(client).await,
        Command::Load(load) => load.execute(client).await,
        Command::Import(import) => import.execute(client).await,
        Command::Images(images) => images.execute(client).await,
        Command::Rmi(rmi) => rmi.execute(client).await,
        Command::Tag(tag) => tag.execute(client).await,
        Command::Events(events) => events.execute(client).await,
        Command::Info(info) => info.execute(client).await,
        Command::Version(version) => version.execute(client).await,
        Command::Actors(actors) => actors.execute(client).await,
    }
}

/// Does `one` to each name, all at once; answers come in the order given, and a failure stops no other.
async fn each<F>(names: &[String], one: impl Fn(String) -> F) -> Result<u8, CommandError>
where
    F: Future<Output = Result<String, ClientError>>,
{
    let answers = futures::future::join_all(names.iter().map(|name| one(name.clone()))).await;
    let mut code = 0;
    for answer in answers {
        match answer {
            Ok(text) if text.is_empty() => {}
            Ok(text) => output::line(text),
            Err(error @ ClientError::Unreachable { .. }) => return Err(error.into()),
            Err(error) => {
                output::error_line(error.to_string());
                code = 1;
            }
        }
    }
    Ok(code)
}
