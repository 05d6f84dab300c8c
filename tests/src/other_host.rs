//! A second host on the network of a test's own.

use crate::place::{Place, enter};
use crate::process::{Output, Running, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A network namespace joined to the place's host by a cable: the host is [`OtherHost::HOST`], this one
/// [`OtherHost::ADDRESS`], and it routes nothing else.
#[derive(Debug)]
pub struct OtherHost {
    file: PathBuf,
    _place: Arc<Place>,
}

impl OtherHost {
    /// The place's host, as seen from here.
    pub const HOST: &str = "10.77.0.1";
    /// This host's address.
    pub const ADDRESS: &str = "10.77.0.2";

    /// Makes it.
    #[track_caller]
    pub fn new(place: &Arc<Place>) -> Self {
        let file = place.make_netns("other");
        let other = Self { file, _place: Arc::clone(place) };
        place.owns_link("cable");
        let path = other.file.to_str().expect("a plain path");
        place
            .run("ip", ["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", path])
            .ok();
        place.sh(&format!("ip addr add {}/24 dev cable && ip link set cable up", Self::HOST)).ok();
        other
            .sh(&format!(
                "ip link set lo up; ip addr add {}/24 dev cable && ip link set cable up",
                Self::ADDRESS
            ))
            .ok();
        other
    }

    /// The file that keeps its network namespace.
    pub fn netns(&self) -> &Path {
        &self.file
    }

    /// A program to be run here.
    pub fn command(&self, program: &str) -> Command {
        enter(&self.file, program)
    }

    /// Runs shell text here, to its end.
    #[track_caller]
    pub fn sh(&self, text: &str) -> Output {
        let mut command = self.command("sh");
        command.args(["-c", text]);
        run(command)
    }

    /// Starts shell text here, beside the test.
    #[track_caller]
    pub fn spawn(&self, text: &str) -> Running {
        let mut command = self.command("sh");
        command.args(["-c", text]);
        Running::spawn(command)
    }
}
