//! Layers come out as GNU tar and overlayfs would have them, file by file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Tar, digest, gzip, place, zstd};
use contract::ContainerId;
use contract::image::{Force, Images};
use contract::storage::Roots;
use gantry_storage::{OverlayRoots, Store};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Which times must agree.
#[derive(Clone, Copy, PartialEq)]
enum Times {
    All,
    /// Of an applied series of layers, folders' times say when that was.
    Files,
}

/// Everything that can be told of each file of a tree, by path.
fn census(root: &Path, times: Times) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let mut says = format!("{:o} {}:{}", stat.mode(), stat.uid(), stat.gid());
        if times == Times::All || !stat.is_dir() {
            says += &format!(" {}.{:09}", stat.mtime(), stat.mtime_nsec());
        }
        let kind = stat.file_type();
        if kind.is_dir() {
            let mut inner: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
            inner.sort();
            rest.extend(inner.into_iter().rev());
        } else if kind.is_symlink() {
            says += &format!(" -> {}", std::fs::read_link(&path).unwrap().display());
        } else if kind.is_file() {
            says += &format!(" {} {}", stat.len(), digest(&std::fs::read(&path).unwrap()));
            says += &format!(" links {}", stat.nlink());
            if stat.nlink() > 1 {
                says += &format!(" of {}", inodes.entry(stat.ino()).or_insert_with(|| name.clone()));
            }
        } else if kind.is_char_device() || kind.is_block_device() {
            says += &format!(" {:x}", stat.rdev());
        }
        let mut list = vec![0u8; 65536];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        let mut keys: Vec<_> = list[..length].split(|b| *b == 0).filter(|k| !k.is_empty()).collect();
        keys.sort();
        for key in keys {
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(&path, CString::new(key).unwrap(), &mut value[..]).unwrap();
            says += &format!(" {}={}", String::from_utf8_lossy(key), hex::encode(&value[..length]));
        }
        out.insert(name, says);
    }
    out
}

fn same(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) {
    for (path, says) in theirs {
        assert_eq!(ours.get(path), Some(says), "{path}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

/// A tree with everything a tree can have.
const TREE: &str = r#"
set -e
mkdir -p bin usr/lib empty 'odd name/ü' sticky
printf hello > bin/tool; chmod 4755 bin/tool; chown 12:34 bin/tool
printf secret > bin/group; chmod 2711 bin/group
ln bin/tool bin/same; ln bin/tool usr/tool
ln -s ../bin/tool usr/link; ln -s /nowhere/at/all usr/dangling; ln -s usr/lib lib; chown -h 5:6 lib
chmod 1777 sticky; chown 65534:65534 empty; chmod 700 empty
mkfifo fifo; chmod 640 fifo
mknod null c 1 3; mknod disk b 7 99; chmod 660 disk
printf x > 'odd name/ü/with
newline'
printf cap > bin/ping
truncate -s 3M holes; printf middle | dd of=holes bs=1 seek=1500000 conv=notrunc status=none; truncate -s 5M holes
head -c 3000000 /dev/urandom > large
mkdir -p long/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 120)); printf y > long/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 120))/f
ln -s $(printf 'c%.0s' $(seq 200)) long/link
touch -d '2001-02-03 04:05:06.789012345 UTC' bin/tool usr/lib large; touch -h -d '1999-01-01 UTC' lib; touch -d '1960-01-01 UTC' sticky
touch -d '2002-02-02 UTC' bin usr . long empty
"#;

fn grow(tree: &Path) {
    std::fs::create_dir(tree).unwrap();
    run("sh", &["-c", &format!("cd {} && {TREE}", tree.display())]);
    // cap_net_raw and two more whose bits make newlines, permitted and effective (VFS_CAP_REVISION_2).
    let capability = b"\x01\0\0\x02\0\x20\x0a\0\0\x0a\0\0\0\0\0\0\0\0\0\0";
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(tree.join("bin/ping"), "security.capability", capability, none).unwrap();
    rustix::fs::setxattr(tree.join("usr/lib"), "user.note", b"a=b", none).unwrap();
    rustix::fs::lsetxattr(tree.join("lib"), "trusted.note", b"on a link", none).unwrap();
}

