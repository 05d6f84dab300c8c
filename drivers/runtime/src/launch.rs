//! Starts shims and clears away what they leave.

use crate::oci::{self, HostDevice, HostFacts};
use crate::{RuntimeConfig, files};
use contract::record::ContainerSpec;
use contract::runtime::SandboxSpec;
use contract::{Kind, PortError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::cgroup::Cgroup;
use sandbox::protocol::Handshake;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn failed(text: String, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::caused(Kind::Bug, text, error)
}

/// The shim's program where no container can write to it.
pub async fn program(path: &Path) -> Result<OwnedFd, PortError> {
    sandbox::image::guarded(path).map_err(|e| failed(format!("guard the shim {}", path.display()), e))
}

/// Launches a shim and waits until its sandbox stands at the gate; answers the main process's pid.
pub async fn shim(
    config: &RuntimeConfig,
    facts: &HostFacts,
    spec: &SandboxSpec,
    program: &OwnedFd,
    socket: &Path,
) -> Result<i32, PortError> {
    let c = &spec.container;
    let config_file = spec.directory.join("config.json");
    prepare(spec, facts, &config_file).map_err(|e| failed(format!("prepare container {}", c.id), e))?;
    // Resolved by the new process, which still has the descriptor until it has executed it.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0(&config.shim);
    command.arg("--dir").arg(&spec.directory).arg("--config").arg(&config_file).arg("--socket").arg(socket);
    command.arg("--spool-budget").arg(config.spool_budget.to_string());
    if c.log_opts.get("mode").is_some_and(|m| m == "non-blocking") {
        command.arg("--drop-when-full");
    }
    if c.open_stdin {
        command.arg("--open-stdin");
    }
    if c.stdin_once {
        command.arg("--stdin-once");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/").env_clear();
    let mut child =
        command.spawn().map_err(|e| failed(format!("start the shim {}", config.shim.display()), e))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut line).await;
        read.map_err(|e| failed(format!("hear from the shim of {}", c.id), e))?;
    }
    // The shim outlives this daemon; while it does not, its end is to be reaped.
    tokio::spawn(async move { child.wait().await });
    match serde_json::from_str(&line) {
        Ok(Handshake::Created { pid }) => Ok(pid),
        Ok(Handshake::Failed { text }) => Err(PortError::new(Kind::Bug, text)),
        Err(e) => Err(failed(format!("the shim of {} ended before its container was made", c.id), e)),
    }
}

/// The container's files and its OCI configuration. A handful of small writes, cheaper done here than handed over.
fn prepare(spec: &SandboxSpec, facts: &HostFacts, config_file: &Path) -> std::io::Result<()> {
    let host_resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    files::write(spec, &host_resolv)?;
    match std::fs::remove_file(spec.directory.join("exit.json")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::write(config_file, serde_json::to_vec(&oci::configuration(spec, facts))?)
}

/// A container's stored wish.
pub async fn read_spec(file: &Path) -> Result<ContainerSpec, PortError> {
    let text = tokio::fs::read(file).await.map_err(|e| failed(format!("read {}", file.display()), e))?;
    serde_json::from_slice(&text).map_err(|e| failed(format!("read {}", file.display()), e))
}

/// Kills all members of a group and removes it.
pub fn kill_group(path: &str) -> Result<(), PortError> {
    let group = Cgroup::existing(path);
    for pid in group.pids() {
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(e) => return Err(failed(format!("kill process {pid}"), e)),
        }
    }
    group.remove();
    Ok(())
}

/// Removes what a shim that is gone left behind.
pub async fn clear(cgroup: &str, socket: &Path) -> Result<(), PortError> {
    let cgroup = cgroup.to_owned();
    let killed = tokio::task::spawn_blocking(move || kill_group(&cgroup)).await;
    match tokio::fs::remove_file(socket).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(format!("remove {}", socket.display()), e));
        }
        _ => {}
    }
    killed.map_err(|e| failed("clear a cgroup".to_owned(), e))?
}

/// The processors' folders of thermal events.
pub fn throttles() -> Vec<String> {
    let processors = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let folders = processors.map(|entry| entry.path().join("thermal_throttle"));
    folders.filter(|folder| folder.is_dir()).map(|folder| folder.to_string_lossy().into_owned()).collect()
}

/// The host's device nodes, for privileged containers.
pub fn host_devices() -> Vec<HostDevice> {
    let mut out = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/dev")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let skipped = ["pts", "shm", "fd", "mqueue", "console", "ptmx"];
            if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| skipped.contains(&n)) {
                continue;
            }
            let Ok(meta) = entry.metadata() else { continue };
            let kind = meta.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_char_device() || kind.is_block_device() {
                out.push(HostDevice {
                    path: path.to_string_lossy().into_owned(),
                    kind: if kind.is_block_device() { 'b' } else { 'c' },
                    major: nix::sys::stat::major(meta.rdev()),
                    minor: nix::sys::stat::minor(meta.rdev()),
                    mode: meta.mode() & 0o7777,
                });
            }
        }
    }
    out
}
