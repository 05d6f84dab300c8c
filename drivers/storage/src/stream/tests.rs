//! Streams of many writers, honest and not, come back as they were.

use super::*;
use crate::limits::Limits;
use crate::unpack::unpack;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;

/// Unpacks a stream and reads it back in reads of this size; `None` if it is no layer.
fn there_and_back(stream: &[u8], step: usize) -> Option<Vec<u8>> {
    let layer = tempfile::tempdir().unwrap();
    std::fs::create_dir(layer.path().join(DIFF)).unwrap();
    let unpacked = unpack(crate::pieces::Cut(stream), layer.path(), Limits::default()).ok()?;
    assert_eq!(unpacked.diff_id, format!("sha256:{}", hex::encode(Sha256::digest(stream))));
    let mut restored = Restored::open(layer.path(), &unpacked.diff_id).unwrap();
    assert_eq!(restored.length(), stream.len() as u64);
    let (mut out, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        let count = restored.read(&mut buffer).unwrap();
        if count == 0 {
            return Some(out);
        }
        out.extend_from_slice(&buffer[..count]);
    }
}

fn comes_back(stream: &[u8], step: usize) -> bool {
    let Some(back) = there_and_back(stream, step) else { return false };
    assert!(back == stream, "{} bytes came back as {} others", stream.len(), back.len());
    true
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len() as u64) as usize]
    }
}

/// A member whose name, kind and content often collide with those before it.
fn member(dice: &mut Dice, out: &mut Vec<u8>) {
    let names: [&[u8]; 6] = [b"a", b"b", b"c", b"\xff\xfe", b".wh.a", b".wh..wh..opq"];
    let depth = 1 + dice.roll(3);
    let path = |dice: &mut Dice| {
        let parts: Vec<&[u8]> = (0..depth).map(|_| dice.of(&names)).collect();
        [b"./", parts.join(&b'/').as_slice()].concat()
    };
    let (name, link) = (path(dice), path(dice));
    let kind = dice.of(b"000001122567\0Lxg");
    let length = dice.of(&[0, 1, 511, 512, 513, 70_000]);
    let mut content: Vec<u8> = (0..length).map(|_| dice.roll(256) as u8).collect();
    match kind {
        b'L' => content = [name.as_slice(), b"-long\0"].concat(),
        b'x' | b'g' => content = b"16 a=some words\n".to_vec(),
        _ => {}
    }
    let size = if matches!(kind, b'0' | b'7' | b'\0' | b'L' | b'x' | b'g') { content.len() } else { 0 };
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(&name);
    for (at, text) in
        [(100, "0000755\0"), (108, "0000000\0"), (116, "0000000\0"), (329, "0000001\0"), (337, "0000003\0")]
    {
        block[at..at + 8].copy_from_slice(text.as_bytes());
    }
    block[124..136].copy_from_slice(format!("{size:011o} ").as_bytes());
    block[136..148].copy_from_slice(b"00000000001\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(&link);
    block[257..265].copy_from_slice(dice.of(&[b"ustar\x0000", b"ustar  \0"]));
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(&content[..size]);
    // Padding need not be zeros.
    let padding = size.next_multiple_of(512) - size;
    out.extend((0..padding).map(|_| if dice.roll(9) == 0 { 7u8 } else { 0 }));
}

#[test]
fn members_that_take_each_others_place_come_back() {
    let (mut fine, mut moved) = (0, 0);
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let mut stream = Vec::new();
        for _ in 0..1 + dice.roll(16) {
            let before = stream.len();
            member(&mut dice, &mut stream);
            // Ends of all sorts: none, half a one, a whole one, filled up, followed by something else.
            let ends: [&[u8]; 5] = [b"", &[0; 512], &[0; 1024], &[0; 10240], &[0; 1027]];
            let end = dice.of(&ends);
            let mut whole = [stream.as_slice(), end].concat();
            if end.len() >= 1024 && dice.roll(3) == 0 {
                whole.extend_from_slice(b"what is behind the end belongs to the digest too");
            }
            let step = if whole.len() > 9000 { 1 << 17 } else { dice.of(&[1, 512, 4096]) };
            if comes_back(&whole, step) {
                (fine, moved) = (fine + 1, moved + u32::from(has_moved(&whole)));
            } else {
                stream.truncate(before);
            }
        }
    }
    assert!(
        fine > 500 && moved > 100,
        "{fine} of the streams were layers, {moved} with something moved aside"
    );
}

fn has_moved(stream: &[u8]) -> bool {
    layer(stream).0.path().join(KEPT).exists()
}

fn shell(script: &str, folder: &Path) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

const TREE: &str = r#"
mkdir -p t/bin t/empty "t/$(printf 'odd\377name')" t/long/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 130))
printf hello > t/bin/tool; chmod 4755 t/bin/tool; chown 123456:4000000 t/bin/tool; ln t/bin/tool t/bin/same
: > t/bin/nothing; head -c 1000000 /dev/urandom > t/large; head -c 513 /dev/urandom > "t/$(printf 'odd\377name')/x"
printf y > t/long/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 130))/file
ln -s ../bin/tool t/link; ln -s $(printf 'c%.0s' $(seq 200)) t/far; mkfifo t/fifo; mknod t/null c 1 3
truncate -s 40M t/holes; printf middle | dd of=t/holes bs=1 seek=15000000 conv=notrunc status=none
setfattr -n user.note -v 'a=b' t/bin/tool 2> /dev/null || true
touch -d '2001-02-03 04:05:06.789012345 UTC' t/large; touch -d '1960-01-01 UTC' t/bin
"#;

