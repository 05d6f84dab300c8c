//! Images made of Debian's busybox-static, without any network. Made once and kept in cargo's folder for tests' files.

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides the images' content: images made by another version of it are not used.
const MAKERS: [&str; 4] = [
    include_str!("image.rs"),
    include_str!("../guest/main.rs"),
    include_str!("../guest/dns.rs"),
    include_str!("../guest/probe.rs"),
];

/// How long a small program may take to compile.
const COMPILING: std::time::Duration = std::time::Duration::from_secs(300);

/// A file inside an image's layer.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Path without the first slash.
    pub path: &'a str,
    /// Content.
    pub content: &'a [u8],
    /// Permissions.
    pub mode: u32,
}

/// The root file system: busybox with all its applets, [`guest`], users `root`, `app` (1000, also in group `extra`, 2000) and `nobody`,
/// and a `/tmp`.
pub fn root_tar() -> Vec<u8> {
    let busybox = std::fs::read(find("busybox")).expect("read busybox: install busybox-static");
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in
        [("bin/", 0o755), ("etc/", 0o755), ("home/", 0o755), ("tmp/", 0o1777), ("root/", 0o700)]
    {
        entry(&mut tar, path, tar::EntryType::Directory, mode, &[]);
    }
    file(&mut tar, "bin/busybox", 0o755, &busybox);
    file(&mut tar, "bin/guest", 0o755, &std::fs::read(guest()).expect("read the guest program"));
    let list = Command::new("busybox").arg("--list").output().expect("run busybox").stdout;
    for applet in String::from_utf8_lossy(&list).lines().filter(|a| *a != "busybox") {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("append to memory");
    }
    let users =
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
    file(&mut tar, "etc/passwd", 0o644, users.as_bytes());
    let groups = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nnogroup:x:65534:\n";
    file(&mut tar, "etc/group", 0o644, groups.as_bytes());
    tar.into_inner().expect("finish a tar in memory")
}

