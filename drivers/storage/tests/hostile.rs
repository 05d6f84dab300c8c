//! Archives made to break out, to fill the disk or memory, or to leave something behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Place, Tar, archive, bounded, config, digest, gzip, header, place, sum, zstd};
use contract::Kind;
use contract::image::{Force, Images};
use gantry_storage::Limits;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Refused, and nothing of it is left.
async fn refused(layer: &[u8], words: &str) {
    let place = place();
    let outside = place.write("outside", b"precious");
    let error = place.import(layer).await.expect_err(words).chain();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    assert_eq!(place.left(), [""; 0]);
    assert_eq!(std::fs::read(outside).unwrap(), b"precious");
    assert!(place.store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn paths_upwards_are_refused_and_absolute_ones_stay_inside() {
    for name in ["../outside", "a/../../outside", "..", "./../x", "a/.."] {
        refused(&Tar::default().file(name, "x").end(), "leads outside").await;
        refused(&Tar::default().hard("l", name).end(), "leads outside").await;
    }
    refused(&Tar::default().pax(&[("path", b"../outside")]).file("x", "x").end(), "leads outside").await;
    refused(&Tar::default().pax(&[("path", b"a\0b")]).file("x", "x").end(), "leads outside").await;
    refused(&Tar::default().member(b'L', "l", "", b"../outside\0").file("x", "x").end(), "leads outside")
        .await;
    let place = place();
    let folder = place.import(&Tar::default().file("/etc/gantry-test", "x").end()).await.unwrap();
    assert_eq!(std::fs::read(folder.join("etc/gantry-test")).unwrap(), b"x");
    assert!(!std::path::Path::new("/etc/gantry-test").exists());
}

#[tokio::test]
async fn writing_through_a_link_stays_inside() {
    let place = place();
    let outside = place.root.path().join("victim");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), b"precious").unwrap();
    let target = outside.to_str().unwrap();
    let up = format!("{}{}", "../".repeat(10), target.trim_start_matches('/'));
    for to in [target, up.as_str()] {
        let made = Tar::default().folder(target.trim_start_matches('/')).link("l", to);
        let folder = place.import(&made.clone().file("l/file", "evil").end()).await.unwrap();
        // The link leads where the container would see it lead.
        assert_eq!(
            std::fs::read(folder.join(outside.strip_prefix("/").unwrap()).join("file")).unwrap(),
            b"evil"
        );
        for tar in [
            made.clone().folder("l/made"),
            made.clone().link("l/link", "x"),
            made.clone().member(b'6', "l/fifo", "", b""),
            made.clone().file("l/.wh.file", ""),
            made.clone().file("l/.wh..wh..opq", ""),
            made.clone().file("x", "x").hard("l/hard", "x"),
        ] {
            place.import(&tar.end()).await.unwrap();
        }
        // The file a hard link would name is not in the layer.
        assert!(place.import(&made.hard("stolen", "l/file").end()).await.is_err());
    }
    let names: Vec<_> = std::fs::read_dir(&outside).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"precious");
    let absent = rustix::fs::lgetxattr(&outside, "trusted.overlay.opaque", &mut [0u8; 4][..]);
    assert!(absent.is_err());
}

#[tokio::test]
async fn a_link_is_replaced_and_never_written_through() {
    let place = place();
    let outside = place.write("outside", b"precious");
    let target = outside.to_str().unwrap();
    for tar in [
        Tar::default().link("f", target).file("f", "evil"),
        Tar::default().link("f", target).folder("f").file("f/x", "evil"),
        Tar::default().link("f", target).hard("g", "f").file("g", "evil"),
        Tar::default().link("f", target).pax(&[("SCHILY.xattr.user.x", b"1")]).link("f", target),
        Tar::default().link("f", target).member(b'3', "f", "", b""),
    ] {
        place.import(&tar.end()).await.unwrap();
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
    assert_eq!(std::fs::metadata(&outside).unwrap().nlink(), 1);
    refused(&Tar::default().link("loop", "loop").file("loop/x", "x").end(), "Too many levels").await;
    refused(&Tar::default().link("gone", "/missing/deep").file("gone/x", "x").end(), "gone/x").await;
    refused(&Tar::default().file("f", "x").file("f/x", "x").end(), "Not a directory").await;
}

#[tokio::test]
async fn whiteouts_name_one_thing_in_their_own_folder() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        refused(&Tar::default().file(name, "").end(), "invalid whiteout").await;
    }
    refused(&Tar::default().file(".wh.x/y", "").end(), "through a whiteout").await;
    refused(&Tar::default().file("../.wh.outside", "").end(), "leads outside").await;
    let place = place();
    // Notes of aufs are nobody's files.
    let tar = Tar::default().file(".wh..wh.plnk/1.2", "x").file("a/.wh..wh.aufs", "x").file("b", "x");
    let folder = place.import(&tar.end()).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["b"]);
}

