//! `gantry container …`, and the short forms of its commands.

pub mod attach;
pub mod create;
pub mod exec;
pub mod kill;
pub mod logs;
pub mod ls;
pub mod port;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod run;
pub mod start;
pub mod stop;
pub mod top;
pub mod wait;

use super::each;

group! {
    /// Commands for containers.
    Container of ContainerCommand
}

commands! {
    /// Every command for containers.
    ContainerCommand {
        /// Attach local standard input, output, and error streams to a running container
        Attach(attach::Attach),
        /// Create a new container
        Create(Box<create::Create>),
        /// Execute a command in a running container
        Exec(exec::Exec),
        /// Kill one or more running containers
        Kill(kill::Kill),
        /// Fetch the logs of a container
        Logs(logs::Logs),
        /// List containers
        #[command(aliases = ["ps", "list"])]
        Ls(ls::Ls),
        /// List port mappings or a specific mapping for the container
        Port(port::Port),
        /// Rename a container
        Rename(rename::Rename),
        /// Restart one or more containers
        Restart(restart::Restart),
        /// Remove one or more containers
        #[command(alias = "remove")]
        Rm(rm::Rm),
        /// Create and run a new container from an image
        Run(Box<run::Run>),
        /// Start one or more stopped containers
        Start(start::Start),
        /// Stop one or more running containers
        Stop(stop::Stop),
        /// Display the running processes of a container
        Top(top::Top),
        /// Block until one or more containers stop, then print their exit codes
        Wait(wait::Wait),
    }
}
