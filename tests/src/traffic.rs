//! Traffic through a published port to `guest echo`, as long as a test wants it.

use crate::inside::inside;
use crate::process::eventually;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One way of talking to the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One connection that carries numbers in both directions. It must not break.
    Stream,
    /// Datagrams of one sender, whose answers are counted.
    Datagrams,
    /// One short connection after the other, each of which must come about.
    Newcomers,
}

/// How long a call may take: the network itself may not lose more than a few packets.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    kind: Kind,
    address: SocketAddr,
    answered: AtomicU64,
    over: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Traffic {
    /// Starts it from the network namespace of this file.
    pub fn start(kind: Kind, netns: &Path, address: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            kind,
            address,
            answered: AtomicU64::new(0),
            over: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let (its, netns): (_, PathBuf) = (Arc::clone(&shared), netns.to_owned());
        let thread = std::thread::spawn(move || {
            let outcome = inside(&netns, || match kind {
                Kind::Stream => its.stream(),
                Kind::Datagrams => its.datagrams(),
                Kind::Newcomers => its.newcomers(),
            });
            if let Err(error) = outcome {
                let after = its.answered.load(Ordering::SeqCst);
                let text = format!("{kind:?} with {address} broke after {after} answers: {error}");
                *its.failure.lock().expect("written once") = Some(text);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Fails the test when it broke, or when no answer comes any more.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.answered();
        let what = format!("{:?} with {} goes on", self.shared.kind, self.shared.address);
        eventually(&what, || {
            let failure = self.shared.failure.lock().expect("written once").clone();
            assert_eq!(failure, None);
            // The first of them may have been under way before.
            (self.answered() > before + 1).then_some(())
        });
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn goes(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn stream(&self) -> std::io::Result<()> {
        let mut stream = self.connect()?;
        while self.goes() {
            self.carry(&mut stream, 4096)?;
        }
        Ok(())
    }

    fn newcomers(&self) -> std::io::Result<()> {
        while self.goes() {
            self.carry(&mut self.connect()?, 8)?;
        }
        Ok(())
    }

    /// Sends a block that is told from all others, and waits until it has come back.
    fn carry(&self, stream: &mut TcpStream, length: usize) -> std::io::Result<()> {
        let number = self.answered.load(Ordering::SeqCst);
        let block: Vec<u8> = number.to_be_bytes().into_iter().cycle().take(length).collect();
        stream.write_all(&block)?;
        let mut back = vec![0; length];
        stream.read_exact(&mut back)?;
        if back != block {
            return Err(std::io::Error::other(format!("block {number} came back as another")));
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    fn datagrams(&self) -> std::io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(self.address)?;
        // One may be lost: the next one is sent then.
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        while self.goes() {
            // Refused for a moment is no more than lost.
            let _refused = socket.send(b"datagram");
            let mut back = [0; 64];
            if socket.recv(&mut back).is_ok_and(|n| &back[..n] == b"datagram") {
                self.answered.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