#[tokio::test]
async fn attributes_that_steer_overlayfs_are_not_taken() {
    let place = place();
    let tar = Tar::default()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.kept", b"1\n2"),
        ])
        .folder("d");
    let folder = place.import(&tar.end()).await.unwrap().join("d");
    let mut value = [0u8; 8];
    assert!(rustix::fs::lgetxattr(&folder, "trusted.overlay.redirect", &mut value[..]).is_err());
    assert!(rustix::fs::lgetxattr(&folder, "trusted.overlay.opaque", &mut value[..]).is_err());
    assert_eq!(rustix::fs::lgetxattr(&folder, "user.kept", &mut value[..]), Ok(3));
}

#[tokio::test]
async fn device_nodes_are_made_as_they_are_and_unknown_kinds_refused() {
    let place = place();
    let mut block = header(b'3', b"null", b"", 0);
    block[329..337].copy_from_slice(b"0000001\0");
    block[337..345].copy_from_slice(b"0000003\0");
    sum(&mut block);
    let folder = place.import(&Tar::default().raw(&block).end()).await.unwrap();
    let node = std::fs::symlink_metadata(folder.join("null")).unwrap();
    assert!(node.file_type().is_char_device());
    assert_eq!((node.rdev(), node.mode() & 0o7777), (rustix::fs::makedev(1, 3), 0o755));
    refused(&Tar::default().member(b'V', "label", "", b"").end(), "unhandled tar header type").await;
}

#[tokio::test]
async fn truncated_and_damaged_streams_leave_nothing() {
    let whole = Tar::default().folder("d").file("d/f", vec![7u8; 100_000]).file("g", "x").end();
    for cut in [100, 512 + 100, 1024 + 5000, 1024 + 99_999, 1024 + 100_000] {
        refused(&whole[..cut], "unexpected end of file").await;
    }
    let packed = gzip(&whole);
    refused(&packed[..packed.len() - 4], "failed to register layer").await;
    refused(&packed[..packed.len() / 2], "failed to register layer").await;
    let mut damaged = packed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    refused(&damaged, "failed to register layer").await;
    refused(&[packed.as_slice(), b"junk"].concat(), "failed to register layer").await;
    let packed = zstd(&whole);
    refused(&packed[..packed.len() - 4], "failed to register layer").await;
    let mut lie = whole.clone();
    lie[0] ^= 1;
    refused(&lie, "invalid tar header").await;
    refused(&Tar::default().raw(&[0; 512]).raw(&header(b'0', b"x", b"", 0)).end(), "invalid tar header")
        .await;
    refused(b"BZh9xxxx", "failed to register layer").await;
    refused(b"\xfd7zXZ\0xxxxxxxx", "failed to register layer").await;
}

