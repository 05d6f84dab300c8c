//! A container made by the built shim from an OCI configuration, without a daemon. Needs root.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use sandbox::protocol::{self, Answer, ExecProcess, Exit, Handshake, Request};
use sandbox::spool;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Docker's default capabilities.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An image's only layer and a configuration, to be changed by the test.
pub struct Stage {
    pub dir: TempDir,
    pub config: Value,
}

/// How a container ended and what it wrote.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Stage {
    /// An image of busybox and the usual folders, and the configuration that the daemon would write.
    pub fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make containers, which needs root");
        let dir = TempDir::new().unwrap();
        for folder in ["image/bin", "image/etc", "image/tmp", "upper", "work", "root"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists());
        std::fs::copy(busybox.unwrap(), dir.path().join("image/bin/busybox")).unwrap();
        let applets =
            ["sh", "cat", "ls", "id", "grep", "mount", "umount", "unshare", "touch", "mkfifo", "sleep"];
        for applet in
            applets.iter().chain(&["head", "pwd", "dd", "stat", "kill", "tr", "mkdir", "test", "true"])
        {
            symlink("busybox", dir.path().join("image/bin").join(applet)).unwrap();
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let overlay = json!({
            "lower": [path("image")], "upper": path("upper"), "work": path("work"), "target": path("root"),
        });
        let config = json!({
            "process": {
                "args": ["sh"], "cwd": "/", "env": ["PATH=/bin"],
                "capabilities": { "bounding": CAPABILITIES },
            },
            "hostname": "stage",
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                {
                    "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
                },
                { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "nodev", "ro"] },
                { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"] },
            ],
            "annotations": { "gantry.overlay": overlay.to_string(), "gantry.seccomp": "default" },
            "linux": {
                "namespaces": [
                    { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" },
                    { "type": "network" }, { "type": "cgroup" },
                ],
                "cgroupsPath": format!("/gantry-stage-{}-{number}", std::process::id()),
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        });
        Self { dir, config }
    }

    /// A path in the image.
    pub fn image(&self, path: &str) -> PathBuf {
        self.dir.path().join("image").join(path)
    }

    /// A path beside the image, the host's.
    pub fn host(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Adds a mount.
    pub fn bind(&mut self, source: &Path, target: &str, options: &[&str]) {
        let entry = json!({ "destination": target, "type": "bind", "source": source, "options": options });
        self.config["mounts"].as_array_mut().unwrap().push(entry);
    }

    /// Gives the container more capabilities.
    pub fn allow(&mut self, capability: &str) {
        self.config["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(capability.into());
    }

    /// Makes the container, up to the gate.
    pub fn create(&self, args: &[&str], flags: &[&str]) -> Result<Shim, String> {
        let mut config = self.config.clone();
        config["process"]["args"] = json!(args);
        std::fs::write(self.host("config.json"), config.to_string()).unwrap();
        let socket = self.host("socket");
        // Each run is read by itself.
        let _first = std::fs::remove_dir_all(self.host("spool"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_gantry-shim"))
            .args(["--dir".as_ref(), self.dir.path().as_os_str()])
            .args(["--config".as_ref(), self.host("config.json").as_os_str()])
            .args(["--socket".as_ref(), socket.as_os_str()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut shim = Shim { child, socket, spool: self.host("spool"), pid: 0 };
        match serde_json::from_str(&line).unwrap() {
            Handshake::Created { pid } => {
                shim.pid = pid;
                Ok(shim)
            }
            Handshake::Failed { text, .. } => Err(text),
        }
    }

    /// Makes and starts it.
    pub fn start(&self, args: &[&str], flags: &[&str]) -> Result<Shim, String> {
        let shim = self.create(args, flags)?;
        match shim.ask(&Request::Start) {
            Answer::Done => Ok(shim),
            Answer::Error { text, .. } => Err(text),
            other => panic!("{other:?}"),
        }
    }

    /// Runs a program to its end.
    pub fn run(&self, args: &[&str]) -> Result<Ended, String> {
        let shim = self.create(args, &[])?;
        let mut events = shim.subscribe();
        match shim.ask(&Request::Start) {
            Answer::Done => {}
            Answer::Error { text, .. } => return Err(text),
            other => panic!("{other:?}"),
        }
        let code = events.exit().code;
        let (out, err) = shim.output();
        Ok(Ended { code, out, err })
    }

    /// Runs shell commands to their end; what they write to either stream.
    pub fn shell(&self, script: &str) -> String {
        let ended = self.run(&["sh", "-c", script]).unwrap();
        ended.out + &ended.err
    }
}

/// A shim that runs; ended, with all it has, when dropped.
pub struct Shim {
    child: Child,
    socket: PathBuf,
    spool: PathBuf,
    pub pid: i32,
}

impl Shim {
    pub fn own_pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).unwrap()
    }

    pub fn ask(&self, request: &Request) -> Answer {
        let mut stream = self.connect();
        protocol::send(&mut stream, request).unwrap();
        protocol::receive(&mut stream).unwrap()
    }

    pub fn subscribe(&self) -> Events {
        let mut stream = self.connect();
        protocol::send(&mut stream, &Request::Subscribe).unwrap();
        assert_eq!(protocol::receive::<Answer>(&mut stream).unwrap(), Answer::Done);
        Events(stream)
    }

    /// Starts another process; its exit code and what it wrote, or why not.
    pub fn exec(&self, process: &ExecProcess) -> Result<(i32, String), String> {
        let mut events = self.subscribe();
        let id = format!("e{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        match self.ask(&Request::Exec { id: id.clone(), process: process.clone() }) {
            Answer::Started { .. } => {}
            Answer::Error { text, .. } => return Err(text),
            other => panic!("{other:?}"),
        }
        let mut stream = self.connect();
        protocol::send(&mut stream, &Request::Attach { exec: Some(id.clone()) }).unwrap();
        assert_eq!(protocol::receive::<Answer>(&mut stream).unwrap(), Answer::Done);
        let mut text = String::new();
        let mut head = [0; 5];
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes(head[1..].try_into().unwrap());
            let mut data = vec![0; length as usize];
            stream.read_exact(&mut data).unwrap();
            text.push_str(&String::from_utf8_lossy(&data));
        }
        Ok((events.exec_exit(&id), text))
    }

    /// Everything in the spool.
    pub fn output(&self) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut place = spool::Place::default();
        loop {
            let (records, next) = spool::read(&self.spool, place, 1 << 20).unwrap();
            if records.is_empty() {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
            }
            for (_, record) in records {
                if record.kind == spool::Kind::Data {
                    if record.stream == 2 { &mut err } else { &mut out }.extend(record.payload);
                }
            }
            place = next;
        }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if let Ok(mut stream) = UnixStream::connect(&self.socket) {
            let _asked = protocol::send(&mut stream, &Request::Shutdown);
            let _ended = stream.read_to_end(&mut Vec::new());
        }
        let _reaped = self.child.wait();
    }
}

/// What a shim tells without being asked.
pub struct Events(UnixStream);

impl Events {
    pub fn next(&mut self) -> Answer {
        protocol::receive(&mut self.0).unwrap()
    }

    pub fn exit(&mut self) -> Exit {
        loop {
            if let Answer::Exited { exit } = self.next() {
                return exit;
            }
        }
    }

    pub fn exec_exit(&mut self, wanted: &str) -> i32 {
        loop {
            match self.next() {
                Answer::ExecExited { id, code } if id == wanted => return code,
                _ => {}
            }
        }
    }
}

/// A process as the daemon would ask for it.
pub fn process(args: &[&str]) -> ExecProcess {
    ExecProcess {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        seccomp: Some("default".into()),
        output: true,
        ..ExecProcess::default()
    }
}
