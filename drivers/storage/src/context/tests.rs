//! Contexts from their tar to the files in a root, without the process in between: it has its own tests with containers.

use super::*;
use crate::transfer::Inside;
use contract::archive::{BlockingStream, PathStat, Put, Report, Sighting, Subject, Work};
use contract::build::{Download, Shape, Verb};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// Copies within this process.
struct Here;

#[async_trait]
impl Archives for Here {
    async fn stat(&self, _: &Subject, _: &[u8]) -> Result<PathStat, PortError> {
        unreachable!()
    }
    async fn read(&self, _: &Subject, _: &[u8]) -> Result<(PathStat, Stream), PortError> {
        unreachable!()
    }
    async fn write(&self, _: &Subject, _: Put, _: Stream) -> Result<(), PortError> {
        unreachable!()
    }
    async fn export(&self, _: &Subject) -> Result<Stream, PortError> {
        unreachable!()
    }
    async fn changes(&self, _: &Subject) -> Result<Stream, PortError> {
        unreachable!()
    }
    async fn layer(&self, _: &Subject) -> Result<BlockingStream, PortError> {
        unreachable!()
    }
    async fn usage(&self, _: Vec<PathBuf>) -> Result<Vec<u64>, PortError> {
        unreachable!()
    }
    async fn survey(&self, layers: Vec<PathBuf>, patterns: Vec<String>) -> Result<Vec<Sighting>, PortError> {
        let inside = Inside::new(opened(&layers[0])?, None, descriptors()?);
        let mut out = Vec::new();
        inside.perform(&Work::Survey(patterns), None, std::io::empty(), &mut out)?;
        let (_, list) = out.split_at(out.iter().position(|b| *b == b'\n').unwrap());
        Ok(serde_json::from_slice(list).unwrap())
    }
    async fn place(&self, root: &RootSpec, placing: Placing) -> Result<(), PortError> {
        let folders = placing.sources.iter().map(|source| match source {
            Beside::Folder(path) => opened(path),
            Beside::Layers(layers) => opened(&layers[0]),
        });
        let sources = folders.collect::<Result<_, _>>()?;
        let inside = Inside::new(opened(&root.target)?, None, descriptors()?).beside(sources);
        let list = serde_json::to_vec(&placing.pieces).unwrap();
        let mut out = Vec::new();
        inside.perform(&Work::Place(placing.target), None, list.as_slice(), &mut out)?;
        assert_eq!(serde_json::from_slice::<Report>(&out).unwrap(), Report::Fine);
        Ok(())
    }
}

/// A server with these answers: type, disposition, body.
struct Server(&'static str, &'static str, Vec<u8>);

#[async_trait]
impl Downloads for Server {
    async fn get(&self, url: &str) -> Result<Download, PortError> {
        if url.ends_with("missing") {
            return Err(PortError::new(
                Kind::NotFound,
                format!("failed to GET {url} with status 404 Not Found: no"),
            ));
        }
        Ok(Download {
            kind: self.0.into(),
            disposition: self.1.into(),
            modified: "Wed, 21 Oct 2015 07:28:00 GMT".into(),
            content: Box::new(std::io::Cursor::new(self.2.clone())),
        })
    }
}

struct Stage {
    base: tempfile::TempDir,
    contexts: BuildContexts,
}

/// A tar of files (`path`, content, mode), folders (`path/`) and links (`path -> target`).
fn tar(members: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(1234);
        header.set_gid(1234);
        header.set_mtime(1_000_000_000);
        if let Some((path, target)) = path.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target).unwrap();
            continue;
        }
        if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

