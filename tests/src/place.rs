//! Where one test lives: a folder, a network namespace, a cgroup.

use crate::leftovers;
use crate::process::{Output, Running, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once};

/// A folder, a network namespace playing the host, and the name of a cgroup. Shared by everything of one test; the last
/// owner takes all of it away, killing what still runs there. If the test passed until then, it fails when a daemon has
/// left behind any process, mount, cgroup, link, firewall entry or file.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    name: String,
    own_links: Mutex<Vec<String>>,
}

impl Place {
    /// Makes one.
    pub fn new() -> Arc<Self> {
        static SWEPT: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(leftovers::sweep);
        let name = format!("gt{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = leftovers::PLACES.join(&name);
        std::fs::create_dir(&root).expect("make the test's folder: these tests need root");
        let place = Self { root, name, own_links: Mutex::default() };
        place.make_netns("net");
        place.run("ip", ["link", "set", "lo", "up"]).ok();
        Arc::new(place)
    }

    /// Makes a further network namespace, kept by a file in the folder.
    pub(crate) fn make_netns(&self, name: &str) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, "").expect("make a file to bind a namespace to");
        let mut unshare = Command::new("unshare");
        unshare.arg(format!("--net={}", file.display())).arg("true");
        run(unshare).ok();
        file
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cgroup for the containers, as `--cgroup-parent` takes it.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.name)
    }

    /// A program to be run on the test's host, that is, in its network namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        enter(&self.path("net"), program)
    }

    /// Runs a program on the test's host, to its end.
    #[track_caller]
    pub fn run<const N: usize>(&self, program: &str, args: [&str; N]) -> Output {
        let mut command = self.command(program);
        command.args(args);
        run(command)
    }

    /// Runs shell text on the test's host, to its end.
    #[track_caller]
    pub fn sh(&self, text: &str) -> Output {
        self.run("sh", ["-c", text])
    }

    /// Starts a program on the test's host.
    #[track_caller]
    pub fn spawn<const N: usize>(&self, program: &str, args: [&str; N]) -> Running {
        let mut command = self.command(program);
        command.args(args);
        Running::spawn(command)
    }

    /// True when something listens on a TCP port of the test's host.
    pub fn listens(&self, port: u16) -> bool {
        let sockets = self.run("cat", ["/proc/net/tcp", "/proc/net/tcp6"]).stdout;
        let mut sockets = sockets.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        sockets.any(|s| s.len() > 3 && s[1].ends_with(&format!(":{port:04X}")) && s[3] == "0A")
    }

    /// Remembers a link that the test itself made on its host.
    pub(crate) fn owns_link(&self, name: &str) {
        self.own_links.lock().expect("only pushed to").push(name.to_owned());
    }

    pub(crate) fn own_links(&self) -> Vec<String> {
        self.own_links.lock().expect("only pushed to").clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let found = if std::thread::panicking() { Vec::new() } else { leftovers(self) };
        leftovers::wipe(&self.root);
        assert!(found.is_empty(), "left behind in {}:\n{}", self.root.display(), found.join("\n"));
    }
}

/// `program` inside the network namespace that `file` keeps.
pub(crate) fn enter(file: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", file.display())).arg("--").arg(program);
    command
}