#[tokio::test]
async fn a_layer_is_unpacked_as_gnu_tar_does() {
    let place = place();
    let base = place.root.path();
    let tree = base.join("tree");
    grow(&tree);
    // Every form GNU tar writes: pax with attributes, old headers, and all four kinds of sparse maps.
    for (number, form) in [
        "--format=posix --xattrs --xattrs-include=*",
        "--format=gnu",
        "--format=gnu --sparse",
        "--format=posix --sparse --sparse-version=0.0",
        "--format=posix --sparse --sparse-version=0.1",
        "--format=posix --sparse --sparse-version=1.0 --xattrs --xattrs-include=*",
    ]
    .iter()
    .enumerate()
    {
        let (file, theirs) = (base.join(format!("{number}.tar")), base.join(format!("theirs{number}")));
        std::fs::create_dir(&theirs).unwrap();
        let (tree, file_text) = (tree.to_str().unwrap(), file.to_str().unwrap());
        let args: Vec<&str> = form.split(' ').chain(["-C", tree, "-cf", file_text, "."]).collect();
        run("tar", &args);
        let theirs_text = theirs.to_str().unwrap();
        run(
            "tar",
            &["--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", theirs_text, "-xpf", file_text],
        );
        let layer = std::fs::read(&file).unwrap();
        for packed in [layer.clone(), gzip(&layer), zstd(&layer)] {
            let ours = place.import(&packed).await.unwrap();
            same(&census(&ours, Times::All), &census(&theirs, Times::All));
            let holes = std::fs::metadata(ours.join("holes")).unwrap();
            assert!(!form.contains("--sparse") || holes.blocks() * 512 < 1 << 20, "{form}: holes are filled");
        }
    }
    assert!(census(&tree, Times::All)["bin/ping"].contains("security.capability=0100000200200a00000a"));
}

#[tokio::test]
async fn a_folder_listed_twice_has_the_last_members_time() {
    let place = place();
    let layer = Tar::default()
        .pax(&[("mtime", b"1000.5")])
        .folder("a")
        .file("a/f", "1")
        .pax(&[("mtime", b"2000.25")])
        .folder("a")
        .end();
    let folder = std::fs::metadata(place.import(&layer).await.unwrap().join("a")).unwrap();
    assert_eq!((folder.mtime(), folder.mtime_nsec()), (2000, 250_000_000));
}

/// The image's layers mounted as a container would see them.
async fn seen(data: &Path, store: Arc<Store>, image: &str) -> BTreeMap<String, String> {
    let roots = OverlayRoots::new(data, store);
    let id = ContainerId::new("c0");
    let spec = roots.ensure_root(&id, image).await.unwrap();
    let lower: Vec<_> = spec.lower.iter().map(|p| p.display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        spec.upper.display(),
        spec.work.display()
    );
    mount("overlay", &spec.target, "overlay", MountFlags::empty(), CString::new(options).unwrap().as_c_str())
        .unwrap();
    let census = census(&spec.target, Times::Files);
    unmount(&spec.target, UnmountFlags::DETACH).unwrap();
    roots.remove_root(&id).await.unwrap();
    census
}

#[tokio::test]
async fn whiteouts_hide_what_is_below_and_only_that() {
    let place = place();
    let lower = Tar::default()
        .folder("a")
        .file("a/gone", "1")
        .file("a/kept", "1")
        .folder("b")
        .file("b/old", "1")
        .folder("c")
        .file("c/old", "1")
        .folder("d")
        .file("d/old", "1")
        .folder("e")
        .file("e/old", "1")
        .file("f", "1")
        .link("g", "a");
    let upper = Tar::default()
        .file("a/.wh.gone", "")
        .file("a/.wh.never", "")
        // Deleted and made anew in one layer, in either order of entries.
        .file(".wh.b", "")
        .folder("b")
        .file("b/new", "2")
        .folder("c")
        .file("c/new", "2")
        .file(".wh.c", "")
        .folder("d")
        .file("d/new", "2")
        .file("d/.wh..wh..opq", "")
        .file(".wh.e", "")
        .file("f", "2")
        .file(".wh.f", "")
        .file(".wh.g", "")
        .file("g", "2");
    let third = Tar::default().file(".wh.nothing", "").file("h", "3");
    let layers = [lower.end(), upper.end(), third.end()];
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    place.load(&common::archive(&layers, &["w:1"])).await.unwrap();
    let (data, store) = (place.data(), Arc::new(Store::open(place.data(), None).unwrap()));
    let seen = seen(&data, store, "w:1").await;
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "a", "a/kept", "b", "b/new", "c", "c/new", "d", "d/new", "f", "g", "h"]);
}

