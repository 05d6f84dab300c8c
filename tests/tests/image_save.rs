//! `docker save` and `load`: what one daemon gives another takes, and skopeo too.

use gantry_tests::{Builder, Daemon};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Files by name, with their content.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut out = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        assert!(out.insert(name.clone(), content).is_none(), "{name} is there twice");
    }
    out
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn docker(gantry: &Daemon) -> String {
    format!("docker -H unix://{}", gantry.socket().display())
}

/// An image of two layers over the ordinary one, with a name beside.
fn grow(gantry: &Daemon) -> (String, Value) {
    gantry
        .docker([
            "run",
            "--name",
            "maker",
            "busybox",
            "sh",
            "-c",
            "echo one > /one; ln /one /same; rm /etc/group; mkfifo /pipe",
        ])
        .ok();
    gantry.docker(["commit", "maker", "grown:1"]).ok();
    gantry.docker(["rm", "maker"]).ok();
    gantry.docker(["tag", "grown:1", "reg.example:5000/team/grown:two"]).ok();
    (gantry.inspect("grown:1", "{{.Id}}"), gantry.inspected("grown:1")["RootFS"]["Layers"].clone())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_image_saved_and_loaded_elsewhere_is_the_same_and_saves_to_the_same_bytes() {
    let gantry = Daemon::start();
    let (id, layers) = grow(&gantry);
    let file = gantry.place().path("saved.tar");
    gantry.docker(["save", "-o", path(&file), "grown:1", "reg.example:5000/team/grown", "busybox"]).ok();
    let saved = std::fs::read(&file).unwrap();
    let found = files(&saved);
    let json = |name: &str| serde_json::from_slice::<Value>(&found[name]).unwrap();
    let manifest = json("manifest.json");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["grown:1", "reg.example:5000/team/grown:two"]));
    assert_eq!(manifest[1]["RepoTags"], serde_json::json!(["busybox:latest"]));
    assert_eq!(manifest[0]["Config"], format!("blobs/{}", id.replace(':', "/")));
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let notes = &json("index.json")["manifests"][0]["annotations"];
    assert_eq!(notes["io.containerd.image.name"], "docker.io/library/grown:1");
    assert_eq!(notes["org.opencontainers.image.ref.name"], "1");
    let top = layers.as_array().unwrap().last().unwrap().as_str().unwrap().trim_start_matches("sha256:");
    assert_eq!(json("repositories")["reg.example:5000/team/grown"]["two"], top);
    // Every blob is what its name says.
    for (name, content) in found.iter().filter(|(n, c)| n.starts_with("blobs/sha256/") && !c.is_empty()) {
        let file = gantry.write("blob", content);
        let sum = shell(&format!("sha256sum < {}", file.display()));
        assert_eq!(Some(&sum[..64]), name.rsplit('/').next());
    }

    let other = Builder::new().without_image().start();
    let said = other.docker(["load", "-i", path(&file)]).ok().to_owned();
    for name in ["grown:1", "reg.example:5000/team/grown:two", "busybox:latest"] {
        assert!(said.contains(&format!("Loaded image: {name}")), "{said}");
    }
    assert_eq!(other.inspect("grown:1", "{{.Id}}"), id);
    assert_eq!(other.inspected("reg.example:5000/team/grown:two")["RootFS"]["Layers"], layers);
    assert_eq!(other.docker(["run", "--rm", "grown:1", "cat", "/same"]).ok(), "one");
    other.docker(["save", "-o", path(&file), "grown:1", "reg.example:5000/team/grown", "busybox"]).ok();
    assert!(std::fs::read(&file).unwrap() == saved, "the second archive differs");
    let events =
        gantry.docker(["events", "--since", "1h", "--until=-1s", "--filter", "event=save"]).ok().to_owned();
    assert_eq!(events.matches("image save").count(), 2, "{events}");
}

#[test]
fn save_pipes_into_load_compressed_in_every_way() {
    let gantry = Daemon::start();
    let (id, _) = grow(&gantry);
    let other = Builder::new().without_image().start();
    for filter in ["cat", "gzip", "bzip2", "xz -0", "zstd -q"] {
        if filter.starts_with("zstd") && Command::new("zstd").arg("--version").output().is_err() {
            continue;
        }
        let said = shell(&format!("{} save grown:1 | {filter} | {} load", docker(&gantry), docker(&other)));
        assert!(said.contains("Loaded image: grown:1"), "{filter}: {said}");
        assert_eq!(other.inspect("grown:1", "{{.Id}}"), id);
        other.docker(["rmi", "grown:1"]).ok();
    }
}

#[test]
fn an_image_named_by_id_is_saved_without_names() {
    let gantry = Daemon::start();
    let (id, _) = grow(&gantry);
    let other = Builder::new().without_image().start();
    for name in [id.as_str(), &id[7..19]] {
        let file = gantry.place().path("saved.tar");
        gantry.docker(["save", "-o", path(&file), name]).ok();
        let found = files(&std::fs::read(&file).unwrap());
        let manifest: Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"], Value::Null);
        assert!(!found.contains_key("repositories"));
        let said = other.docker(["load", "-i", path(&file)]).ok().to_owned();
        assert!(said.contains(&format!("Loaded image ID: {id}")), "{said}");
        other.docker(["rmi", &id]).ok();
    }
}

