//! `gantry system …`, and the short forms of its commands.

pub mod events;
pub mod info;

group! {
    /// Commands for the daemon as a whole.
    System of SystemCommand
}

commands! {
    /// Every command for the daemon.
    SystemCommand {
        /// Get real time events from the server
        Events(events::Events),
        /// Display system-wide information
        Info(info::Info),
    }
}
