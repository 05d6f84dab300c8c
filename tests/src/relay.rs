//! A bad way to a receiver: a relay of TCP connections that is slow or resets them.

use crate::place::Place;
use nix::sched::{CloneFlags, setns};
use rustix::net::sockopt::set_socket_linger;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What a relay does to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Manner {
    /// Nothing.
    Good,
    /// Passes some 100 KiB in a second.
    Slow,
    /// Resets each after a while, in the middle of what comes: the first soon, later ones later.
    Resets,
}

#[derive(Debug, Default)]
struct Shared {
    manner: AtomicU8,
    resets: AtomicU32,
    ended: AtomicBool,
}

/// A relay on port 7999 of a place's host, for what is sent to a port of 127.0.0.2, to the same port of 127.0.0.1. It takes nothing any more when dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    place: Arc<Place>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    /// Starts one.
    #[track_caller]
    pub fn start(place: &Arc<Place>, port: u16) -> Self {
        place
            .sh(&format!(
                "nft add table ip relay && nft 'add chain ip relay out {{ type nat hook output priority -100; }}' && \
                 nft add rule ip relay out ip daddr 127.0.0.2 tcp dport {port} redirect to :7999"
            ))
            .ok();
        let shared = Arc::new(Shared::default());
        let netns = std::fs::File::open(place.path("net")).expect("open the host's namespace");
        let (listening, heard) = mpsc::channel();
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("enter the host's namespace");
            let listener = TcpListener::bind("127.0.0.1:7999").expect("listen");
            listening.send(()).expect("the test waits");
            for (number, client) in (0..).zip(listener.incoming().flatten()) {
                if own.ended.load(Ordering::Relaxed) {
                    return;
                }
                let own = Arc::clone(&own);
                std::thread::spawn(move || relay(client, port, &own, number));
            }
        });
        heard.recv().expect("the relay listens");
        Self { shared, place: Arc::clone(place), thread: Some(thread) }
    }

    /// From now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.manner.store(manner as u8, Ordering::Relaxed);
    }

    /// Connections that were reset so far.
    pub fn resets(&self) -> u32 {
        self.shared.resets.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.place.run("busybox", ["nc", "-w", "1", "127.0.0.1", "7999"]);
        self.place.run("nft", ["delete", "table", "ip", "relay"]);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn relay(mut client: TcpStream, port: u16, shared: &Shared, number: usize) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (Ok(mut back), Ok(mut answers)) = (client.try_clone(), server.try_clone()) else { return };
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    let answering = std::thread::spawn(move || {
        // Whichever side breaks off, both end.
        let _ = std::io::copy(&mut answers, &mut back);
        if !seen.load(Ordering::Relaxed) {
            let _ = back.shutdown(Shutdown::Both);
        }
    });
    let patience = 300 + number * 700 % 9_000;
    let (mut passed, mut piece) = (0, [0; 2048]);
    while let Ok(n @ 1..) = client.read(&mut piece) {
        let manner = shared.manner.load(Ordering::Relaxed);
        if manner == Manner::Slow as u8 {
            std::thread::sleep(Duration::from_millis(20));
        }
        passed += n;
        let resets = manner == Manner::Resets as u8 && passed > patience;
        let some = if resets { n / 2 } else { n };
        let passes = server.write_all(&piece[..some]).is_ok();
        if resets || !passes {
            broken.store(true, Ordering::Relaxed);
            for stream in [&client, &server] {
                // Closing it then resets it.
                let _ = set_socket_linger(stream, Some(Duration::ZERO));
            }
            shared.resets.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Read);
    let _panicked = answering.join();
}
