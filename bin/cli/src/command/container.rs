//! `gantry container …`, and the short forms of its commands.

pub mod attach;
pub mod commit;
pub mod cp;
pub mod create;
pub mod diff;
pub mod exec;
pub mod export;
pub mod inspect;
pub mod kill;
pub mod logs;
pub mod ls;
pub mod pause;
pub mod port;
pub mod prune;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod run;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod unpause;
pub mod update;
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
        /// Create a new image from a container's changes
        Commit(commit::Commit),
        /// Copy files/folders between a container and the local filesystem
        Cp(cp::Cp),
        /// Create a new container
        Create(Box<create::Create>),
        /// Inspect changes to files or directories on a container's filesystem
        Diff(diff::Diff),
        /// Execute a command in a running container
        Exec(exec::Exec),
        /// Export a container's filesystem as a tar archive
        Export(export::Export),
        /// Display detailed information on one or more containers
        Inspect(inspect::Inspect),
        /// Kill one or more running containers
        Kill(kill::Kill),
        /// Fetch the logs of a container
        Logs(logs::Logs),
        /// List containers
        #[command(aliases = ["ps", "list"])]
        Ls(ls::Ls),
        /// Pause all processes within one or more containers
        Pause(pause::Pause),
        /// List port mappings or a specific mapping for the container
        Port(port::Port),
        /// Remove all stopped containers
        Prune(prune::Prune),
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
        /// Display a live stream of container(s) resource usage statistics
        Stats(stats::Stats),
        /// Stop one or more running containers
        Stop(stop::Stop),
        /// Display the running processes of a container
        Top(top::Top),
        /// Unpause all processes within one or more containers
        Unpause(unpause::Unpause),
        /// Update configuration of one or more containers
        Update(update::Update),
        /// Block until one or more containers stop, then print their exit codes
        Wait(wait::Wait),
    }
}
