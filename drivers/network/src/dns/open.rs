//! Sockets inside a container's namespace, at which its questions arrive.

use super::ADDRESS;
use crate::error::NetworkError;
use crate::nft::redirect;
use crate::socket::Socket;
use contract::network::{PortBinding, Protocol};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::File;
use std::io;
use std::net::SocketAddr;

/// Where containers ask, and the name of the table that leads from there to the sockets.
const PORT: u16 = 53;
const TABLE: &str = "dns";
/// Bytes of questions that may wait to be read: some thousand.
const RECEIVE: usize = 1 << 20;

/// Bound sockets.
#[derive(Debug)]
pub struct Open {
    /// For datagrams.
    pub udp: std::net::UdpSocket,
    /// For connections.
    pub tcp: std::net::TcpListener,
    /// Where they are.
    pub namespace: File,
}

impl Open {
    /// Binds them in a namespace. A short-lived thread enters it. Port 53 itself stays free for the container's own
    /// servers: a rule inside leads from there to whatever ports were free.
    pub fn inside(namespace: &File) -> Result<Self, NetworkError> {
        let failed = |e: &dyn ToString| NetworkError::Resolver(e.to_string());
        let namespace = namespace.try_clone().map_err(|e| failed(&e))?;
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(|e| NetworkError::Resolver(format!("enter the namespace: {e}")))?;
                Self::here(namespace)
            })
            .map_err(|e| failed(&e))?;
        thread.join().map_err(|_| failed(&"thread panicked"))?
    }

    fn here(namespace: File) -> Result<Self, NetworkError> {
        let failed = |e: io::Error| NetworkError::Resolver(e.to_string());
        let udp = std::net::UdpSocket::bind((ADDRESS, 0)).map_err(failed)?;
        let tcp = std::net::TcpListener::bind((ADDRESS, 0)).map_err(failed)?;
        // More than the kernel gives unasked; it takes no memory while nothing waits. Less works, too.
        let _less = setsockopt(&udp, sockopt::RcvBufForce, &RECEIVE);
        udp.set_nonblocking(true).and_then(|()| tcp.set_nonblocking(true)).map_err(failed)?;
        let to = |protocol, address: SocketAddr| {
            let port = PortBinding {
                protocol,
                host_ip: ADDRESS.into(),
                host_port: PORT,
                container_port: address.port(),
            };
            (port, ADDRESS.into())
        };
        let ports = [
            to(Protocol::Udp, udp.local_addr().map_err(failed)?),
            to(Protocol::Tcp, tcp.local_addr().map_err(failed)?),
        ];
        let mut netfilter = Socket::netfilter()?;
        redirect::ensure(&mut netfilter, TABLE, &ports)?;
        Ok(Self { udp, tcp, namespace })
    }
}
