//! What is seen from inside a network namespace, without starting a program there.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take that is expected. Generous: the machine may be slow, and busy with other tests.
const ANSWER: Duration = Duration::from_secs(20);

/// Does something on a thread that is in the network namespace of this file.
#[track_caller]
pub fn inside<T: Send>(netns: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(netns).unwrap_or_else(|e| panic!("open {}: {e}", netns.display()));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("enter a network namespace");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What `guest greet` says at an address over a connection: its host name. Asked from the thread's namespace.
pub fn greeted(address: SocketAddr, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let mut name = String::new();
    stream.read_to_string(&mut name).ok()?;
    Some(name.trim_end().to_owned())
}

/// The addresses that the name server at 127.0.0.11 of the thread's namespace has for a name, IPv4 or IPv6 by `record`
/// (1 or 28); none when it does not know the name. `None` when no server answers.
pub fn asked_for(name: &str, record: u16) -> Option<Vec<IpAddr>> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("127.0.0.11:53").ok()?;
    socket.set_read_timeout(Some(ANSWER)).ok()?;
    let mut query = vec![0x17, 0x2a, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, record.to_be_bytes()[1], 0, 1]);
    socket.send(&query).ok()?;
    let mut piece = [0; 4096];
    let length = socket.recv(&mut piece).ok()?;
    addresses(&piece[..length], query.len())
}

/// The addresses of an answer whose question ends at `at`.
fn addresses(answer: &[u8], mut at: usize) -> Option<Vec<IpAddr>> {
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut found = Vec::new();
    for _ in 0..count {
        // A name: labels up to an empty one, or a pointer.
        loop {
            match *answer.get(at)? {
                0 => {
                    at += 1;
                    break;
                }
                length if length >= 0xc0 => {
                    at += 2;
                    break;
                }
                length => at += usize::from(length) + 1,
            }
        }
        let length = usize::from(u16::from_be_bytes([*answer.get(at + 8)?, *answer.get(at + 9)?]));
        let data = answer.get(at + 10..at + 10 + length)?;
        if let Ok(four) = <[u8; 4]>::try_from(data) {
            found.push(Ipv4Addr::from(four).into());
        } else if let Ok(six) = <[u8; 16]>::try_from(data) {
            found.push(Ipv6Addr::from(six).into());
        }
        at += 10 + length;
    }
    Some(found)
}