#[test]
fn every_writers_streams_come_back() {
    let base = tempfile::tempdir().unwrap();
    shell(TREE, base.path());
    let python = "import sys, tarfile; \
        t = tarfile.open('out.tar', 'w', format=getattr(tarfile, sys.argv[1]), errors='surrogateescape'); \
        t.add('t', filter=lambda m: None if sys.argv[1] == 'USTAR_FORMAT' and ('long' in m.name or m.uid > 2097151 or m.gid > 2097151 or m.mtime < 0 or len(m.linkname) > 100) else m); \
        t.close()";
    std::fs::write(base.path().join("pack.py"), python).unwrap();
    for writer in [
        "tar --format=posix --xattrs --xattrs-include=* -cf out.tar t",
        "tar --format=gnu -cf out.tar t",
        "tar --format=gnu --sparse -cf out.tar t",
        "tar --format=posix --sparse --sparse-version=0.0 -cf out.tar t",
        "tar --format=posix --sparse --sparse-version=0.1 -cf out.tar t",
        "tar --format=posix --sparse --sparse-version=1.0 -cf out.tar t",
        "tar --format=v7 --exclude=long --exclude=far --exclude=fifo --exclude=null --exclude=tool --exclude=same --exclude=bin -cf out.tar t",
        // The same names twice, the second time with other content.
        "tar -cf out.tar t; tar -rf out.tar t; printf more >> t/large; tar -rf out.tar t/large t/bin",
        "tar -b 200 -cf out.tar t",
        "busybox tar -cf out.tar t",
        "bsdtar --format pax -cf out.tar t",
        "bsdtar --format gnutar -cf out.tar t",
        "bsdtar --format pax --read-sparse -cf out.tar t",
        "python3 pack.py PAX_FORMAT",
        "python3 pack.py GNU_FORMAT",
        "python3 pack.py USTAR_FORMAT",
    ] {
        shell(writer, base.path());
        let stream = std::fs::read(base.path().join("out.tar")).unwrap();
        assert!(comes_back(&stream, 1 << 17), "{writer}: is no layer");
    }
    // The `tar` crate's own.
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("t", base.path().join("t/long")).unwrap();
    assert!(comes_back(&builder.into_inner().unwrap(), 1 << 17));
}

fn layer(stream: &[u8]) -> (tempfile::TempDir, String) {
    let layer = tempfile::tempdir().unwrap();
    std::fs::create_dir(layer.path().join(DIFF)).unwrap();
    let id = unpack(crate::pieces::Cut(stream), layer.path(), Limits::default()).unwrap().diff_id;
    (layer, id)
}

fn small() -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    for (name, content) in [("a", &b"first"[..]), ("b", b"second")] {
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_damaged_layer_never_passes_for_whole() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("other content", |l| std::fs::write(l.join("diff/a"), b"First").unwrap()),
        ("less content", |l| std::fs::write(l.join("diff/a"), b"fir").unwrap()),
        ("a file is gone", |l| std::fs::remove_file(l.join("diff/b")).unwrap()),
        ("a link in its place", |l| {
            std::fs::rename(l.join("diff/b"), l.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../elsewhere", l.join("diff/b")).unwrap();
        }),
        ("half a record", |l| {
            let record = std::fs::read(l.join(STREAM)).unwrap();
            std::fs::write(l.join(STREAM), &record[..record.len() / 2]).unwrap();
        }),
        ("another record's length", |l| {
            let mut record = std::fs::read(l.join(STREAM)).unwrap();
            record[17] ^= 1;
            std::fs::write(l.join(STREAM), record).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let (layer, id) = layer(&small());
        Restored::open(layer.path(), &id).unwrap().verify().unwrap();
        damage(layer.path());
        let outcome = Restored::open(layer.path(), &id).and_then(Restored::verify);
        assert!(outcome.is_err(), "{what}");
    }
}

#[test]
fn whoever_counts_the_bytes_hears_of_the_damage_before_the_last_one() {
    let stream = small();
    let (layer, id) = layer(&stream);
    std::fs::write(layer.path().join("diff/b"), b"SECOND").unwrap();
    let mut restored = Restored::open(layer.path(), &id).unwrap();
    let mut whole = vec![0; stream.len()];
    assert!(restored.read_exact(&mut whole).is_err());
}

#[test]
fn content_behind_links_that_change_later_is_found_where_it_went() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut put = |kind: ::tar::EntryType, name: &str, link: &str, content: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        match link {
            "" => builder.append_data(&mut header, name, content).unwrap(),
            link => builder.append_link(&mut header, name, link).unwrap(),
        }
    };
    use ::tar::EntryType::{Directory, Regular, Symlink};
    put(Directory, "one/deep", "", b"");
    put(Directory, "two/deep", "", b"");
    put(Symlink, "to", "one", b"");
    put(Regular, "to/deep/f", "", b"in one");
    put(Symlink, "to", "/two", b"");
    put(Regular, "to/deep/f", "", b"in two");
    // The folder that the first content went to makes way for a file.
    put(Regular, "one", "", b"a file now");
    assert!(comes_back(&builder.into_inner().unwrap(), 512));
}

#[test]
fn a_stream_of_nothing_comes_back() {
    assert!(comes_back(b"", 512));
    assert!(comes_back(&[0; 1024], 512));
}