#[tokio::test]
async fn an_opaque_root_hides_every_layer_below() {
    let place = place();
    let (lower, upper) = (
        Tar::default().file("old", "1").end(),
        Tar::default().file(".wh..wh..opq", "").file("new", "2").end(),
    );
    place.load(&common::archive(&[&lower, &upper], &["o:1"])).await.unwrap();
    let store = Arc::new(Store::open(place.data(), None).unwrap());
    let seen = seen(&place.data(), store, "o:1").await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["", "new"]);
}

#[tokio::test]
async fn layers_of_a_real_tree_stack_up_as_if_applied_one_by_one() {
    let place = place();
    let base = place.root.path();
    let (tree, applied) = (base.join("tree"), base.join("applied"));
    std::fs::create_dir(&applied).unwrap();
    grow(&tree);
    let changes = [
        "true",
        "rm -r usr/lib && mkdir usr/lib && echo new > usr/lib/new && rm large && chmod 600 bin/group",
        "rm lib && mkdir lib && echo real > lib/file && ln bin/ping bin/pong && chown 7:8 empty",
    ];
    let marks = [&[][..], &["usr/.wh.lib", ".wh.large"], &[".wh.lib"]];
    let mut layers = Vec::new();
    for (number, (change, marks)) in changes.iter().zip(marks).enumerate() {
        run("sh", &["-c", &format!("cd {} && {change}", tree.display())]);
        let file = base.join(format!("{number}.tar"));
        let (tree, file) = (tree.to_str().unwrap(), file.to_str().unwrap());
        run("tar", &["--format=posix", "--xattrs", "--xattrs-include=*", "-C", tree, "-cf", file, "."]);
        let whole = std::fs::read(file).unwrap();
        let mut layer = Tar::default();
        for mark in marks {
            layer = layer.file(mark, "");
        }
        layers.push(layer.raw(&whole).0);
        // The reference: what is whited out goes, the rest is unpacked over what is there.
        for mark in marks {
            run("rm", &["-r", applied.join(mark.replace(".wh.", "")).to_str().unwrap()]);
        }
        let target = applied.to_str().unwrap();
        run("tar", &["--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", target, "-xpf", file]);
    }
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    place.load(&common::archive(&layers, &["r:1"])).await.unwrap();
    let store = Arc::new(Store::open(place.data(), None).unwrap());
    same(&seen(&place.data(), store, "r:1").await, &census(&applied, Times::Files));
}

#[tokio::test]
async fn images_share_layers_and_the_last_one_takes_them_along() {
    let place = place();
    let (shared, own) = (Tar::default().file("a", "1").end(), Tar::default().file("b", "2").end());
    place.load(&common::archive(&[&shared], &["one:1"])).await.unwrap();
    let first = place.store.find("one:1").await.unwrap();
    let stamp = std::fs::metadata(&first.folders[0]).unwrap().ino();
    place.load(&common::archive(&[&shared, &own], &["two:1", "two:2"])).await.unwrap();
    let second = place.store.find("two:1").await.unwrap();
    assert_eq!(second.folders[0], first.folders[0]);
    assert_eq!(std::fs::metadata(&second.folders[0]).unwrap().ino(), stamp);
    assert_eq!((second.size, second.sizes.clone()), (2, vec![1, 1]));
    place.store.remove("one:1", common::removal(Force::No)).await.unwrap();
    assert!(second.folders[0].is_dir());
    let refused = place.store.remove(&second.id, common::removal(Force::No)).await.unwrap_err();
    assert!(refused.text.contains("must be forced"));
    place.store.remove(&second.id, common::removal(Force::Yes)).await.unwrap();
    assert_eq!(place.left().iter().filter(|l| !l.ends_with("index.json")).count(), 0, "{:?}", place.left());
}