impl Stage {
    fn new(server: Server) -> Self {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("root")).unwrap();
        let contexts = BuildContexts::new(base.path(), Arc::new(server), Arc::new(Here));
        Self { base, contexts }
    }

    /// Waits until no context's folder is left: each goes after the last who held it, on a thread of its own.
    async fn emptied(&self) {
        for _ in 0..2000 {
            if std::fs::read_dir(self.base.path().join("builds")).unwrap().next().is_none() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("something is left");
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("root")
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    async fn receive(&self, members: &[(&str, &str, u32)]) -> Origin {
        Origin::Context(self.contexts.receive(Box::new(std::io::Cursor::new(tar(members)))).await.unwrap())
    }

    async fn find(&self, origin: &Origin, verb: Verb, line: &str) -> Result<Found, PortError> {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let target = words.pop().unwrap();
        self.contexts.find(origin, &Sources { patterns: words, verb, target }).await
    }

    async fn copy_as(
        &self,
        origin: &Origin,
        verb: Verb,
        line: &str,
        owner: Option<&str>,
        mode: Option<u32>,
    ) -> Result<(), PortError> {
        let found = self.find(origin, verb, line).await?;
        let (path, target) = (line.rsplit(' ').next().unwrap().to_owned(), self.root());
        let root = RootSpec { lower: vec![], upper: target.clone(), work: target.clone(), target };
        self.contexts.place(&found, &root, &Target { path, owner: owner.map(str::to_owned), mode }).await
    }

    async fn copy(&self, origin: &Origin, line: &str) -> Result<(), PortError> {
        self.copy_as(origin, Verb::Copy, line, None, None).await
    }
}

fn nobody() -> Server {
    Server("", "", Vec::new())
}

const FILES: &[(&str, &str, u32)] = &[
    ("a.txt", "A", 0o640),
    ("b.txt", "B", 0o755),
    ("dir/", "", 0o711),
    ("dir/in/", "", 0o755),
    ("dir/in/deep", "deep", 0o600),
    ("dir/link -> in/deep", "", 0o777),
    ("tod -> dir", "", 0o777),
    ("escape -> ../../../../etc/passwd", "", 0o777),
];

#[tokio::test]
async fn destinations_are_what_docker_makes_of_them() {
    let stage = Stage::new(nobody());
    let origin = stage.receive(FILES).await;
    stage.copy(&origin, "a.txt /new/file").await.unwrap();
    stage.copy(&origin, "a.txt /folder/").await.unwrap();
    stage.copy(&origin, "b.txt /folder").await.unwrap();
    stage.copy(&origin, "dir /content").await.unwrap();
    stage.copy(&origin, "tod /through").await.unwrap();
    stage.copy(&origin, "*.txt /several/").await.unwrap();
    stage.copy(&origin, "./a.txt /dir/../dot").await.unwrap();
    symlink("/folder", stage.root().join("absolute")).unwrap();
    symlink("missing/yet", stage.root().join("dangling")).unwrap();
    stage.copy(&origin, "dir/in/deep /absolute").await.unwrap();
    stage.copy(&origin, "a.txt /dangling").await.unwrap();
    for (path, content) in [
        ("new/file", "A"),
        ("folder/a.txt", "A"),
        ("folder/b.txt", "B"),
        ("content/in/deep", "deep"),
        ("through/in/deep", "deep"),
        ("several/b.txt", "B"),
        ("dot", "A"),
        ("folder/deep", "deep"),
        ("missing/yet", "A"),
    ] {
        assert_eq!(stage.text(path), content, "{path}");
    }
    assert_eq!(std::fs::read_link(stage.root().join("content/link")).unwrap(), Path::new("in/deep"));
    let is = std::fs::metadata(stage.root().join("new/file")).unwrap();
    assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777, is.mtime()), (0, 0, 0o640, 1_000_000_000));
    assert_eq!(std::fs::metadata(stage.root().join("new")).unwrap().mode() & 0o7777, 0o755);
    // The folder's own looks are the destination's, those of what is in it are kept.
    assert_eq!(std::fs::metadata(stage.root().join("content")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(std::fs::metadata(stage.root().join("content/in")).unwrap().mtime(), 1_000_000_000);
}

#[tokio::test]
async fn what_is_in_the_way_makes_room_and_folders_merge() {
    let stage = Stage::new(nobody());
    let origin = stage.receive(FILES).await;
    std::fs::create_dir_all(stage.root().join("x/in/kept")).unwrap();
    std::fs::create_dir_all(stage.root().join("x/link/full")).unwrap();
    std::fs::create_dir_all(stage.root().join("y/a.txt/full")).unwrap();
    std::fs::write(stage.root().join("file"), "").unwrap();
    symlink("/outside", stage.root().join("x/in/deep")).unwrap();
    stage.copy(&origin, "dir /x").await.unwrap();
    assert!(stage.root().join("x/in/kept").is_dir() && stage.root().join("x/link").is_symlink());
    assert_eq!(stage.text("x/in/deep"), "deep");
    stage.copy(&origin, "a.txt /y/").await.unwrap();
    assert_eq!(stage.text("y/a.txt"), "A");
    let refused = stage.copy(&origin, "dir /file").await.unwrap_err();
    assert_eq!(refused.text, "failed to copy files: not a directory");
}

#[tokio::test]
async fn missing_sources_are_told_in_dockers_words() {
    let stage = Stage::new(nobody());
    let origin = stage.receive(FILES).await;
    for (line, text) in [
        (
            "nothing /x",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nothing: file does not exist",
        ),
        ("*.none /x", "COPY failed: no source files were specified"),
        ("[ /x", "COPY failed: no source files were specified"),
        ("../x /x", "COPY failed: forbidden path outside the build context: ../x ()"),
        (
            "a.txt b.txt /x",
            "When using COPY with more than one source file, the destination must be a directory and end with a /",
        ),
        ("http://host/x /x", "COPY failed: source can't be a URL for COPY"),
        (
            "escape /x",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat escape: file does not exist",
        ),
    ] {
        assert_eq!(stage.find(&origin, Verb::Copy, line).await.unwrap_err().text, text);
    }
    let layers = Origin::Layers(vec![stage.root()]);
    let missing = stage.find(&layers, Verb::Copy, "nothing /x").await.unwrap_err();
    assert_eq!(missing.text, "COPY failed: stat nothing: file does not exist");
    let none = stage.find(&Origin::Nothing, Verb::Copy, "a /x").await.unwrap_err();
    assert_eq!(none.text, "COPY failed: missing build context");
}

#[tokio::test]
async fn digests_go_by_content_modes_and_names_but_not_by_times_and_owners() {
    let stage = Stage::new(nobody());
    let digest = async |files: &[(&str, &str, u32)], line: &str| {
        let origin = stage.receive(files).await;
        if let Origin::Context(context) = &origin {
            std::fs::set_permissions(context.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
            let file = std::fs::File::open(context.path().join("d/f")).unwrap();
            file.set_modified(std::time::SystemTime::now()).unwrap();
        }
        stage.find(&origin, Verb::Copy, line).await.unwrap().digest
    };
    let first = digest(&[("d/f", "1", 0o644)], "d /x").await;
    assert!(first.starts_with("dir:"));
    assert_eq!(first, digest(&[("d/f", "1", 0o644), ("other", "", 0o644)], "d /y").await);
    assert_ne!(first, digest(&[("d/f", "2", 0o644)], "d /x").await);
    assert_ne!(first, digest(&[("d/f", "1", 0o600)], "d /x").await);
    assert_ne!(first, digest(&[("d/f", "1", 0o644), ("d/g", "", 0o644)], "d /x").await);
    assert!(digest(&[("d/f", "1", 0o644)], "d/f /x").await.starts_with("file:"));
    assert!(digest(&[("d/f", "1", 0o644)], "d/f d /x/").await.starts_with("multi:"));
}

#[tokio::test]
async fn owners_are_looked_up_in_the_root_and_modes_are_taken_as_asked() {
    let stage = Stage::new(nobody());
    let origin = stage.receive(FILES).await;
    std::fs::create_dir(stage.root().join("etc")).unwrap();
    std::fs::write(stage.root().join("etc/passwd"), "web:x:33:34::/:\n").unwrap();
    std::fs::write(stage.root().join("etc/group"), "web:x:44:\nstaff:x:50:\n").unwrap();
    for (owner, uid, gid) in [
        ("web", 33, 44),
        ("web:staff", 33, 50),
        ("7:8", 7, 8),
        ("9", 9, 9),
        ("4000000000:1", 4_000_000_000, 1),
    ] {
        stage.copy_as(&origin, Verb::Copy, "dir /o/d", Some(owner), Some(0o511)).await.unwrap();
        for path in ["o/d/in/deep", "o/d/in"] {
            let is = std::fs::metadata(stage.root().join(path)).unwrap();
            assert_eq!((is.uid(), is.gid(), is.mode() & 0o7777), (uid, gid, 0o511), "{owner} {path}");
        }
    }
    for (owner, text) in [
        ("who", "can't find uid for user who: no such user: who"),
        ("web:who", "can't find gid for group who: no such group: who"),
        (":", "invalid chown string format: :"),
    ] {
        let refused = stage.copy_as(&origin, Verb::Copy, "dir /o/e", Some(owner), None).await.unwrap_err();
        assert_eq!(refused.text, format!("unable to convert uid/gid chown string to host mapping: {text}"));
        assert!(!stage.root().join("o/e").exists());
    }
    // What comes out of an image stays its owner's unless another is named.
    let image = tempfile::tempdir().unwrap();
    std::fs::write(image.path().join("f"), "").unwrap();
    std::os::unix::fs::chown(image.path().join("f"), Some(77), Some(78)).unwrap();
    let layers = Origin::Layers(vec![image.path().to_owned()]);
    stage.copy(&layers, "/f /from").await.unwrap();
    let is = std::fs::metadata(stage.root().join("from")).unwrap();
    assert_eq!((is.uid(), is.gid()), (77, 78));
}

#[tokio::test]
async fn add_unpacks_local_archives_and_leaves_fetched_ones_whole() {
    use std::io::Write;
    let archive = tar(&[("f", "in the archive", 0o600), ("l -> f", "", 0o777)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let gzip = gzip.finish().unwrap();
    let stage = Stage::new(Server("application/gzip", "", gzip.clone()));
    let Origin::Context(context) = stage.receive(FILES).await else { unreachable!() };
    std::fs::write(context.path().join("x.tgz"), &gzip).unwrap();
    std::fs::write(context.path().join("broken.gz"), [&gzip[..4], &b"junk"[..]].concat()).unwrap();
    let origin = Origin::Context(context);
    let add = async |line| stage.copy_as(&origin, Verb::Add, line, None, None).await;
    add("x.tgz /un/packed").await.unwrap();
    assert_eq!(stage.text("un/packed/l"), "in the archive");
    let is = std::fs::metadata(stage.root().join("un/packed/f")).unwrap();
    assert_eq!((is.uid(), is.mode() & 0o7777), (1234, 0o600));
    add("a.txt broken.gz /plain/").await.unwrap();
    assert_eq!(stage.text("plain/a.txt"), "A");
    assert!(stage.root().join("plain/broken.gz").is_file());
    stage.copy(&origin, "x.tgz /copied").await.unwrap();
    assert_eq!(std::fs::read(stage.root().join("copied")).unwrap(), gzip);
    add("http://host/a/y.tgz?v=1 /fetched/").await.unwrap();
    let fetched = stage.root().join("fetched/y.tgz");
    assert_eq!(std::fs::read(&fetched).unwrap(), gzip);
    let is = std::fs::metadata(fetched).unwrap();
    assert_eq!((is.mode() & 0o7777, is.mtime()), (0o600, 1_445_412_480));
    for (line, text) in [
        ("http://host/ /x/", "ADD failed: cannot determine filename for source http://host/"),
        (
            "http://host/missing /x",
            "ADD failed: failed to GET http://host/missing with status 404 Not Found: no",
        ),
        (
            "https://host/r.git /x",
            "ADD failed: a git repository (https://host/r.git) can only be added by BuildKit, which gantry has not",
        ),
    ] {
        assert_eq!(add(line).await.unwrap_err().text, text);
    }
    // All that was fetched is gone with the last who held it.
    drop(origin);
    stage.emptied().await;
}

#[tokio::test]
async fn hostile_contexts_leave_nothing_outside_and_nothing_behind() {
    let stage = Stage::new(nobody());
    let outside = stage.base.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let link = format!("l -> {}", outside.display());
    let through = tar(&[(&link, "", 0o777), ("l/file", "x", 0o644)]);
    assert!(stage.contexts.receive(Box::new(std::io::Cursor::new(through))).await.is_err());
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
    let mut dots = tar(&[("aa/file", "x", 0o644)]);
    dots[..2].copy_from_slice(b"..");
    let sum: u32 = dots[..512]
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
        .sum();
    dots[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let refused = stage.contexts.receive(Box::new(std::io::Cursor::new(dots))).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Invalid);
    assert!(refused.text.contains("path leads outside of the archive"), "{}", refused.text);
    let whole = tar(FILES);
    let broken = whole[..whole.len() - 1500].to_vec();
    assert!(stage.contexts.receive(Box::new(std::io::Cursor::new(broken))).await.is_err());
    stage.contexts.sweep().await.unwrap();
    stage.emptied().await;
}

#[tokio::test]
async fn the_dockerfile_is_read_and_only_then_left_out() {
    let stage = Stage::new(nobody());
    let files = [
        (".dockerignore", "Docker*\n.dockerignore\n", 0o644),
        ("Dockerfile", "FROM x", 0o644),
        ("kept", "", 0o644),
    ];
    let Origin::Context(context) = stage.receive(&files).await else { unreachable!() };
    assert_eq!(stage.contexts.read(&context, "Dockerfile").await.unwrap(), "FROM x");
    assert_eq!(stage.contexts.read(&context, "other").await.unwrap_err().kind, Kind::NotFound);
    stage.contexts.exclude(&context, "Dockerfile").await.unwrap();
    let found = stage.find(&Origin::Context(context), Verb::Copy, "* /x/").await.unwrap();
    assert_eq!(found.pieces.len(), 1);
    assert_eq!((found.pieces[0].path.as_slice(), found.pieces[0].shape), (&b"kept"[..], Shape::File));
}

#[tokio::test]
async fn urls_give_archives_or_a_dockerfile_by_type_or_by_looking() {
    let archive = tar(FILES);
    for (kind, body, is_text) in [
        ("application/x-tar", archive.clone(), false),
        ("", archive.clone(), false),
        ("application/octet-stream", b"FROM busybox\n".to_vec(), true),
        ("text/plain; charset=utf-8", b"FROM busybox\n".to_vec(), true),
    ] {
        let stage = Stage::new(Server(kind, "", body));
        match stage.contexts.fetch("http://host/x").await.unwrap() {
            Fetched::Dockerfile(text) => assert!(is_text && text == "FROM busybox\n", "{kind}"),
            Fetched::Files(context) => assert!(!is_text && context.path().join("a.txt").exists(), "{kind}"),
        }
    }
    let stage = Stage::new(Server("text/html", "", b"<html>".to_vec()));
    for (url, text) in [
        (
            "http://host/x",
            "error detecting content type for remote http://host/x: unsupported Content-Type \"text/html\"",
        ),
        ("/local", "remoteURL (/local) could not be recognized as URL"),
    ] {
        assert_eq!(stage.contexts.fetch(url).await.unwrap_err().text, text);
    }
}
