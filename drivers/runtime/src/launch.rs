//! Starts shims and clears away what they leave.

use crate::oci::{self, Given, HostFacts, Policy};
use crate::{RuntimeConfig, devices, files, link};
use contract::record::ContainerSpec;
use contract::runtime::{SandboxSpec, WhenFull};
use contract::{Kind, PortError};
use sandbox::cgroup::Cgroup;
use sandbox::protocol::Handshake;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{LazyLock, Mutex, PoisonError};
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
    let given = look_up(config, c)?;
    prepare(spec, facts, &given, &config_file)
        .map_err(|e| failed(format!("prepare container {}", c.id), e))?;
    // Resolved by the new process, which still has the descriptor until it has executed it.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0(&config.shim);
    command.arg("--dir").arg(&spec.directory).arg("--config").arg(&config_file).arg("--socket").arg(socket);
    command.arg("--spool-budget").arg(config.spool_budget.to_string());
    if let Some(count) = config.open_files {
        command.arg("--open-files").arg(count.to_string());
    }
    if c.when_full() == WhenFull::Drop {
        command.arg("--drop-when-full");
    }
    if c.open_stdin {
        command.arg("--open-stdin");
    }
    if c.stdin_once {
        command.arg("--stdin-once");
    }
    if !c.runtime.is_empty() {
        let (program, args) = config.runtimes.find(&c.runtime)?;
        command.arg("--runtime").arg(program);
        for arg in args {
            command.arg("--runtime-arg").arg(arg);
        }
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
        Ok(Handshake::Failed { text, reason }) => Err(PortError::new(link::kind(reason), text)),
        Err(e) => Err(failed(format!("the shim of {} ended before its container was made", c.id), e)),
    }
}

/// What this container alone asks of the host.
fn look_up(config: &RuntimeConfig, c: &ContainerSpec) -> Result<Given, PortError> {
    let devices = if c.devices.is_empty() { Vec::new() } else { devices::look_up(&c.devices)? };
    let init = if oci::has_init(c) { Some(init(config)?) } else { None };
    let seccomp = match oci::policy(c) {
        Policy::Profile(text) => {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            let kernel = oci::seccomp::kernel(&release).unwrap_or_default();
            let capabilities = oci::effective_capabilities(c);
            let holder = oci::seccomp::Holder { capabilities: &capabilities, kernel };
            // Docker answers 500.
            oci::seccomp::resolve(text, holder).map_err(|text| PortError::new(Kind::Exhausted, text))?
        }
        // Other runtimes compile it themselves.
        Policy::Default if !c.runtime.is_empty() => {
            Some(oci::seccomp::default(&oci::effective_capabilities(c)))
        }
        Policy::Default | Policy::Unconfined => None,
    };
    let block_io = oci::limits::block_io(&c.resources, crate::groups::device)?;
    Ok(Given { devices, init, seccomp, block_io })
}

/// The init's program: a copy of the shim, so that nobody who gets the better of a container's mounts meets the shim's file.
fn init(config: &RuntimeConfig) -> Result<PathBuf, PortError> {
    static MADE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = config.containers.with_file_name("init");
    let path = folder.join("docker-init");
    let step = |e| failed(format!("copy the shim to {}", path.display()), e);
    let stamp = |path: &Path| std::fs::metadata(path).and_then(|m| Ok((m.len(), m.modified()?)));
    let shim = stamp(&config.shim).map_err(step)?;
    if stamp(&path).is_ok_and(|(length, time)| length == shim.0 && time >= shim.1) {
        return Ok(path);
    }
    // Renamed into place: containers that run keep the one they have.
    let making = folder.join("docker-init.new");
    std::fs::create_dir_all(&folder).map_err(step)?;
    std::fs::copy(&config.shim, &making).map_err(step)?;
    std::fs::rename(&making, &path).map_err(step)?;
    Ok(path)
}

/// The container's files and its OCI configuration. A handful of small writes, cheaper done here than handed over.
fn prepare(spec: &SandboxSpec, facts: &HostFacts, given: &Given, config_file: &Path) -> std::io::Result<()> {
    files::write(spec)?;
    match std::fs::remove_file(spec.directory.join("exit.json")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::write(config_file, serde_json::to_vec(&oci::configuration(spec, facts, given))?)
}

/// A container's stored wish.
pub async fn read_spec(file: &Path) -> Result<ContainerSpec, PortError> {
    let text = tokio::fs::read(file).await.map_err(|e| failed(format!("read {}", file.display()), e))?;
    serde_json::from_slice(&text).map_err(|e| failed(format!("read {}", file.display()), e))
}

/// Kills all members of a group and removes it.
pub fn kill_group(path: &str) -> Result<(), PortError> {
    let group = Cgroup::existing(path);
    group.kill();
    group.remove();
    Ok(())
}

/// Removes what a shim that is gone left behind.
pub async fn clear(cgroup: &str, socket: &Path) -> Result<(), PortError> {
    let cgroup = cgroup.to_owned();
    let runtime = socket.with_extension("runtime");
    let killed = tokio::task::spawn_blocking(move || {
        kill_group(&cgroup)?;
        clear_runtime(&runtime, &cgroup)
    })
    .await;
    match tokio::fs::remove_file(socket).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(format!("remove {}", socket.display()), e));
        }
        _ => {}
    }
    killed.map_err(|e| failed("clear a cgroup".to_owned(), e))?
}

/// Removes what another runtime left whose shim was killed: its state, and groups in hierarchies that gantry does not use.
fn clear_runtime(folder: &Path, cgroup: &str) -> Result<(), PortError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(format!("remove {}", folder.display()), e)),
        Ok(()) => {}
    }
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        // Most have none.
        let _none = std::fs::remove_dir(hierarchy.path().join(cgroup.trim_start_matches('/')));
    }
    Ok(())
}

/// The processors' folders of thermal events.
pub fn throttles() -> &'static [String] {
    static FOUND: LazyLock<Vec<String>> = LazyLock::new(|| {
        let processors = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
        let folders = processors.map(|entry| entry.path().join("thermal_throttle"));
        folders.filter(|folder| folder.is_dir()).map(|folder| folder.to_string_lossy().into_owned()).collect()
    });
    &FOUND
}
