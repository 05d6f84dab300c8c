use super::*;
use std::os::unix::fs::{MetadataExt, symlink};

fn wish(name: &str) -> VolumeWish {
    VolumeWish { name: name.into(), ..VolumeWish::default() }
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test]
async fn a_volume_is_found_again_with_all_that_was_said_of_it() {
    let root = tempfile::tempdir().unwrap();
    let labels = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    let asked = VolumeWish { labels: labels.clone(), ..wish("data") };
    let (made, origin) = LocalVolumes::new(root.path()).create(&asked, Purpose::Keep).await.unwrap();
    assert_eq!((origin, made.mountpoint), (Origin::Made, root.path().join("volumes/data/_data")));
    let again = LocalVolumes::new(root.path());
    let (found, origin) = again.create(&wish("data"), Purpose::Keep).await.unwrap();
    assert_eq!((origin, found.labels), (Origin::Found, labels));
    assert_eq!(again.get("other").await.unwrap_err().text, "get other: no such volume");
    again.remove("data").await.unwrap();
    assert!(again.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_killed_daemon_left_half_made_goes_and_what_others_know_stays() {
    let root = tempfile::tempdir().unwrap();
    let volumes = LocalVolumes::new(root.path());
    for name in ["lost", "known"] {
        volumes.create(&wish(name), Purpose::Pending(Durability::Disk)).await.unwrap();
    }
    for name in ["kept", "filled", "running"] {
        volumes.create(&wish(name), Purpose::Keep).await.unwrap();
        std::fs::write(root.path().join(format!("volumes/{name}/_data/file")), "x").unwrap();
    }
    for name in ["filled", "running"] {
        std::fs::write(root.path().join(format!("volumes/{name}/filling")), "").unwrap();
    }
    std::fs::create_dir_all(root.path().join("volumes/.making-00/_data")).unwrap();
    std::fs::create_dir_all(root.path().join("volumes/.removing-00/_data")).unwrap();
    volumes.sweep(&names(&["known", "running"]), &names(&["running"])).await.unwrap();
    let left = volumes.list().await.unwrap();
    let left: Vec<&str> = left.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(left, ["filled", "kept", "known", "running"]);
    let has = |name: &str| root.path().join(format!("volumes/{name}/_data/file")).exists();
    assert_eq!((has("filled"), has("kept"), has("running")), (false, true, true));
    for gone in [".making-00", ".removing-00", "known/pending", "filled/filling"] {
        assert!(!root.path().join("volumes").join(gone).exists(), "{gone}");
    }
}

#[tokio::test]
async fn an_images_content_comes_in_with_everything_that_belongs_to_it() {
    let root = tempfile::tempdir().unwrap();
    let volumes = LocalVolumes::new(root.path());
    let (low, top) = (root.path().join("low"), root.path().join("top"));
    std::fs::create_dir_all(low.join("srv/sub")).unwrap();
    std::fs::write(low.join("srv/sub/file"), "low").unwrap();
    std::fs::hard_link(low.join("srv/sub/file"), low.join("srv/twin")).unwrap();
    std::fs::write(low.join("srv/gone"), "x").unwrap();
    symlink("/etc/passwd", low.join("srv/link")).unwrap();
    let set = |value: &[u8]| {
        rustix::fs::setxattr(low.join("srv/sub/file"), "user.note", value, rustix::fs::XattrFlags::empty())
    };
    // Not every file system has them.
    let noted = set(b"kept").is_ok();
    std::os::unix::fs::chown(low.join("srv/sub/file"), Some(1000), Some(2000)).unwrap();
    std::fs::set_permissions(low.join("srv"), std::fs::Permissions::from_mode(0o1770)).unwrap();
    std::fs::create_dir_all(top.join("srv")).unwrap();
    std::fs::set_permissions(top.join("srv"), std::fs::Permissions::from_mode(0o1770)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        top.join("srv/gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    symlink("/srv", top.join("data")).unwrap();
    let layers = vec![low, top];
    for (name, path) in [("plain", "/srv"), ("linked", "/data")] {
        volumes.create(&wish(name), Purpose::Keep).await.unwrap();
        let content = Content { layers: layers.clone(), path: path.into() };
        volumes.populate(name, &content).await.unwrap();
        let data = volumes.get(name).await.unwrap().mountpoint;
        let file = std::fs::metadata(data.join("sub/file")).unwrap();
        assert_eq!((file.uid(), file.gid(), file.nlink()), (1000, 2000, 2));
        assert_eq!(std::fs::metadata(data.join("twin")).unwrap().ino(), file.ino());
        assert_eq!(std::fs::metadata(&data).unwrap().mode() & 0o7777, 0o1770);
        assert_eq!(std::fs::read_link(data.join("link")).unwrap(), PathBuf::from("/etc/passwd"));
        let mut note = [0; 8];
        let read = rustix::fs::getxattr(data.join("sub/file"), "user.note", &mut note[..]);
        assert_eq!(read.ok(), noted.then_some(4));
        assert!(!data.join("gone").exists());
        assert!(!data.parent().unwrap().join("filling").exists());
        assert_eq!(volumes.size(name).await.unwrap(), 3 + "/etc/passwd".len() as u64);
        std::fs::write(data.join("sub/file"), "changed").unwrap();
        volumes.populate(name, &content).await.unwrap();
        assert_eq!(std::fs::read_to_string(data.join("sub/file")).unwrap(), "changed");
    }
    let content = Content { layers, path: "/srv/twin".into() };
    let error = volumes.populate("plain", &content).await.unwrap_err();
    assert_eq!(error.text, "cannot mount volume over existing file, file exists /srv/twin");
}