/// A layer with these files alone.
pub fn layer_tar(files: &[File<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for f in files {
        file(&mut tar, f.path, f.mode, f.content);
    }
    tar.into_inner().expect("finish a tar in memory")
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(1_700_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn entry(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, mode: u32, content: &[u8]) {
    let mut header = header(kind, mode, content.len() as u64);
    tar.append_data(&mut header, path, content).expect("append to memory");
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    entry(tar, path, tar::EntryType::Regular, mode, content);
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let found = std::env::split_paths(&path).map(|p| p.join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing: run `make setup`"))
}

/// `tests/guest`, static: what busybox lacks.
pub fn guest() -> PathBuf {
    compiled("guest", "tests/guest/main.rs")
}

/// `tests/guest/probe.rs`, static: asks the kernel for what containers are refused. In no image: tests bind it.
pub fn probe() -> PathBuf {
    compiled("probe", "tests/guest/probe.rs")
}

fn compiled(name: &str, source: &str) -> PathBuf {
    kept(name, |path| {
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "-o",
        ]);
        rustc.arg(path).arg(crate::workspace().join(source));
        // Several tests' processes compile it at the same time, beside whatever else the machine does.
        crate::process::run_within(rustc, COMPILING).ok();
    })
}

/// The same with programs of Debian packages: `dd` of coreutils, which tells its speed, and `stress`.
pub fn tools_tar() -> PathBuf {
    kept("tools.tar", |path| {
        let mut bytes = root_tar();
        // Without the two empty blocks at its end, so that more can follow.
        bytes.truncate(bytes.len() - 1024);
        let mut tar = tar::Builder::new(bytes);
        let programs = ["dd", "stress"].map(find);
        let listed = Command::new("ldd").args(&programs).output().expect("run ldd").stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let libraries = listed.split_whitespace().filter(|w| w.starts_with('/') && !w.ends_with(':'));
        let mut files: Vec<PathBuf> = libraries.map(PathBuf::from).chain(programs).collect();
        files.sort();
        files.dedup();
        for file in files {
            let name = file.strip_prefix("/").expect("an absolute path");
            tar.append_path_with_name(&file, name).expect("append to memory");
        }
        std::fs::write(path, tar.into_inner().expect("finish a tar")).expect("write the image's tar");
    })
}

/// A tar for `docker import`.
pub fn import_tar() -> PathBuf {
    kept("root.tar", |path| std::fs::write(path, root_tar()).expect("write the image's tar"))
}

/// An OCI layout folder with three images: `busybox` (one gzip layer); `layered`, with a second layer holding `/hello`, two
/// variables, a working folder, a label, an exposed port, an entrypoint and a command; and `multi`, a list for arm64 and amd64
/// whose images tell theirs in `/arch`.
pub fn oci_layout() -> PathBuf {
    kept("oci", |path| {
        let mut layout = Layout::new(path);
        let root = root_tar();
        layout.image("busybox", &json!({"Cmd": ["sh"]}), &[&root]);
        let hello = layer_tar(&[File { path: "hello", content: b"hello from a layer\n", mode: 0o644 }]);
        let config = json!({
            "Env": ["PATH=/bin", "GREETING=hello"],
            "WorkingDir": "/home",
            "Entrypoint": ["echo", "entry"],
            "Cmd": ["command"],
            "Labels": {"maker": "gantry"},
            "ExposedPorts": {"80/tcp": {}},
        });
        layout.image("layered", &config, &[&root, &hello]);
        let arch =
            |name: &'static str| layer_tar(&[File { path: "arch", content: name.as_bytes(), mode: 0o644 }]);
        let (arm, amd) = (arch("arm64"), arch("amd64"));
        let config = json!({"Cmd": ["sh"]});
        layout.list(
            "multi",
            &[
                layout.manifest("arm64", &config, &[&root, &arm]),
                layout.manifest("amd64", &config, &[&root, &amd]),
            ],
        );
        layout.finish();
    })
}

/// A tar for `docker load` in Docker's own form, holding `layered` as `gantry.test/layered:1`.
pub fn docker_archive() -> PathBuf {
    kept("docker.tar", |path| {
        let to = format!("docker-archive:{}:gantry.test/layered:1", path.display());
        skopeo(["copy", &format!("oci:{}:layered", oci_layout().display()), &to]);
    })
}

/// A tar for `docker load` in the OCI form, holding `layered` under the name `gantry.test/layered:oci`.
pub fn oci_archive() -> PathBuf {
    kept("oci.tar", |path| {
        let to = format!("oci-archive:{}:gantry.test/layered:oci", path.display());
        skopeo(["copy", &format!("oci:{}:layered", oci_layout().display()), &to]);
    })
}

#[track_caller]
fn skopeo<const N: usize>(args: [&str; N]) {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(args);
    crate::process::run(command).ok();
}

/// Makes a file or folder elsewhere and renames it, since several tests may want it at once.
fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let makers = hex::encode(Sha256::digest(MAKERS.concat()));
    let folder = crate::workspace().join("target/tmp").join(format!("images.{}", &makers[..12]));
    let path = folder.join(name);
    if path.exists() {
        return path;
    }
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let making = folder.join(format!("making.{}.{thread}.{name}", std::process::id()));
    // Left by a process that was killed and had this one's number.
    let _earlier = std::fs::remove_dir_all(&making);
    std::fs::create_dir_all(&making).expect("make a folder for an image");
    make(&making.join(name));
    if std::fs::rename(making.join(name), &path).is_err() {
        assert!(path.exists(), "{} cannot be made", path.display());
    }
    // A rename over a folder is refused: then the one that came first stays, with the same in it.
    std::fs::remove_dir_all(&making).expect("remove the folder it was made in");
    path
}

struct Layout<'a> {
    folder: &'a Path,
    manifests: Vec<Value>,
}

impl<'a> Layout<'a> {
    fn new(folder: &'a Path) -> Self {
        std::fs::create_dir_all(folder.join("blobs/sha256")).expect("make a layout's folder");
        Self { folder, manifests: Vec::new() }
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = hex::encode(Sha256::digest(bytes));
        std::fs::write(self.folder.join("blobs/sha256").join(&digest), bytes).expect("write a blob");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    fn image(&mut self, name: &str, config: &Value, layers: &[&[u8]]) {
        let manifest = self.manifest("amd64", config, layers);
        self.named(name, manifest);
    }

    fn list(&mut self, name: &str, manifests: &[Value]) {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        let index = self.blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
        self.named(name, index);
    }

    fn named(&mut self, name: &str, mut descriptor: Value) {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.manifests.push(descriptor);
    }

    fn manifest(&self, architecture: &str, config: &Value, layers: &[&[u8]]) -> Value {
        let mut described = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in layers {
            diff_ids.push(format!("sha256:{}", hex::encode(Sha256::digest(layer))));
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(layer).expect("compress in memory");
            let bytes = gzip.finish().expect("compress in memory");
            described.push(self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &bytes));
        }
        let config = json!({
            "created": "2024-01-02T03:04:05Z",
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": diff_ids.iter().map(|_| json!({"created": "2024-01-02T03:04:05Z", "created_by": "test"})).collect::<Vec<_>>(),
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": described,
        });
        let mut manifest =
            self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifest
    }

    fn finish(self) {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        std::fs::write(self.folder.join("index.json"), index.to_string()).expect("write the index");
        std::fs::write(self.folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("write the mark");
    }
}
