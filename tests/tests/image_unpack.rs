//! An image unpacked by gantry, seen from inside a container, and by umoci and GNU tar: the same files, one by one.

use gantry_tests::{Builder, Daemon, image};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Every kind of file there is.
const FIRST: &str = r"
mkdir -p bin usr/lib empty sticky 'odd name/ü' deep/er/est gone hidden/below anew swap-folder/in turned/in linked
printf hello > bin/tool; chown 12:34 bin/tool; chmod 4755 bin/tool
printf group > bin/group; chown 70000:4000000000 bin/group; chmod 2711 bin/group
ln bin/tool bin/same; ln bin/tool usr/tool; ln -s ../bin/tool usr/link; ln -s /nowhere dangling
chown -h 100000:200000 dangling
printf three > linked/a; ln linked/a linked/b; ln linked/a linked/c
chmod 1777 sticky; chown 65536:65537 empty; chmod 700 empty; chmod 2775 deep/er
mkfifo fifo; chmod 640 fifo; mknod null c 1 3; mknod disk b 7 99; mknod large c 500 70000; chmod 606 disk
printf x > 'odd name/ü/with
newline'; printf y > 'odd name/*?[\'; printf z > 'odd name/-rf'; printf w > 'odd name/ends '
printf 'not UTF-8' > $(printf 'odd name/\377\376')
printf cap > bin/ping; chown 1:2 bin/ping; chmod 755 bin/ping
truncate -s 3M holes; printf middle | dd of=holes bs=1 seek=1500000 conv=notrunc status=none; truncate -s 5M holes
seq 300000 > numbers; : > nothing
for f in gone/1 gone/2 hidden/1 hidden/below/2 anew/old swap-folder/in/f turned/in/f grown swap-file deep/er/est/f kept; do echo 1 > $f; done
n=$(printf 'a%.0s' $(seq 120)); mkdir -p $n/$n; echo y > $n/$n/f; ln -s $n/$n/$n long-link
touch -d '2001-02-03 04:05:06.789012345 UTC' bin/tool usr/lib numbers
touch -h -d '1999-01-01 00:00:00.000000001 UTC' dangling; touch -d '1960-01-01 00:00:00.5 UTC' sticky
touch -d '2040-01-01 UTC' nothing null fifo
";

/// What the second layer says of the first.
const SECOND: &str = r"
mkdir -p gone hidden anew swap-file grown linked deep/er/est fresh
: > gone/.wh.1; : > gone/.wh.never
: > hidden/.wh..wh..opq; echo 2 > hidden/new
: > .wh.anew; echo 2 > anew/new
echo 2 > swap-folder; echo 2 > swap-file/f; echo 2 > turned; echo 2 > grown/f
: > linked/.wh.b; echo 2 > kept; chmod 600 kept; chown 9:9 kept
: > .wh.dangling; : > deep/er/est/.wh.f; chmod 711 deep/er/est
mknod null b 8 1; ln -s kept fifo; echo 2 > fresh/f
touch -d '2002-02-02 02:02:02.222222222 UTC' gone hidden anew kept
";

/// What the third says of both.
const THIRD: &str = r"
mkdir -p swap-folder hidden fresh usr
echo 3 > swap-folder/back; : > .wh.swap-file; : > hidden/.wh.new; echo 3 > hidden/1
: > fresh/.wh..wh..opq; ln -s ../kept usr/tool; mkfifo dangling
touch -d '2003-03-03 03:03:03.333333333 UTC' swap-folder fresh
";

/// A layer's tar of what the script makes in folder `t`.
fn pack(place: &Path, number: usize, script: &str, form: &str) -> String {
    let tree = place.join(format!("tree{number}"));
    let inner = tree.join("t");
    std::fs::create_dir_all(&inner).unwrap();
    shell(&format!("umask 022; cd {}; {script}", inner.display()));
    if number == 1 {
        let none = rustix::fs::XattrFlags::empty();
        // cap_net_raw and two more whose bits make newlines, permitted and effective (VFS_CAP_REVISION_2).
        let capability = b"\x01\0\0\x02\0\x20\x0a\0\0\x0a\0\0\0\0\0\0\0\0\0\0";
        rustix::fs::setxattr(inner.join("bin/ping"), "security.capability", capability, none).unwrap();
        rustix::fs::setxattr(inner.join("usr/lib"), "user.note", b"a=b", none).unwrap();
        rustix::fs::setxattr(inner.join("numbers"), "user.empty", b"", none).unwrap();
        rustix::fs::lsetxattr(inner.join("usr/link"), "trusted.note", b"on a link", none).unwrap();
    }
    let tar = place.join(format!("{number}.tar"));
    shell(&format!("tar --sort=name {form} -C {} -cf {} t", tree.display(), tar.display()));
    tar.display().to_string()
}

/// Everything that can be told of each file of a tree but its space on disk, by path.
fn census(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut out = BTreeMap::new();
    let mut groups: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let mut says = format!(
            "{:o} {}:{} {}.{:09}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec()
        );
        let kind = stat.file_type();
        if kind.is_dir() {
            rest.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if kind.is_symlink() {
            says += &format!(" -> {:?}", std::fs::read_link(&path).unwrap());
        } else if kind.is_file() {
            says +=
                &format!(" {} {}", stat.len(), hex::encode(Sha256::digest(std::fs::read(&path).unwrap())));
        } else if kind.is_char_device() || kind.is_block_device() {
            says += &format!(" device {:x}", stat.rdev());
        }
        if !kind.is_dir() {
            groups.entry(stat.ino()).or_default().push(name.clone());
        }
        let mut list = vec![0u8; 65536];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        let mut keys: Vec<_> = list[..length].split(|b| *b == 0).filter(|k| !k.is_empty()).collect();
        keys.sort();
        for key in keys {
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(&path, OsStr::from_bytes(key), &mut value[..]).unwrap();
            says += &format!(" {}={}", String::from_utf8_lossy(key), hex::encode(&value[..length]));
        }
        out.insert(name, says);
    }
    for mut group in groups.into_values().filter(|g| g.len() > 1) {
        group.sort();
        let shown: Vec<_> = group.iter().map(|n| String::from_utf8_lossy(n)).collect();
        let shown = format!(" one with {shown:?}");
        for name in &group {
            out.get_mut(name).unwrap().push_str(&shown);
        }
    }
    out
}

fn differences(ours: &BTreeMap<Vec<u8>, String>, theirs: &BTreeMap<Vec<u8>, String>) -> String {
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differ = names.into_iter().filter(|n| ours.get(*n) != theirs.get(*n));
    differ
        .map(|n| {
            format!(
                "{}\n  ours   {:?}\n  theirs {:?}\n",
                String::from_utf8_lossy(n),
                ours.get(n),
                theirs.get(n)
            )
        })
        .collect()
}

/// Folder `t` of a container whose image has these layers over the ordinary root; the image stays in layout `l`.
fn run_image(gantry: &Daemon, place: &Path, layers: &[String]) -> PathBuf {
    std::fs::write(place.join("root.tar"), image::root_tar()).unwrap();
    let mut script = format!("cd {}; umoci init --layout l; umoci new --image l:made; ", place.display());
    for layer in ["root.tar"].into_iter().chain(layers.iter().map(String::as_str)) {
        script += &format!("umoci raw add-layer --image l:made {layer}; ");
    }
    script += "umoci config --image l:made --config.cmd sleep --config.cmd 1000; \
               skopeo --insecure-policy copy oci:l:made oci-archive:saved.tar:gantry.test/made:1";
    shell(&script);
    gantry.docker(["load", "-i", place.join("saved.tar").to_str().unwrap()]).ok();
    gantry.docker(["run", "-d", "--name", "seen", "gantry.test/made:1"]).ok();
    Path::new("/proc").join(gantry.inspect("seen", "{{.State.Pid}}")).join("root/t")
}

#[test]
fn a_container_sees_each_file_of_three_layers_as_umoci_unpacks_it() {
    let gantry = Builder::new().without_image().start();
    let place = gantry.place().path("images");
    std::fs::create_dir(&place).unwrap();
    let form = "--format=posix --xattrs --xattrs-include=*";
    let layers: Vec<_> =
        (1..).zip([FIRST, SECOND, THIRD]).map(|(n, script)| pack(&place, n, script, form)).collect();
    let ours = census(&run_image(&gantry, &place, &layers));
    shell(&format!("cd {}; umoci unpack --image l:made bundle", place.display()));
    let differ = differences(&ours, &census(&place.join("bundle/rootfs/t")));
    assert!(differ.is_empty(), "{differ}");
    // What both might get wrong.
    for (name, says) in [
        ("bin/tool", "104755 12:34 981173106.789012345 "),
        ("bin/group", "102711 70000:4000000000 "),
        ("bin/ping", "security.capability=0100000200200a00000a"),
        ("large", "device "),
        ("hidden/1", "100644 "),
        ("turned", "100644 "),
        ("grown/f", "100644 "),
        ("anew/new", "100644 "),
        ("linked/c", r#"one with ["linked/a", "linked/c"]"#),
        ("usr/tool", r#"-> "../kept""#),
    ] {
        let found = ours.get(name.as_bytes()).map_or("nothing", String::as_str);
        assert!(found.contains(says), "{name}: {found}");
    }
    for gone in ["gone/1", "hidden/new", "hidden/below", "anew/old", "swap-file", "linked/b", "fresh/f"] {
        assert!(!ours.contains_key(gone.as_bytes()), "{gone}");
    }
    gantry.docker(["rm", "-f", "seen"]).ok();
}

/// umoci knows nothing of GNU's sparse members.
#[test]
fn a_container_sees_a_sparse_archive_as_gnu_tar_unpacks_it_holes_and_all() {
    let gantry = Builder::new().without_image().start();
    let place = gantry.place().path("images");
    std::fs::create_dir(&place).unwrap();
    let layer = pack(&place, 1, FIRST, "--format=gnu --sparse");
    let seen = run_image(&gantry, &place, std::slice::from_ref(&layer));
    let theirs = place.join("gnu");
    std::fs::create_dir(&theirs).unwrap();
    shell(&format!("tar -C {} --numeric-owner -xpf {layer}", theirs.display()));
    let differ = differences(&census(&seen), &census(&theirs.join("t")));
    assert!(differ.is_empty(), "{differ}");
    let blocks = |path: &Path| std::fs::metadata(path).unwrap().blocks();
    assert_eq!(blocks(&seen.join("holes")), blocks(&theirs.join("t/holes")));
    assert!(blocks(&seen.join("holes")) * 512 < 1 << 20);
    gantry.docker(["rm", "-f", "seen"]).ok();
}
