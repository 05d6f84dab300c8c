//! The whole engine over in-memory ports: what Docker's users see, and what is left of it when actors panic.

mod archives;
mod attach;
mod docker;
mod events;
mod flight;
mod health;
mod limits;
mod logs;
mod networks;
mod panics;
mod pushes;
mod recovery;
mod relogging;
mod replays;
mod restart;
mod stage;
mod volumes;
