//! `ADD` in builds: archives unpacked, files fetched.

use gantry_tests::{Daemon, Output, Web};
use std::path::Path;

fn build(gantry: &Daemon, dockerfile: &str) -> Output {
    let context = gantry.place().path("context");
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    gantry.docker(["build", "-t", "built", context.to_str().unwrap()])
}

fn shown(gantry: &Daemon, command: &str) -> String {
    gantry.docker(["run", "--rm", "built", "sh", "-c", command]).ok().to_owned()
}

/// Runs this in the context.
fn prepare(gantry: &Daemon, script: &str) {
    let context = gantry.place().path("context");
    std::fs::create_dir_all(&context).unwrap();
    gantry.place().sh(&format!("cd {} && {script}", context.display())).ok();
}

#[test]
fn archives_are_unpacked_whatever_their_name_and_others_are_not() {
    let gantry = Daemon::start();
    prepare(
        &gantry,
        "mkdir -p tree/sub && echo in > tree/sub/file && ln -s sub/file tree/link && chown -R 12:34 tree && chmod 640 tree/sub/file && \
         tar -C tree -cf plain.tar . && gzip -k plain.tar && mv plain.tar.gz zipped && echo text > text.tar && \
         echo text | gzip > text.gz && tar -C tree --zstd -cf packed.tar.zst . && tar -C tree -cjf b.tar.bz2 . && tar -C tree -cJf x.tar.xz .",
    );
    let dockerfile = "FROM busybox\nADD plain.tar /plain\nADD zipped /zipped/\nADD packed.tar.zst /zstd\nADD b.tar.bz2 /bzip2\nADD x.tar.xz /xz\nCOPY plain.tar /copied/\n\
        ADD text.tar /left/\nADD text.gz /left/\nADD --chown=app plain.tar /owned/\nADD plain.tar text.tar /both/\n\
        RUN mkdir /over && echo old > /over/sub\nADD plain.tar /over\n";
    build(&gantry, dockerfile).ok();
    let said = shown(
        &gantry,
        "cat /plain/sub/file /zipped/link /zstd/sub/file /bzip2/link /xz/sub/file /over/link; stat -c '%u:%g %a' /plain/sub/file /owned/sub/file; \
         ls /copied /left /both; cat /left/text.tar",
    );
    let wanted = [
        "in",
        "in",
        "in",
        "in",
        "in",
        "in",
        "12:34 640",
        "1000:1000 640",
        "/both:",
        "link",
        "sub",
        "text.tar",
        "",
        "/copied:",
        "plain.tar",
        "",
        "/left:",
        "text.gz",
        "text.tar",
        "text",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_hostile_archive_writes_nothing_outside_the_root() {
    let gantry = Daemon::start();
    let host = gantry.place().path("landing");
    std::fs::create_dir(&host).unwrap();
    std::fs::create_dir(gantry.place().path("context")).unwrap();
    let archive = |name: &str, members: &[(&str, &str, Option<&str>)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content, link) in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            // The crate's own setter refuses such names.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            match link {
                Some(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.as_gnu_mut().unwrap().linkname[..to.len()].copy_from_slice(to.as_bytes());
                }
                None => header.set_size(content.len() as u64),
            }
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        std::fs::write(gantry.place().path("context").join(name), tar.into_inner().unwrap()).unwrap();
    };
    let landing = host.to_str().unwrap();
    archive("dots.tar", &[("../../../../../../../../landing", "x", None)]);
    archive("link.tar", &[("away", "", Some(landing)), ("away/x", "x", None)]);
    for name in ["dots.tar", "link.tar"] {
        // Whether it is refused or kept inside is not the point.
        let _built = build(&gantry, &format!("FROM busybox\nADD {name} /a/\n"));
        assert_eq!(std::fs::read_dir(&host).unwrap().count(), 0, "{name}");
        assert!(!Path::new("/landing").exists(), "{name}");
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_url_is_fetched_as_it_is() {
    let gantry = Daemon::start();
    prepare(&gantry, "true");
    let web = Web::start(gantry.place(), "127.0.0.1:8099", |request| {
        let dated = vec!["Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT".to_owned()];
        match request.path.as_str() {
            "/some/file.txt" => (200, dated, "fetched".to_owned()),
            _ => (404, Vec::new(), String::new()),
        }
    });
    let at = "http://127.0.0.1:8099";
    let dockerfile = format!(
        "FROM busybox\nADD {at}/some/file.txt /dir/\nADD {at}/some/file.txt /renamed\nADD --chown=app --chmod=644 {at}/some/file.txt /owned\n"
    );
    build(&gantry, &dockerfile).ok();
    let said = shown(
        &gantry,
        "cat /dir/file.txt; echo; TZ=UTC stat -c '%n %u:%g %a %Y' /dir/file.txt /renamed /owned",
    );
    let wanted = [
        "fetched",
        "/dir/file.txt 0:0 600 1000000000",
        "/renamed 0:0 600 1000000000",
        "/owned 1000:1000 644 1000000000",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    let again = build(&gantry, &dockerfile);
    assert_eq!(again.ok().matches("Using cache").count(), 3, "fetched again, but nothing new: {again}");
    let missing = build(&gantry, &format!("FROM busybox\nADD {at}/nosuch /x\n"));
    assert!(
        missing.fails(1).contains("ADD failed: failed to GET http://127.0.0.1:8099/nosuch with status 404"),
        "{missing}"
    );
    let copied = build(&gantry, &format!("FROM busybox\nCOPY {at}/some/file.txt /x\n"));
    assert!(copied.fails(1).contains("source can't be a URL for COPY"), "{copied}");
    assert!(web.seen().iter().all(|r| r.method == "GET"));
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}
