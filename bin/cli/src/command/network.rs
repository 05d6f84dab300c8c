//! `gantry network …`

pub mod connect;
pub mod create;
pub mod disconnect;
pub mod explain;
pub mod inspect;
pub mod ipam;
pub mod ls;
pub mod prune;
pub mod rm;

use super::each;

group! {
    /// Commands for networks.
    Network of NetworkCommand
}

commands! {
    /// Every command for networks.
    NetworkCommand {
        /// Connect a container to a network
        Connect(connect::Connect),
        /// Create a network
        Create(create::Create),
        /// Disconnect a container from a network
        Disconnect(disconnect::Disconnect),
        /// Explain who holds which address, and what is reached from where
        Explain(explain::Explain),
        /// Display detailed information on one or more networks
        Inspect(inspect::Inspect),
        /// List networks
        #[command(alias = "list")]
        Ls(ls::Ls),
        /// Remove all unused networks
        Prune(prune::Prune),
        /// Remove one or more networks
        #[command(alias = "remove")]
        Rm(rm::Rm),
    }
}