#[tokio::test]
async fn sizes_that_lie_are_refused() {
    refused(&Tar::default().raw(&header(b'0', b"f", b"", 1 << 30)).end(), "unexpected end of file").await;
    refused(
        &Tar::default().pax(&[("size", b"99999999999999999999")]).file("f", "x").end(),
        "invalid tar header",
    )
    .await;
    refused(&Tar::default().pax(&[("size", b"-1")]).file("f", "x").end(), "invalid tar header").await;
    refused(&Tar::default().pax(&[("size", b"9223372036854775807")]).file("f", "x").end(), "").await;
    let mut negative = header(b'0', b"f", b"", 0);
    negative[124..136].copy_from_slice(&[0xff; 12]);
    sum(&mut negative);
    refused(&Tar::default().raw(&negative).end(), "").await;
    refused(&Tar::default().pax(&[("uid", b"4294967295")]).file("f", "x").end(), "out of range").await;
    refused(
        &Tar::default()
            .pax(&[("GNU.sparse.map", b"0,5,3,9"), ("GNU.sparse.size", b"20")])
            .file("f", "x")
            .end(),
        "sparse",
    )
    .await;
}

#[tokio::test]
async fn headers_larger_than_a_megabyte_are_refused() {
    let huge = vec![b'a'; 2 << 20];
    refused(&Tar::default().pax(&[("comment", &huge)]).file("f", "x").end(), "header field too long").await;
    refused(&Tar::default().member(b'L', "l", "", &huge).file("f", "x").end(), "header field too long").await;
    refused(&Tar::default().raw(&header(b'x', b"p", b"", 1 << 32)).end(), "header field too long").await;
    // Many that are each small enough.
    let mut many = Tar::default();
    for _ in 0..20 {
        many = many.pax(&[("comment", &huge[..100_000])]);
    }
    refused(&many.file("f", "x").end(), "header field too long").await;
    let deep = "d/".repeat(3000);
    refused(&Tar::default().pax(&[("path", deep.as_bytes())]).file("f", "x").end(), "too long").await;
}

#[tokio::test]
async fn a_layer_deeper_than_a_path_can_be_is_removed_again() {
    // Each link leads to the end of the last stretch, so the tree goes on where no path leads any more.
    let mut tar = Tar::default();
    let stretch = "d/".repeat(1500);
    let mut start = String::new();
    for i in 0..3 {
        tar = tar.pax(&[("path", format!("{start}{stretch}").as_bytes())]).folder("x");
        tar = tar.pax(&[("linkpath", format!("{start}{stretch}").as_bytes())]).link(format!("l{i}"), "x");
        start = format!("l{i}/");
    }
    let place = place();
    place.import(&tar.end()).await.unwrap();
    let id = place.store.list().await.unwrap()[0].id.clone();
    place.store.remove(&id, common::removal(Force::No)).await.unwrap();
    assert_eq!(place.left().iter().filter(|l| !l.ends_with("index.json")).count(), 0, "{:?}", place.left());
}

fn small() -> Place {
    bounded(Limits { bytes: 1 << 20, members: 100, files: 100 })
}

async fn exceeded(place: &Place, layer: &[u8]) {
    let error = place.import(layer).await.unwrap_err();
    assert_eq!(error.kind, Kind::Exhausted, "{error}");
    assert_eq!(place.left(), [""; 0]);
}

#[tokio::test]
async fn bombs_of_bytes_members_and_holes_are_bounded() {
    let zeros = vec![0u8; 8 << 20];
    let place = small();
    let bomb = Tar::default().file("zeros", &zeros).end();
    exceeded(&place, &bomb).await;
    exceeded(&place, &gzip(&bomb)).await;
    exceeded(&place, &zstd(&bomb)).await;
    // A tail after the archive's end is part of the stream too.
    exceeded(&place, &gzip(&[Tar::default().file("f", "x").end(), zeros].concat())).await;
    let mut many = Tar::default();
    for i in 0..200 {
        many = many.file(format!("f{i}"), "");
    }
    exceeded(&place, &many.end()).await;
    let holes: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"1099511627776")];
    exceeded(&place, &Tar::default().pax(holes).file("f", "x").end()).await;
}

#[tokio::test]
async fn archives_that_are_bombs_are_bounded() {
    let place = small();
    let bomb = gzip(&Tar::default().file("layer", vec![0u8; 8 << 20]).end());
    assert_eq!(place.load(&bomb).await.unwrap_err().kind, Kind::Exhausted);
    let mut many = Tar::default();
    for i in 0..200 {
        many = many.file(format!("f{i}"), "");
    }
    assert_eq!(place.load(&many.end()).await.unwrap_err().kind, Kind::Exhausted);
    assert_eq!(place.left(), [""; 0]);
}

