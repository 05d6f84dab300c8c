//! Network namespaces that end with the test, and a host with the driver in one of them.

#![allow(dead_code, reason = "each file of tests uses its part")]

use gantry_network::Bridges;
use nix::sched::{CloneFlags, unshare};
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace that lives as long as its thread.
pub struct Ns {
    jobs: mpsc::Sender<Job>,
    tid: i32,
}

impl Ns {
    pub fn new() -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, tid) = mpsc::channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            // Nobody waits for duplicates of addresses that are not there.
            for which in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/accept_dad"), "0").unwrap();
            }
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            inbox.into_iter().for_each(|job| job());
        });
        Self { jobs, tid: tid.recv().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/task/{}/ns/net", std::process::id(), self.tid).into()
    }

    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, answer) = mpsc::channel();
        self.jobs.send(Box::new(move || tell.send(work()).unwrap())).unwrap();
        answer.recv().unwrap()
    }

    pub fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || {
            let out = Command::new("sh").args(["-ec", &script]).output().unwrap();
            assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        })
    }

    /// Answers each connection with the address it came from.
    pub fn serve(&self, port: u16) {
        let listener = self.run(move || TcpListener::bind(("::", port)).unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = listener.accept() {
                let _ = write!(stream, "{}", peer.ip().to_canonical());
            }
        });
    }

    /// A busy machine takes its time over an answer.
    pub fn get(&self, address: &str) -> Result<String, String> {
        self.get_within(address, Duration::from_secs(20))
    }

    /// No answer comes, for which nobody waits for long.
    pub fn is_shut_out(&self, address: &str) -> bool {
        self.get_within(address, Duration::from_secs(2)).is_err()
    }

    fn get_within(&self, address: &str, limit: Duration) -> Result<String, String> {
        let address: SocketAddr = address.parse().unwrap();
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&address, limit).map_err(|e| e.to_string())?;
            stream.set_read_timeout(Some(limit)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
            Ok(text)
        })
    }
}

/// A host with its driver.
pub struct Host {
    /// Its network namespace.
    pub ns: Ns,
    /// What acts in it.
    pub driver: Bridges,
}

impl Host {
    pub fn new() -> Self {
        let ns = Ns::new();
        ns.sh("ip link set lo up");
        let driver = ns.run(|| Bridges::start("gt0").unwrap());
        Self { ns, driver }
    }

    /// A neighbour at 192.0.2.9, reached from 192.0.2.1.
    pub fn neighbour(&self) -> Ns {
        let outside = Ns::new();
        self.ns.sh(&format!(
            "ip link add out type veth peer name in; ip link set in netns {}; ip addr add 192.0.2.1/24 dev out; ip link set out up",
            outside.tid
        ));
        outside.sh("ip link set lo up; ip addr add 192.0.2.9/24 dev in; ip link set in up");
        outside
    }
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
