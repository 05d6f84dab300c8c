//! `gantry-shim`: one small process per container that owns what must outlive the daemon: the container's stdio or
//! terminal, its exit status, and the spool of its output. Single-threaded; never speaks to a network.

mod connection;
mod container;
mod exec;
mod options;
mod output;
mod pace;
mod requests;
mod serve;
mod stdio;

use options::Options;
use sandbox::protocol::Handshake;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Executed through a descriptor, the kernel would name this process by that number; ps shows it wrong if this fails.
    let _unnamed = nix::sys::prctl::set_name(c"gantry-shim");
    let outcome =
        Options::parse(std::env::args().skip(1)).and_then(|options| container::Container::create(&options));
    let (handshake, container) = match outcome {
        Ok(container) => (Handshake::Created { pid: container.pid() }, Some(container)),
        Err(text) => (Handshake::Failed { text }, None),
    };
    let told = serde_json::to_string(&handshake).map_err(|e| e.to_string()).and_then(|line| {
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| e.to_string())
    });
    let Some(mut container) = container else { return ExitCode::FAILURE };
    if told.is_err() {
        container.abandon();
        return ExitCode::FAILURE;
    }
    match serve::run(container) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
