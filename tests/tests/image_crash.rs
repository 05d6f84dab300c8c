//! The daemon dies as in a crash while images come and go: what the next one finds is whole, and nothing else is there.

use gantry_tests::{Builder, Daemon, Place, Random, Registry, Running, image};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Deaths of the daemon.
const KILLS: u64 = 25;

/// A root file system with its own checksums: `/sums` tells those of 60 files in `/data`.
fn summed(name: &str) -> Vec<u8> {
    let mut sums = String::new();
    let files: Vec<(String, Vec<u8>)> = (0..60u8)
        .map(|n| {
            let content: Vec<u8> =
                (0..20_000u32).flat_map(|i| [n, (i % 251) as u8, name.len() as u8]).collect();
            (format!("data/{name}{n}"), content)
        })
        .collect();
    for (path, content) in &files {
        use sha2::{Digest, Sha256};
        sums.push_str(&format!("{}  /{path}\n", hex::encode(Sha256::digest(content))));
    }
    let mut all: Vec<image::File<'_>> = files
        .iter()
        .map(|(path, content)| image::File { path: path.as_str(), content: content.as_slice(), mode: 0o644 })
        .collect();
    all.push(image::File { path: "sums", content: sums.as_bytes(), mode: 0o644 });
    let mut root = image::root_tar();
    // Without the two empty blocks at its end, so that more can follow.
    root.truncate(root.len() - 1024);
    root.extend(image::layer_tar(&all));
    root
}

fn entries(folder: &Path) -> BTreeSet<String> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    listed.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn hex_of(digest: &str) -> String {
    digest.trim_start_matches("sha256:").to_owned()
}

/// Bytes of all files of a tree, each once.
fn bytes(tree: &Path, seen: &mut BTreeSet<u64>) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(tree).expect("a folder").flatten() {
        let kind = entry.file_type().expect("its kind");
        let meta = entry.metadata().expect("its size");
        if kind.is_dir() {
            sum += bytes(&entry.path(), seen);
        } else if kind.is_file() && seen.insert(meta.ino()) {
            sum += meta.len();
        }
    }
    sum
}

/// Every image runs and every file of it is as it was made; the store holds what images are made of, and nothing else.
fn whole(gantry: &Daemon, when: &str) {
    let data = gantry.data();
    let ids: BTreeSet<String> =
        gantry.docker(["images", "-aq", "--no-trunc"]).lines().into_iter().map(str::to_owned).collect();
    let mut layers: BTreeSet<String> = BTreeSet::new();
    for id in &ids {
        let shown = gantry.inspected(id);
        let of = shown["RootFS"]["Layers"].as_array().cloned().unwrap_or_default();
        layers.extend(of.iter().filter_map(Value::as_str).map(hex_of));
        let check = "if [ -e /sums ]; then sha256sum -cs /sums; else ls / > /dev/null; fi";
        gantry.docker(["run", "--rm", "--entrypoint", "sh", id, "-c", check]).ok();
    }
    assert_eq!(entries(&data.join("images/configs")), ids.iter().map(|i| hex_of(i)).collect(), "{when}");
    assert_eq!(entries(&data.join("layers")), layers, "{when}");
    assert_eq!(entries(&data.join("tmp")), BTreeSet::new(), "{when}");
    let known = ["configs", "index.json", "partial", "reserve"].map(str::to_owned);
    let strange: Vec<String> =
        entries(&data.join("images")).into_iter().filter(|e| !known.contains(e)).collect();
    assert!(strange.is_empty(), "{when}: {strange:?}");
    let on_disk: u64 =
        layers.iter().map(|l| bytes(&data.join("layers").join(l).join("diff"), &mut BTreeSet::new())).sum();
    assert_eq!(gantry.api("GET", "/system/df?type=image", None).json()["LayersSize"], on_disk, "{when}");
}

/// What happens to images at the same time, each with its name. Some fail in some rounds, since others take what they need.
fn work(gantry: &Daemon, tar: &str, archive: &str) -> BTreeMap<&'static str, Running> {
    let start = |args: &[&str]| gantry.docker_running(args.iter().copied());
    BTreeMap::from([
        ("pull", start(&["pull", "-q", "127.0.0.1:5000/layered:1"])),
        ("load", start(&["load", "-q", "-i", archive])),
        ("import", start(&["import", tar, "imported:1"])),
        ("commit", start(&["commit", "maker", "committed:1"])),
        ("tag", start(&["tag", "busybox", "tagged:1"])),
        ("rmi", start(&["rmi", "old:1"])),
        ("prune", start(&["image", "prune", "-f"])),
    ])
}

#[test]
fn whatever_is_done_to_images_when_the_daemon_dies_the_next_one_finds_them_whole() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let mut gantry = Builder::at(&place).start();
    let tar: PathBuf = gantry.write("summed.tar", summed("imported"));
    let old: PathBuf = gantry.write("old.tar", summed("old"));
    let archive = image::docker_archive();
    let [tar, old, archive] = [&tar, &old, &archive].map(|p| p.to_str().expect("a plain path"));
    let fill = "mkdir /data; for i in $(seq 40); do dd if=/dev/urandom of=/data/$i bs=1k count=30 2>/dev/null; done; \
                sha256sum /data/* > /sums";
    gantry.docker(["run", "--name", "maker", "busybox", "sh", "-c", fill]).ok();
    let mut random = Random::seeded();
    let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..KILLS {
        gantry.docker(["import", old, "old:1"]).ok();
        let working = work(&gantry, tar, archive);
        random.pause(100 + round * 40);
        gantry.kill();
        for (name, running) in working {
            *ended.entry(name).or_default() += u64::from(running.finish().code == 0);
        }
        gantry.start_again();
        whole(&gantry, &format!("after death {round}"));
        for name in ["127.0.0.1:5000/layered:1", "gantry.test/layered:1", "imported:1", "committed:1"] {
            // It is there or it is not.
            let _absent = gantry.docker(["rmi", name]);
        }
    }
    eprintln!("ended before the daemon: {ended:?} of {KILLS}");
    // Nothing stands in the way of what was interrupted.
    for (name, running) in work(&gantry, tar, archive) {
        let output = running.finish();
        assert!(output.code == 0 || name == "rmi", "{name}: {output}");
    }
    whole(&gantry, "at the end");
    gantry.docker(["rm", "maker"]).ok();
    gantry.docker(["rmi", "-f", "busybox", "tagged:1"]).ok();
    gantry.docker(["image", "prune", "-af"]).ok();
    assert_eq!(entries(&gantry.data().join("layers")), BTreeSet::new());
    drop(registry);
}

#[test]
fn a_removal_that_a_kill_left_half_done_is_finished_by_the_next_daemon() {
    let mut gantry = Daemon::start();
    let data = gantry.data();
    gantry.kill();
    let orphan = "ab".repeat(32);
    std::fs::create_dir_all(data.join("layers").join(&orphan).join("diff/deep")).expect("make a layer");
    std::fs::create_dir_all(data.join("layers/.half-0123/diff")).expect("make half a layer");
    std::fs::write(data.join("images/configs").join(&orphan), "{}").expect("write a configuration");
    std::fs::write(data.join("images/.index.json.0123.tmp"), "{").expect("write half an index");
    std::fs::write(data.join("tmp/upload"), "x").expect("write half an upload");
    gantry.start_again();
    whole(&gantry, "after the start");
}