async fn not_loaded(archive: &[u8], words: &str) {
    let place = place();
    let error = place.load(archive).await.expect_err(words).chain();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    assert_eq!(place.left(), [""; 0]);
}

#[tokio::test]
async fn archives_that_lie_are_refused_and_their_good_layers_go_again() {
    let (good, evil) = (Tar::default().file("a", "1").end(), Tar::default().file("../b", "2").end());
    not_loaded(&archive(&[&good, &evil], &["x:1"]), "leads outside").await;
    let manifest = |layers: &str| format!(r#"[{{"Config":"c","RepoTags":["x:1"],"Layers":[{layers}]}}]"#);
    let with = |manifest: &str, config: &[u8]| {
        Tar::default().file("manifest.json", manifest).file("c", config).file("a", &good).end()
    };
    let right = config(&[digest(&good)], "");
    for (archive, words) in [
        (with(&manifest(r#""a","a""#), &right), "layers length mismatch: expected 2, got 1"),
        (with(&manifest(r#""a""#), &config(&[digest(b"x")], "")), "don't match image configuration"),
        (with(&manifest(r#""missing""#), &right), "does not contain missing"),
        (with(&manifest(r#""../../etc/passwd""#), &right), "does not contain etc/passwd"),
        (with(&manifest(r#""a""#), b"{}"), "no RootFS key"),
        (with(&manifest(r#""a""#).replace("x:1", "x"), &right), "invalid tag"),
        (with(&manifest(r#""a""#).replace("x:1", "../x:1"), &right), "invalid reference format"),
        (with("null", &right), "manifest cannot be null"),
        (with("{}", &right), "manifest.json in the archive is not valid"),
        (with(&" ".repeat(5 << 20), &right), "larger than"),
        (with(&manifest(r#""a""#), &vec![b' '; 5 << 20]), "larger than"),
        (with(&manifest(r#""a""#), &config(&[digest(&good)], r#","os":"windows""#)), "cannot"),
        (Tar::default().link("manifest.json", "manifest.json").end(), "does not contain"),
        (Tar::default().link("manifest.json", "/etc/passwd").end(), "does not contain"),
        (Tar::default().file("x", "").end(), "does not contain a manifest.json"),
        (b"junk".to_vec(), "cannot be read"),
    ] {
        not_loaded(&archive, words).await;
    }
}

#[tokio::test]
async fn an_oci_archive_whose_blob_is_not_what_its_name_says_is_refused() {
    let layer = Tar::default().file("a", "1").end();
    let config = config(&[digest(&layer)], "");
    let describe = |b: &[u8]| format!(r#"{{"digest":"{}","size":{}}}"#, digest(b), b.len());
    let manifest = format!(r#"{{"config":{},"layers":[{}]}}"#, describe(&config), describe(&layer));
    let build = |layer_name: &str, layer: &[u8], index: String| {
        let blob = |d: &str| format!("blobs/{}", d.replace(':', "/"));
        let mut tar = Tar::default().file("index.json", index);
        for (name, content) in [
            (digest(manifest.as_bytes()), manifest.as_bytes()),
            (digest(&config), &config),
            (layer_name.to_owned(), layer),
        ] {
            tar = tar.pax(&[("path", blob(&name).as_bytes())]).file("x", content);
        }
        tar.end()
    };
    let index = format!(r#"{{"manifests":[{}]}}"#, describe(manifest.as_bytes()));
    let good = place();
    assert_eq!(good.load(&build(&digest(&layer), &layer, index.clone())).await.unwrap().len(), 1);
    not_loaded(&build(&digest(&layer), b"other", index.clone()), "not what its descriptor says").await;
    let lie = index.replace("\"size\":", "\"size\":1");
    not_loaded(&build(&digest(&layer), &layer, lie), "not what its descriptor says").await;
    not_loaded(&build(&digest(&layer), &layer, index.replace("sha256:", "sha256:../")), "unsupported digest")
        .await;
}
