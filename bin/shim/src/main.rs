//! `gantry-shim`: one small process per container that owns what must outlive the daemon: the container's stdio or
//! terminal, its exit status, and the spool of its output. Single-threaded; never speaks to a network.

mod connection;
mod container;
mod exec;
mod foreign;
mod options;
mod output;
mod pace;
mod requests;
mod serve;
mod stdio;

use options::Options;
use sandbox::init;
use sandbox::protocol::{Handshake, Reason};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// What the daemon has raised for itself is not its containers'.
fn open_files(count: Option<u64>) -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Some(soft) = count else { return Ok(()) };
    getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard))
        .map_err(|e| format!("limit open files: {e}"))
}

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Path::new(init::PATH).file_name() {
        let args: Vec<String> =
            std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
        return ExitCode::from(u8::try_from(init::run(&args)).unwrap_or(1));
    }
    // Executed through a descriptor, the kernel would name this process by that number; ps shows it wrong if this fails.
    let _unnamed = nix::sys::prctl::set_name(c"gantry-shim");
    let outcome =
        Options::parse(std::env::args().skip(1)).map_err(|text| (Reason::Failed, text)).and_then(|options| {
            open_files(options.open_files).map_err(|text| (Reason::Failed, text))?;
            container::Container::create(&options)
        });
    let (handshake, container) = match outcome {
        Ok(container) => (Handshake::Created { pid: container.pid() }, Some(container)),
        Err((reason, text)) => (Handshake::Failed { text, reason }, None),
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
