//! Pulls from Debian's `docker-registry`, fed by skopeo.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{Image, Kept, Packing, client, digest, layer, name, pull, told};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Registry {
    host: String,
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Registry {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port is free at this moment; nobody else asks for this one.
        let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: \"{host}\"}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", config.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { host, child, folder };
        for _ in 0..2000 {
            if tokio::net::TcpStream::connect(&registry.host).await.is_ok() {
                return registry;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("docker-registry does not answer");
    }

    fn copy(&self, args: &[&str], from: &str, to: &str) {
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false"])
            .args(args)
            .args([from, &format!("docker://{}/{to}", self.host)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Writes an OCI layout with the image under `one`, and under `many` an index with it and one for another machine.
fn layout(folder: &Path, image: &Image, other: &Image) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| std::fs::write(blobs.join(&digest(bytes)[7..]), bytes).unwrap();
    for image in [image, other] {
        image.packed.iter().chain([&image.config, &image.manifest]).for_each(|b| blob(b));
    }
    let describe = |bytes: &[u8], kind: &str| {
        let media = format!("application/vnd.oci.image.{kind}.v1+json");
        serde_json::json!({"digest": digest(bytes), "size": bytes.len(), "mediaType": media})
    };
    let entry = |image: &Image, architecture: &str| {
        let mut entry = describe(&image.manifest, "manifest");
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
        entry
    };
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(other, "s390x"), entry(image, own)]})
        .to_string();
    blob(index.as_bytes());
    let mut named = [describe(&image.manifest, "manifest"), describe(index.as_bytes(), "index")];
    for (entry, name) in named.iter_mut().zip(["one", "many"]) {
        entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
    }
    std::fs::write(
        folder.join("index.json"),
        serde_json::json!({"schemaVersion": 2, "manifests": named}).to_string(),
    )
    .unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[tokio::test]
async fn every_kind_of_manifest_and_packing_is_pulled_and_told_as_docker_does() {
    let registry = Registry::start().await;
    let image = Image::new(vec![
        (layer("a", b"1"), Packing::Gzip),
        (layer("b", &vec![7; 2_000_000]), Packing::Zstd),
        (layer("c", b"3"), Packing::None),
        (layer("a", b"1"), Packing::Gzip),
    ]);
    let other = Image::new(vec![(layer("x", b"s390x"), Packing::Gzip)]);
    let folder = registry.folder.path().join("oci");
    layout(&folder, &image, &other);
    registry.copy(&["--preserve-digests"], &format!("oci:{}:one", folder.display()), "app:one");
    registry.copy(&["--all", "--preserve-digests"], &format!("oci:{}:many", folder.display()), "app:many");
    let client = client();
    let mut sinks = Vec::new();
    for tag in ["one", "many"] {
        let sink = Kept::new();
        let (pulled, lines) = pull(&client, &name(&registry.host, "app", tag), None, sink.clone()).await;
        let pulled = pulled.unwrap();
        assert_eq!(pulled.config, image.config);
        assert_eq!(sink.layers.lock().unwrap().len(), 3);
        assert_eq!(sink.partial(), []);
        assert_eq!((lines[0].id.as_str(), lines[0].status.as_str()), (tag, "Pulling from app"));
        let states = told(&lines, &image.short(1));
        let expected = [
            "Pulling fs layer",
            "Downloading",
            "Verifying Checksum",
            "Download complete",
            "Extracting",
            "Pull complete",
        ];
        assert_eq!(states, expected);
        let progress = lines.iter().rfind(|l| l.status == "Downloading" && l.id == image.short(1)).unwrap();
        assert_eq!(
            (progress.current, progress.total),
            (image.packed[1].len() as u64, image.packed[1].len() as u64)
        );
        // Again, by digest.
        let by_digest = name(&registry.host, "app", &pulled.digest);
        let (again, lines) = pull(&client, &by_digest, None, sink.clone()).await;
        assert_eq!(again.unwrap().digest, pulled.digest);
        assert_eq!(told(&lines, &image.short(1)), ["Already exists"]);
        sinks.push(pulled.digest);
    }
    assert_eq!(sinks[0], digest(&image.manifest));
    assert_ne!(sinks[0], sinks[1]);
    let sink = Kept::new();
    let elsewhere = pull(&client, &name(&registry.host, "app", "many"), Some("linux/s390x"), sink).await.0;
    assert_eq!(elsewhere.unwrap().config, other.config);
    let none = pull(&client, &name(&registry.host, "app", "many"), Some("linux/arm/v7"), Kept::new()).await.0;
    assert_eq!(none.unwrap_err().text, "no matching manifest for linux/arm/v7 in the manifest list entries");
}

#[tokio::test]
async fn dockers_own_manifests_are_pulled_too() {
    let registry = Registry::start().await;
    let image = Image::new(vec![(layer("a", b"1"), Packing::Gzip), (layer("b", b"2"), Packing::Gzip)]);
    let folder = registry.folder.path().join("oci");
    layout(&folder, &image, &image);
    registry.copy(&["--format", "v2s2"], &format!("oci:{}:one", folder.display()), "deep/er/app:v2");
    let sink = Kept::new();
    let pulled =
        pull(&client(), &name(&registry.host, "deep/er/app", "v2"), None, sink.clone()).await.0.unwrap();
    assert_eq!(pulled.config, image.config);
    assert_ne!(pulled.digest, digest(&image.manifest));
    assert_eq!(sink.layers.lock().unwrap().len(), 2);
    let missing = name(&registry.host, "none", "x");
    let error = pull(&client(), &missing, None, Kept::new()).await.0.unwrap_err();
    let text = format!("manifest for {}/none:x not found: manifest unknown: manifest unknown", registry.host);
    assert_eq!(error.text, text);
}