#[test]
fn what_cannot_be_saved_is_said_before_anything_is_sent() {
    let gantry = Daemon::start();
    for (names, text) in [
        (vec!["busybox", "nosuch"], "No such image: nosuch"),
        (vec!["nosuch:1"], "reference does not exist"),
        (
            vec!["--platform", "linux/s390x", "busybox"],
            "no suitable export target found for platform linux/s390x",
        ),
    ] {
        let file = gantry.place().path("none.tar");
        let args = ["save", "-o", path(&file)].into_iter().chain(names);
        assert!(gantry.docker(args).fails(1).contains(text), "{text}");
        assert!(!file.exists());
    }
    assert!(gantry.api("GET", "/images/get?names=nosuch", None).error(404).contains("No such image"));
    assert!(gantry.api("GET", "/images/nosuch:1/get", None).error(404).contains("does not exist"));
    let file = gantry.place().path("own.tar");
    gantry.docker(["save", "--platform", "linux/amd64", "-o", path(&file), "busybox"]).ok();
}

#[test]
fn a_damaged_layer_is_never_saved_as_if_it_were_whole() {
    let gantry = Daemon::start();
    let layer = gantry.inspected("busybox")["RootFS"]["Layers"][0].as_str().unwrap().to_owned();
    let folder = gantry.data().join("layers").join(&layer[7..]);
    let passwd = folder.join("diff/etc/passwd");
    let before = std::fs::read(&passwd).unwrap();
    std::fs::write(&passwd, vec![b'x'; before.len()]).unwrap();
    let file = gantry.place().path("saved.tar");
    let said = gantry.docker(["save", "-o", path(&file), "busybox"]);
    assert!(said.fails(1).contains("unexpected EOF"), "{said}");
    // A layer of before there were records.
    std::fs::remove_file(folder.join("stream")).unwrap();
    let said = gantry.docker(["save", "-o", path(&file), "busybox"]);
    assert!(said.fails(1).contains(&format!("layer {layer} was unpacked by an older gantry")), "{said}");
}

#[test]
fn an_image_being_saved_keeps_its_layers_though_it_is_removed() {
    let gantry = Daemon::start();
    let big = "head -c 30000000 /dev/urandom > /big";
    gantry.docker(["run", "--name", "maker", "busybox", "sh", "-c", big]).ok();
    gantry.docker(["commit", "maker", "big:1"]).ok();
    gantry.docker(["rm", "maker"]).ok();
    let file = gantry.place().path("saved.tar");
    // It goes once the first byte has come. The pipe is full long before the end, and stays so until then.
    let script = format!(
        "{0} save big:1 | {{ dd bs=1 count=1 2> /dev/null; {0} rmi big:1 > /dev/null; cat; }} > {1}",
        docker(&gantry),
        file.display()
    );
    shell(&script);
    assert!(gantry.docker(["inspect", "big:1"]).fails(1).contains("No such object"));
    gantry.docker(["load", "-i", path(&file)]).ok();
    assert_eq!(gantry.docker(["run", "--rm", "big:1", "stat", "-c", "%s", "/big"]).ok(), "30000000");
}

#[test]
fn skopeo_reads_our_images_and_writes_its_own() {
    let gantry = Daemon::start();
    let (id, layers) = grow(&gantry);
    let at = format!("unix://{}", gantry.socket().display());
    let said = shell(&format!("skopeo inspect --daemon-host {at} docker-daemon:grown:1"));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["Layers"], layers);
    let place = gantry.place().path("skopeo");
    std::fs::create_dir(&place).unwrap();
    let place = path(&place);
    shell(&format!(
        "skopeo copy --insecure-policy --src-daemon-host {at} docker-daemon:grown:1 oci:{place}/layout:grown"
    ));
    // umoci unpacks what skopeo took.
    shell(&format!("umoci unpack --image {place}/layout:grown {place}/bundle"));
    assert_eq!(std::fs::read_to_string(format!("{place}/bundle/rootfs/same")).unwrap(), "one\n");
    assert!(!Path::new(&format!("{place}/bundle/rootfs/etc/group")).exists());
    let other = Builder::new().without_image().start();
    let there = format!("unix://{}", other.socket().display());
    shell(&format!(
        "skopeo copy --insecure-policy --dest-daemon-host {there} oci:{place}/layout:grown docker-daemon:grown:back"
    ));
    assert_eq!(other.inspected("grown:back")["RootFS"]["Layers"], layers);
    assert_eq!(other.docker(["run", "--rm", "grown:back", "cat", "/one"]).ok(), "one");
    shell(&format!(
        "skopeo copy --insecure-policy --src-daemon-host {at} --dest-daemon-host {there} docker-daemon:grown:1 docker-daemon:grown:1"
    ));
    assert_eq!(other.inspect("grown:1", "{{.Id}}"), id);
}
