//! Archives as real tools write them, archives of several images, imports, and what a killed daemon leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Tar, archive, config, digest, gzip, place, sent, zstd};
use contract::Kind;
use contract::image::{Force, Images, ImportSpec, WantedPlatform};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// An OCI layout of one image, under the reference `img`.
fn layout(folder: &Path, layers: &[Vec<u8>], config: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8], media: &str| {
        let digest = digest(bytes);
        std::fs::write(blobs.join(&digest[7..]), bytes).unwrap();
        serde_json::json!({"digest": digest, "size": bytes.len(), "mediaType": media})
    };
    let layers: Vec<_> =
        layers.iter().map(|l| blob(&gzip(l), "application/vnd.oci.image.layer.v1.tar+gzip")).collect();
    let config = blob(config, "application/vnd.oci.image.config.v1+json");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut manifest = blob(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "img"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[tokio::test]
async fn what_skopeo_writes_is_loaded_plain_or_packed() {
    let place = place();
    let base = place.root.path();
    let layers = vec![
        Tar::default().folder("etc").file("etc/a", "1").end(),
        Tar::default().file("b", vec![9; 100_000]).end(),
    ];
    let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    let config = config(&ids, r#","config":{"Cmd":["x"]}"#);
    layout(&base.join("oci"), &layers, &config);
    for (form, name) in [("docker-archive", "s/docker:1"), ("oci-archive", "s/oci:2")] {
        let file = base.join(form);
        let (from, to) =
            (format!("oci:{}:img", base.join("oci").display()), format!("{form}:{}:{name}", file.display()));
        let copied = Command::new("skopeo").args(["copy", "-q", &from, &to]).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let plain = std::fs::read(&file).unwrap();
        for packed in [plain.clone(), gzip(&plain), zstd(&plain)] {
            assert_eq!(place.load(&packed).await.unwrap(), [name]);
            let image = place.store.find(name).await.unwrap();
            assert_eq!(image.layers, ids);
            assert_eq!(image.config["config"]["Cmd"][0], "x");
            assert_eq!(std::fs::read(image.folders[1].join("b")).unwrap().len(), 100_000);
            place.store.remove(name, common::removal(Force::No)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_archive_may_hold_several_images_names_and_links() {
    let place = place();
    let (a, b) = (Tar::default().file("a", "1").end(), Tar::default().file("b", "2").end());
    let (one, two) = (config(&[digest(&a)], ""), config(&[digest(&a), digest(&b)], ""));
    let manifest = serde_json::json!([
        {"Config": "one.json", "RepoTags": ["x:1", "y/z:2"], "Layers": ["a/layer.tar"]},
        {"Config": "two.json", "RepoTags": null, "Layers": ["old/layer.tar", "./b.tar"]},
    ]);
    let tar = Tar::default()
        .file("manifest.json", manifest.to_string())
        .file("./one.json", &one)
        .file("two.json", &two)
        .file("a/layer.tar", &a)
        .link("old/layer.tar", "../hop")
        .hard("hop", "a/layer.tar")
        .file("b.tar", gzip(&b));
    assert_eq!(place.load(&tar.end()).await.unwrap(), ["x:1".to_owned(), "y/z:2".into(), digest(&two)]);
    assert_eq!(place.store.list().await.unwrap().len(), 2);
    assert_eq!(place.store.find("x:1").await.unwrap().tags, ["x:1", "y/z:2"]);
    // Another image takes the name; the old one stays without it.
    assert_eq!(place.load(&archive(&[&b], &["x:1"])).await.unwrap(), ["x:1"]);
    assert_eq!(place.store.find(&digest(&one)).await.unwrap().tags, ["y/z:2"]);
}

#[tokio::test]
async fn lines_tell_of_every_layer_and_name() {
    let place = place();
    let layer = Tar::default().file("a", vec![1; 300_000]).end();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
    place.store.load(sent(&archive(&[&layer], &["x:1"])), None, sender).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = receiver.recv().await {
        lines.push(line);
    }
    let last_layer = lines.iter().rfind(|l| !l.id.is_empty()).unwrap();
    assert_eq!(
        (last_layer.status.as_str(), last_layer.id.as_str()),
        ("Loading layer", &digest(&layer)[7..19])
    );
    assert_eq!((last_layer.current, last_layer.total), (layer.len() as u64, layer.len() as u64));
    assert_eq!(lines.last().unwrap().status, "Loaded image: x:1");
}

#[tokio::test]
async fn an_import_is_an_image_of_one_layer_with_what_was_asked() {
    let place = place();
    let layer = Tar::default().file("a", "1").end();
    let packed = gzip(&layer);
    let changes = vec!["CMD [\"a\"]".to_owned(), "ENV A=1".to_owned()];
    let id = place
        .store
        .import(
            sent(&packed),
            ImportSpec { name: Some("i:1".into()), message: "said".into(), changes, ..ImportSpec::default() },
        )
        .await
        .unwrap();
    let image = place.store.find("i:1").await.unwrap();
    assert_eq!(
        (image.id.as_str(), image.layers.as_slice(), image.size),
        (id.as_str(), &[digest(&layer)][..], 1)
    );
    assert_eq!(image.config["config"], serde_json::json!({"Cmd": ["a"], "Env": ["A=1"]}));
    assert_eq!(image.config["history"][0]["comment"], "said");
    assert!(image.tagged_ns > 0 && image.created_ns > 0);
    let import = |name: &str, change: &str| {
        place.store.import(
            sent(&packed),
            ImportSpec { name: Some(name.into()), changes: vec![change.to_owned()], ..ImportSpec::default() },
        )
    };
    assert_eq!(import("j:1", "RUN x").await.unwrap_err().kind, Kind::Invalid);
    let digested = format!("j@{}", digest(b""));
    assert_eq!(import(&digested, "CMD x").await.unwrap_err().text, "cannot import digest reference");
    assert_eq!(import("J", "CMD x").await.unwrap_err().kind, Kind::Invalid);
    assert_eq!(place.store.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_sweep_removes_what_a_killed_daemon_left_and_nothing_else() {
    let place = place();
    let layer = Tar::default().folder("d").file("d/a", "1").end();
    place.load(&archive(&[&layer], &["x:1"])).await.unwrap();
    let before = {
        let mut left = place.left();
        left.sort();
        left
    };
    let data = place.data();
    let orphan = data.join("layers").join("a".repeat(64));
    std::fs::create_dir_all(data.join("layers/.half-1/diff/x")).unwrap();
    std::fs::create_dir_all(orphan.join("diff")).unwrap();
    std::fs::write(data.join("images/.index.json.12.tmp"), "{").unwrap();
    std::fs::write(data.join("images/configs").join("b".repeat(64)), "{}").unwrap();
    std::fs::write(data.join("images/configs/.x.12.tmp"), "{}").unwrap();
    std::fs::write(data.join("tmp/.tmpAbc"), "upload").unwrap();
    let (old, fresh) = (data.join("images/partial/sha256-1"), data.join("images/partial/sha256-2"));
    for path in [&old, &fresh] {
        std::fs::write(path, "half").unwrap();
    }
    let days = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(days).unwrap();
    place.store.sweep(Vec::new()).await.unwrap();
    // A fresh broken download is what the next pull goes on with.
    assert!(fresh.exists());
    std::fs::remove_file(fresh).unwrap();
    let mut after = place.left();
    after.sort();
    assert_eq!(after, before);
    assert_eq!(place.store.find("x:1").await.unwrap().size, 1);
}

/// A docker-archive as `docker save` writes it: blobs first, then the manifest that tells what they are.
fn saved(layers: &[&[u8]], name: &str) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    let blob = |d: &str| format!("blobs/sha256/{}", &d[7..]);
    let config = config(&ids, "");
    let mut tar = Tar::default();
    for (id, layer) in ids.iter().zip(layers) {
        tar = tar.file(blob(id), layer);
    }
    let files: Vec<String> = ids.iter().map(|id| blob(id)).collect();
    let manifest =
        serde_json::json!([{"Config": blob(&digest(&config)), "RepoTags": [name], "Layers": files}]);
    tar.file(blob(&digest(&config)), &config).file("manifest.json", manifest.to_string()).end()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_unpacked_before_the_archive_is_there_and_goes_when_that_breaks_off() {
    let place = place();
    let (first, second) = (
        Tar::default().file("early", vec![7; 3_000_000]).end(),
        Tar::default().file("late", vec![8; 3_000_000]).end(),
    );
    let archive = saved(&[&first, &second], "x:1");
    let unpacked = |name: &str| {
        let halves = std::fs::read_dir(place.data().join("layers")).unwrap().flatten();
        halves.into_iter().any(|half| {
            let file = std::fs::metadata(half.path().join("diff").join(name));
            file.is_ok_and(|file| file.len() == 3_000_000)
        })
    };
    for whole in [false, true] {
        let (mut to, from) = contract::incoming::incoming();
        let (sender, mut lines) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move { while lines.recv().await.is_some() {} });
        let load = place.store.load(from, None, sender);
        let (begin, rest) = archive.split_at(first.len() + 2048);
        let send = async {
            to.put(begin.to_vec().into()).await;
            // Nothing more comes before it is there.
            while !unpacked("early") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(!unpacked("late"));
            if whole {
                to.put(rest.to_vec().into()).await;
                to.end().await;
            } else {
                drop(to);
            }
        };
        let (outcome, ()) = tokio::join!(load, send);
        if whole {
            assert_eq!(outcome.unwrap(), ["x:1"]);
        } else {
            assert!(outcome.unwrap_err().text.contains("cut short"));
            assert_eq!(place.left(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn layers_that_no_image_asks_for_leave_nothing() {
    let place = place();
    let (wanted, other) = (Tar::default().file("a", "1").end(), Tar::default().file("b", "2").end());
    let evil = Tar::default().file("../c", "3").end();
    let image = saved(&[&wanted], "x:1");
    let tar =
        Tar::default().file("other", &other).file("packed", gzip(&other)).file("evil", &evil).raw(&image);
    assert_eq!(place.load(&tar.0).await.unwrap(), ["x:1"]);
    let layers = std::fs::read_dir(place.data().join("layers")).unwrap().flatten();
    let names: Vec<String> = layers.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names, [digest(&wanted)[7..].to_owned()]);
}

#[tokio::test]
async fn what_is_there_already_is_loaded_again_and_what_lies_about_it_is_not() {
    let place = place();
    let (layer, other) = (Tar::default().file("a", "1").end(), Tar::default().file("b", "2").end());
    let archive = saved(&[&layer], "x:1");
    for _ in 0..2 {
        assert_eq!(place.load(&archive).await.unwrap(), ["x:1"]);
    }
    // Its file bears the name of a layer that is known, but is another one.
    let blob = format!("blobs/sha256/{}", &digest(&layer)[7..]);
    let manifest = serde_json::json!([{"Config": "c", "RepoTags": ["y:1"], "Layers": [blob]}]).to_string();
    let lie = |ids: &[String]| {
        Tar::default().file(&blob, &other).file("c", config(ids, "")).file("manifest.json", &manifest).end()
    };
    assert_eq!(place.load(&lie(&[digest(&other)])).await.unwrap(), ["y:1"]);
    let folder = &place.store.find("y:1").await.unwrap().folders[0];
    assert_eq!(std::fs::read(folder.join("b")).unwrap(), b"2");
    assert_eq!(place.load(&lie(&[digest(b"neither")])).await.unwrap_err().kind, Kind::Invalid);
}

#[tokio::test]
async fn one_layer_serves_all_images_of_an_archive() {
    let place = place();
    let layer = Tar::default().file("a", "1").end();
    let (one, two) = (config(&[digest(&layer)], ""), config(&[digest(&layer)], r#","author":"b""#));
    let manifest = serde_json::json!([
        {"Config": "one", "RepoTags": ["x:1"], "Layers": ["l"]},
        {"Config": "two", "RepoTags": ["y:1"], "Layers": ["l"]},
    ]);
    let tar = Tar::default().file("l", &layer).file("one", &one).file("two", &two);
    assert_eq!(
        place.load(&tar.file("manifest.json", manifest.to_string()).end()).await.unwrap(),
        ["x:1", "y:1"]
    );
}

#[tokio::test]
async fn of_several_platforms_the_wanted_one_is_loaded() {
    let place = place();
    let layer = Tar::default().file("a", "1").end();
    let (ours, theirs) = (config(&[digest(&layer)], ""), {
        let text = String::from_utf8(config(&[digest(&layer)], "")).unwrap();
        text.replace("amd64", "arm64").into_bytes()
    });
    let wanted = |architecture: &'static str| WantedPlatform {
        shown: architecture.into(),
        fits: std::sync::Arc::new(move |described| described["architecture"] == architecture),
    };
    let docker = Tar::default()
        .file("l", &layer)
        .file("1", &ours)
        .file("2", &theirs)
        .file("manifest.json", r#"[{"Config":"1","RepoTags":["a:1"],"Layers":["l"]},{"Config":"2","RepoTags":["b:1"],"Layers":["l"]}]"#)
        .end();
    // An index that leads to one of two.
    let describe = |b: &[u8], more: &str| format!(r#"{{"digest":"{}","size":{}{more}}}"#, digest(b), b.len());
    let manifest = |config: &[u8]| {
        format!(r#"{{"config":{},"layers":[{}]}}"#, describe(config, ""), describe(&layer, ""))
    };
    let platform = |of: &str| format!(r#","platform":{{"os":"linux","architecture":"{of}"}}"#);
    let (first, second) = (manifest(&ours), manifest(&theirs));
    let inner = format!(
        r#"{{"manifests":[{},{}]}}"#,
        describe(first.as_bytes(), &platform("amd64")),
        describe(second.as_bytes(), &platform("arm64"))
    );
    let note = r#","annotations":{"io.containerd.image.name":"c:1"}"#;
    let mut oci = Tar::default();
    for blob in [inner.as_bytes(), first.as_bytes(), second.as_bytes(), &ours, &theirs, &layer] {
        oci = oci.file(format!("blobs/sha256/{}", &digest(blob)[7..]), blob);
    }
    let oci =
        oci.file("index.json", format!(r#"{{"manifests":[{}]}}"#, describe(inner.as_bytes(), note))).end();
    for (archive, name) in [(&docker, "b:1"), (&oci, "c:1")] {
        let (sender, _lines) = tokio::sync::mpsc::channel(64);
        let loaded = place.store.load(sent(archive), Some(wanted("arm64")), sender).await.unwrap();
        assert_eq!(loaded, [name]);
        assert_eq!(place.store.find(name).await.unwrap().id, digest(&theirs));
    }
    assert!(place.store.find("a:1").await.is_err());
    let (sender, _lines) = tokio::sync::mpsc::channel(64);
    let none = place.store.load(sent(&docker), Some(wanted("s390x")), sender).await.unwrap_err();
    assert_eq!(
        (none.kind, none.text.as_str()),
        (Kind::NotFound, "requested platform (s390x) not found in the archive")
    );
}
