//! Images on a disk without room.

use gantry_tests::{Builder, Daemon, InMemory, Output, Place, Registry, eventually, image};
use std::path::Path;

fn used(data: &Path) -> u64 {
    let disk = nix::sys::statvfs::statvfs(data).expect("measure the disk");
    (disk.blocks() - disk.blocks_free()) * disk.fragment_size()
}

/// Everything that there is of images, with its size.
fn stored(gantry: &Daemon) -> String {
    let data = gantry.data();
    let find = format!("cd {} && find images layers tmp -printf '%p %y %s\\n' | sort", data.display());
    gantry.place().sh(&find).ok().to_owned()
}

/// A tar with a root file system and so many megabytes more.
fn large(megabytes: usize) -> Vec<u8> {
    let mut root = image::root_tar();
    root.truncate(root.len() - 1024);
    let content: Vec<u8> = (0..megabytes << 20).map(|i| (i % 253) as u8).collect();
    root.extend(image::layer_tar(&[image::File { path: "large", content: &content, mode: 0o644 }]));
    root
}

#[track_caller]
fn no_room(output: &Output) {
    let words = ["no space left on device", "than is allowed"];
    let told = format!("{}{}", output.stdout, output.stderr).to_lowercase();
    assert!(output.code != 0 && words.iter().any(|w| told.contains(w)), "{output}");
}

#[test]
fn a_full_disk_is_told_leaves_nothing_behind_and_lets_images_go() {
    let place = Place::new();
    let small = InMemory::mount(&place, 24);
    let gantry = Builder::at(&place).start();
    let data = gantry.data();
    gantry
        .docker(["run", "--name", "maker", "busybox", "dd", "if=/dev/zero", "of=/four", "bs=1M", "count=4"])
        .ok();
    let before = stored(&gantry);
    let large_tar = gantry.write("large.tar", large(18));
    let large_tar = large_tar.to_str().expect("a plain path");
    no_room(&gantry.docker(["import", large_tar, "large:1"]));
    eventually("all of it is gone", || (stored(&gantry) == before).then_some(()));

    // Now hardly anything is left.
    let filler = data.join("filler");
    let free = (24 << 20) - used(&data) - (1 << 20);
    std::fs::write(&filler, vec![1; usize::try_from(free).expect("it fits")]).expect("fill the disk");
    let archive = image::docker_archive();
    let archive = archive.to_str().expect("a plain path");
    no_room(&gantry.docker(["load", "-q", "-i", archive]));
    no_room(&gantry.docker(["commit", "maker", "committed:1"]));
    eventually("all of it is gone", || (stored(&gantry) == before).then_some(()));

    // To the last byte, and still images can go.
    let last = data.join("last");
    let mut rest = 1 << 20;
    while rest > 1024 {
        let more = std::fs::OpenOptions::new().append(true).create(true).open(&last).expect("open a file");
        use std::io::Write;
        if (&more).write_all(&vec![1; rest]).is_err() {
            rest /= 2;
        }
    }
    gantry.docker(["rm", "maker"]).ok();
    gantry.docker(["rmi", "busybox"]).ok();
    std::fs::remove_file(&filler).expect("make room");
    std::fs::remove_file(&last).expect("make room");
    gantry.docker(["load", "-q", "-i", archive]).ok();
    gantry.docker(["image", "prune", "-af"]).ok();
    gantry.docker(["import", image::import_tar().to_str().expect("a plain path"), "busybox"]).ok();
    gantry.docker(["run", "--rm", "busybox", "true"]).ok();
    drop((gantry, small));
}

#[test]
fn a_pull_without_room_says_so_leaves_nothing_and_works_when_there_is_room() {
    let place = Place::new();
    let registry = Registry::start(&place);
    let small = InMemory::mount(&place, 3);
    let gantry = Builder::at(&place).without_image().start();
    let data = gantry.data();
    let before = stored(&gantry);
    no_room(&gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]));
    eventually("all of it is gone", || (stored(&gantry) == before).then_some(()));
    let wider = ["-o", "remount,size=30m", data.to_str().expect("a plain path")];
    place.run("mount", wider).ok();
    gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok();
    gantry.docker(["run", "--rm", "127.0.0.1:5000/layered:1"]).ok();
    drop((registry, gantry, small));
}
