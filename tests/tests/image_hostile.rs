//! Archives made to exhaust the daemon: its memory stays what it is.

use flate2::{Compression, write::GzEncoder};
use gantry_tests::{Builder, Daemon, InMemory, Place};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The most memory the daemon may ever have had, kilobytes: several times what it needs, and a small part of what the
/// archives here would take if they were held.
const MOST: u64 = 128 << 10;

/// The most memory the daemon ever had, kilobytes (proc_pid_status(5), `VmHWM`).
fn peak(gantry: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gantry.pid())).expect("read the status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What lies where layers are made, and on its way there.
fn layers(gantry: &Daemon) -> String {
    gantry.place().sh(&format!("cd {} && ls -A layers tmp", gantry.data().display())).ok().to_owned()
}

fn header(path: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).expect("a short path");
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    header
}

/// Writes a gzipped archive of pieces.
fn packed(path: &Path, write: impl FnOnce(&mut dyn Write)) -> PathBuf {
    let file = BufWriter::new(File::create(path).expect("make the archive"));
    let mut gzip = GzEncoder::new(file, Compression::fast());
    write(&mut gzip);
    gzip.finish().expect("finish the archive").flush().expect("finish the archive");
    path.to_owned()
}

#[test]
fn a_file_of_zeros_larger_than_the_disk_is_refused_in_little_memory() {
    let place = Place::new();
    let small = InMemory::mount(&place, 128);
    let gantry = Builder::at(&place).start();
    let bomb = packed(&place.path("bomb.tgz"), |out| {
        out.write_all(header("zeros", tar::EntryType::Regular, 4 << 30).as_bytes()).expect("write a header");
        let zeros = vec![0u8; 1 << 20];
        for _ in 0..4 << 10 {
            out.write_all(&zeros).expect("write zeros");
        }
    });
    let before = layers(&gantry);
    let said = gantry.docker(["import", bomb.to_str().expect("a plain path")]);
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(said.code != 0 && words.contains("than is allowed"), "{said}");
    assert!(peak(&gantry) < MOST, "{} kB", peak(&gantry));
    assert_eq!(layers(&gantry), before);
    gantry.docker(["run", "--rm", "busybox", "true"]).ok();
    drop(gantry);
    drop(small);
}

#[test]
fn a_layer_of_a_million_members_is_unpacked_in_little_memory() {
    let place = Place::new();
    let small = InMemory::mount(&place, 4096);
    let gantry = Builder::at(&place).start();
    let many = packed(&place.path("many.tgz"), |out| {
        for folder in 0..1000 {
            let made = header(&format!("d{folder}/"), tar::EntryType::Directory, 0);
            out.write_all(made.as_bytes()).expect("write a header");
            for file in 0..999 {
                let made = header(&format!("d{folder}/f{file}"), tar::EntryType::Regular, 0);
                out.write_all(made.as_bytes()).expect("write a header");
            }
        }
        out.write_all(&[0; 1024]).expect("write the end");
    });
    gantry.docker(["import", many.to_str().expect("a plain path"), "many"]).ok();
    assert!(peak(&gantry) < MOST, "{} kB", peak(&gantry));
    gantry.docker(["rmi", "many"]).ok();
    drop(gantry);
    drop(small);
}
