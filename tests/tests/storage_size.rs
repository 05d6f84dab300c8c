//! How much a container's own layer may take.

use gantry_tests::{Builder, Daemon, Place};
use serde_json::json;
use std::path::Path;

const REFUSED: &str = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";

#[test]
fn a_size_is_refused_where_it_cannot_be_kept_and_leaves_nothing() {
    let gantry = Daemon::start();
    let create = |options| {
        let body = json!({"Image": "busybox", "HostConfig": {"StorageOpt": options}});
        gantry.api("POST", "/containers/create", Some(&body)).error(500)
    };
    assert_eq!(create(json!({"size": "10m"})), REFUSED);
    assert_eq!(create(json!({"colour": "red"})), "Unknown option colour");
    assert_eq!(create(json!({"size": "big"})), "invalid size: 'big'");
    let run = gantry.docker(["run", "--storage-opt", "size=10m", "busybox", "true"]);
    assert!(run.fails(125).contains(REFUSED), "{run}");
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
    let layers = std::fs::read_dir(gantry.data().join("overlay")).map_or(0, Iterator::count);
    assert_eq!(layers, 0);
}

#[test]
fn a_size_for_all_is_refused_where_it_cannot_be_kept() {
    let refused = Builder::new().without_image().args(["--storage-opt", "overlay2.size=10m"]).refused();
    let text = "Storage Option overlay2.size only supported for backingFS XFS. Found ";
    assert!(refused.stderr.contains(text), "{refused}");
    let unknown = Builder::new().without_image().args(["--storage-opt", "overlay2.colour=red"]).refused();
    assert!(unknown.stderr.contains("overlay2: unknown option overlay2.colour"), "{unknown}");
}

/// A place whose data root is XFS with project quota; `None` where the kernel has none.
fn on_xfs() -> Option<std::sync::Arc<Place>> {
    let place = Place::new();
    let (image, data) = (place.path("xfs"), place.path("data"));
    std::fs::create_dir(&data).unwrap();
    place.sh(&format!("truncate -s 400M {0} && mkfs.xfs -q {0}", image.display())).ok();
    let mount = place.sh(&format!("mount -o loop,pquota {} {}", image.display(), data.display()));
    (mount.code == 0).then_some(place)
}

fn unmount(place: &Place, data: &Path) {
    place.sh(&format!("umount {}", data.display())).ok();
}

#[test]
fn a_layer_takes_no_more_than_its_size() {
    let Some(place) = on_xfs() else {
        eprintln!("this kernel has no project quota on XFS; `make vm` checks it on Debian's");
        return;
    };
    let gantry = Builder::at(&place).start();
    let run = |size: &str, command: &str| {
        gantry.docker(["run", "--rm", "--storage-opt", size, "busybox", "sh", "-c", command])
    };
    let full = run("size=20m", "dd if=/dev/zero of=/x bs=1M count=30; ls -s /x");
    assert!(full.stderr.contains("No space left on device"), "{full}");
    let df = run("size=20m", "df -k / | tail -1").ok().to_owned();
    assert_eq!(df.split_whitespace().nth(1), Some("20480"), "{df}");
    let free = gantry.docker(["run", "--rm", "busybox", "dd", "if=/dev/zero", "of=/x", "bs=1M", "count=30"]);
    assert_eq!(free.code, 0, "{free}");
    drop(gantry);
    unmount(&place, &place.path("data"));
}
