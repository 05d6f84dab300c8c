//! One file per command, and what they share.

/// An enum of commands that runs the one chosen.
macro_rules! commands {
    ($(#[$meta:meta])* $name:ident { $($(#[$help:meta])* $variant:ident($options:ty),)* }) => {
        $(#[$meta])*
        #[derive(Debug, clap::Subcommand)]
        pub enum $name {
            $($(#[$help])* $variant($options),)*
        }

        impl $name {
            /// Runs the command; the number is the exit status.
            pub async fn execute(
                self,
                client: &crate::client::Client,
            ) -> Result<u8, crate::error::CommandError> {
                match self {
                    $(Self::$variant(options) => Box::pin(options.execute(client)).await,)*
                }
            }
        }
    };
}

/// A group of commands that is a command itself.
macro_rules! group {
    ($(#[$meta:meta])* $name:ident of $commands:ident) => {
        $(#[$meta])*
        #[derive(Debug, clap::Args)]
        pub struct $name {
            #[command(subcommand)]
            command: $commands,
        }

        impl $name {
            /// Runs the command; the number is the exit status.
            pub async fn execute(
                self,
                client: &crate::client::Client,
            ) -> Result<u8, crate::error::CommandError> {
                self.command.execute(client).await
            }
        }
    };
}

pub mod actors;
pub mod builder;
pub mod completion;
pub mod container;
pub mod image;
pub mod inspect;
pub mod network;
pub mod prune;
pub mod registry;
pub mod system;
pub mod top;
pub mod version;
pub mod volume;

use std::future::Future;

use crate::client::ClientError;
use crate::error::CommandError;
use crate::output;

commands! {
    /// Every command.
    Command {
        /// Create and run a new container from an image
        Run(Box<container::run::Run>),
        /// Create a new container
        Create(Box<container::create::Create>),
        /// Start one or more stopped containers
        Start(container::start::Start),
        /// Stop one or more running containers
        Stop(container::stop::Stop),
        /// Restart one or more containers
        Restart(container::restart::Restart),
        /// Kill one or more running containers
        Kill(container::kill::Kill),
        /// Pause all processes within one or more containers
        Pause(container::pause::Pause),
        /// Unpause all processes within one or more containers
        Unpause(container::unpause::Unpause),
        /// Remove one or more containers
        Rm(container::rm::Rm),
        /// List containers
        Ps(container::ls::Ls),
        /// Fetch the logs of a container
        Logs(container::logs::Logs),
        /// Execute a command in a running container
        Exec(container::exec::Exec),
        /// Attach local standard input, output, and error streams to a running container
        Attach(container::attach::Attach),
        /// Return low-level information on containers, images, networks and volumes
        Inspect(inspect::Inspect),
        /// Block until one or more containers stop, then print their exit codes
        Wait(container::wait::Wait),
        /// Watch where lines go, or display the running processes of a container
        Top(top::Top),
        /// List port mappings or a specific mapping for the container
        Port(container::port::Port),
        /// Rename a container
        Rename(container::rename::Rename),
        /// Update configuration of one or more containers
        Update(container::update::Update),
        /// Display a live stream of container(s) resource usage statistics
        Stats(container::stats::Stats),
        /// Copy files/folders between a container and the local filesystem
        Cp(container::cp::Cp),
        /// Inspect changes to files or directories on a container's filesystem
        Diff(container::diff::Diff),
        /// Create a new image from a container's changes
        Commit(container::commit::Commit),
        /// Export a container's filesystem as a tar archive
        Export(container::export::Export),
        /// Build an image from a Dockerfile
        Build(Box<image::build::Build>),
        /// Download an image from a registry
        Pull(image::pull::Pull),
        /// Upload an image to a registry
        Push(image::push::Push),
        /// Search Docker Hub for images
        Search(registry::search::Search),
        /// Authenticate to a registry
        Login(registry::login::Login),
        /// Log out from a registry
        Logout(registry::logout::Logout),
        /// Save one or more images to a tar archive (streamed to STDOUT by default)
        Save(image::save::Save),
        /// Load an image from a tar archive or STDIN
        Load(image::load::Load),
        /// Import the contents from a tarball to create a filesystem image
        Import(image::import::Import),
        /// List images
        Images(image::ls::Ls),
        /// Show the history of an image
        History(image::history::History),
        /// Remove one or more images
        Rmi(image::rm::Rm),
        /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
        Tag(image::tag::Tag),
        /// Get real time events from the server
        Events(system::events::Events),
        /// Display system-wide information
        Info(system::info::Info),
        /// Show the version information of both halves
        Version(version::Version),
        /// Show the daemon's actors as a tree
        Actors(actors::Actors),
        /// Manage builds
        Builder(builder::Builder),
        /// Manage containers
        Container(container::Container),
        /// Manage images
        Image(image::Image),
        /// Manage networks
        Network(network::Network),
        /// Manage the daemon and what it keeps
        System(system::System),
        /// Manage volumes
        Volume(volume::Volume),
        /// Generate the autocompletion script for the specified shell
        Completion(completion::Completion),
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
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Forbidden { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                output::error_line(error.to_string());
                code = 1;
            }
        }
    }
    Ok(code)
}
