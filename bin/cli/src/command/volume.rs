//! `gantry volume …`

pub mod create;
pub mod inspect;
pub mod ls;
pub mod prune;
pub mod rm;
pub mod update;

use super::each;

group! {
    /// Commands for volumes.
    Volume of VolumeCommand
}

commands! {
    /// Every command for volumes.
    VolumeCommand {
        /// Create a volume
        Create(create::Create),
        /// Display detailed information on one or more volumes
        Inspect(inspect::Inspect),
        /// List volumes
        #[command(alias = "list")]
        Ls(ls::Ls),
        /// Remove unused local volumes
        Prune(prune::Prune),
        /// Remove one or more volumes
        #[command(alias = "remove")]
        Rm(rm::Rm),
        /// Update a volume (cluster volumes only)
        Update(update::Update),
    }
}
