//! `gantry system …`, and the short forms of its commands.

pub mod df;
pub mod dial_stdio;
pub mod events;
pub mod info;
pub mod prune;

group! {
    /// Commands for the daemon as a whole.
    System of SystemCommand
}

commands! {
    /// Every command for the daemon.
    SystemCommand {
        /// Show disk usage
        Df(df::Df),
        /// Proxy the stdio stream to the daemon connection
        #[command(hide = true)]
        DialStdio(dial_stdio::DialStdio),
        /// Get real time events from the server
        Events(events::Events),
        /// Display system-wide information
        Info(info::Info),
        /// Remove unused data
        Prune(prune::Prune),
    }
}
