//! The command line.

use std::path::PathBuf;

/// What the daemon asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The container's folder: socket, spool, exit record.
    pub dir: PathBuf,
    /// OCI `config.json`.
    pub config: PathBuf,
    /// Unix socket to listen on.
    pub socket: PathBuf,
    /// Bytes of spool on disk.
    pub budget: u64,
    /// Files its processes may open unless they raise it themselves.
    pub open_files: Option<u64>,
    /// Drop output instead of blocking when the spool is full.
    pub drop_when_full: bool,
    /// Keep stdin open.
    pub stdin: bool,
    /// Close stdin when the first attached client half-closes.
    pub stdin_once: bool,
    /// Another OCI runtime's program, instead of gantry's own sandbox.
    pub runtime: Option<PathBuf>,
    /// Arguments before the runtime's own.
    pub runtime_args: Vec<String>,
}

impl Options {
    /// Parses `--key value` and `--flag`.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut out = Self { budget: 64 << 20, ..Self::default() };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--dir" => out.dir = value()?.into(),
                "--config" => out.config = value()?.into(),
                "--socket" => out.socket = value()?.into(),
                "--spool-budget" => {
                    out.budget = value()?.parse().map_err(|e| format!("--spool-budget: {e}"))?
                }
                "--open-files" => {
                    out.open_files = Some(value()?.parse().map_err(|e| format!("--open-files: {e}"))?)
                }
                "--runtime" => out.runtime = Some(value()?.into()),
                "--runtime-arg" => out.runtime_args.push(value()?),
                "--drop-when-full" => out.drop_when_full = true,
                "--open-stdin" => out.stdin = true,
                "--stdin-once" => out.stdin_once = true,
                _ => return Err(format!("unknown option {arg}")),
            }
        }
        Ok(out)
    }
}
