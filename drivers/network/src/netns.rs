//! Opening sockets inside another network namespace.

use crate::error::NetworkError;
use crate::socket::Socket;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::Path;

/// The namespace of the thread that opens it.
pub const OWN: &str = "/proc/thread-self/ns/net";

/// What links made later in the present namespace are like: without IPv6 until an endpoint has an address of it, and
/// telling the neighbours when they are announced.
pub fn prepare() {
    for (key, value) in [
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv6/conf/default/ndisc_notify", "1"),
        ("ipv4/conf/default/arp_notify", "1"),
    ] {
        // Absent where the kernel has no IPv6.
        let _absent = std::fs::write(format!("/proc/sys/net/{key}"), value);
    }
}

/// A network namespace and a routing socket inside it.
#[derive(Debug)]
pub struct Namespace {
    /// The namespace, to name it in requests.
    pub file: File,
    /// A socket that acts inside.
    pub route: Socket,
}

impl Namespace {
    /// Opens the namespace at `path`. A short-lived thread enters it, so no other code ever runs inside.
    pub fn open(path: &Path) -> Result<Self, NetworkError> {
        let failed = |reason: &dyn ToString| NetworkError::Namespace {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let file = File::open(path).map_err(|e| failed(&e))?;
        let inside = file.try_clone().map_err(|e| failed(&e))?;
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(64 * 1024)
            .spawn(move || {
                setns(&inside, CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string())?;
                prepare();
                Socket::route().map_err(|e| e.to_string())
            })
            .map_err(|e| failed(&e))?;
        match thread.join() {
            Ok(Ok(route)) => Ok(Self { file, route }),
            Ok(Err(reason)) => Err(failed(&reason)),
            Err(_) => Err(failed(&"thread panicked")),
        }
    }

    /// Runs something inside, on a short-lived thread.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NetworkError> {
        let failed = |reason: &dyn ToString| NetworkError::Namespace {
            path: "of a container".into(),
            reason: reason.to_string(),
        };
        let inside = self.file.try_clone().map_err(|e| failed(&e))?;
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(64 * 1024)
            .spawn(move || setns(&inside, CloneFlags::CLONE_NEWNET).map(|()| work()))
            .map_err(|e| failed(&e))?;
        match thread.join() {
            Ok(done) => done.map_err(|errno| failed(&errno)),
            Err(_) => Err(failed(&"thread panicked")),
        }
    }
}
