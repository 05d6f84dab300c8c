//! Sockets handed over by systemd (sd_listen_fds(3)).

use crate::gateway::serve::Listener;
use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::os::fd::AsFd;
use tokio_rustls::TlsAcceptor;

/// The first of them has this number.
const FIRST: i32 = 3;

/// Takes all sockets, or the one with a number.
pub fn take(
    handed: &mut ListenFd,
    which: Option<i32>,
    tls: Option<&TlsAcceptor>,
) -> anyhow::Result<Vec<Listener>> {
    if handed.len() == 0 {
        bail!("no sockets found via socket activation: make sure the service was started by systemd");
    }
    let wanted: Vec<usize> = match which.map(|n| usize::try_from(n - FIRST)) {
        None => (0..handed.len()).collect(),
        Some(Ok(index)) if index < handed.len() => vec![index],
        Some(_) => bail!("too few socket activated files passed in by systemd"),
    };
    wanted.into_iter().map(|index| one(handed, index, tls)).collect()
}

fn one(handed: &mut ListenFd, index: usize, tls: Option<&TlsAcceptor>) -> anyhow::Result<Listener> {
    let failed = || format!("failed to listen on systemd activated file: fd {}", FIRST as usize + index);
    if let Ok(Some(socket)) = handed.take_unix_listener(index) {
        prepare(&socket)?;
        socket.set_nonblocking(true).with_context(failed)?;
        return Ok(Listener::Unix(tokio::net::UnixListener::from_std(socket).with_context(failed)?));
    }
    let Some(socket) = handed.take_tcp_listener(index).with_context(failed)? else { bail!(failed()) };
    prepare(&socket)?;
    socket.set_nonblocking(true).with_context(failed)?;
    let listener = tokio::net::TcpListener::from_std(socket).with_context(failed)?;
    Ok(Listener::Tcp(listener, tls.cloned()))
}

/// Shims outlive the daemon and must not hold its sockets.
fn prepare(socket: impl AsFd) -> anyhow::Result<()> {
    fcntl(socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).context("keep a socket to the daemon")?;
    Ok(())
}
