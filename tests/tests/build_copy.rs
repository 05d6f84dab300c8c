//! `COPY` in builds: what it finds, where it puts it and what it keeps.

use gantry_tests::{Daemon, Output};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// An empty folder for a context.
fn folder(gantry: &Daemon, name: &str) -> PathBuf {
    let folder = gantry.place().path(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(context: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = context.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn build(gantry: &Daemon, context: &Path, dockerfile: &str) -> Output {
    write(context, "Dockerfile", dockerfile);
    gantry.docker([OsStr::new("build"), OsStr::new("-t"), OsStr::new("built"), context.as_os_str()])
}

/// What a shell in the image built says.
fn shown(gantry: &Daemon, command: &str) -> String {
    gantry.docker(["run", "--rm", "built", "sh", "-c", command]).ok().to_owned()
}

fn chmod(path: PathBuf, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn sources_go_where_docker_puts_them() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    for path in ["a.txt", "b.txt", "c.md", "dir/one", "dir/sub/two", "with space", "empty"] {
        write(&context, path, if path == "empty" { "" } else { path });
    }
    std::fs::create_dir(context.join("dir/hollow")).unwrap();
    let dockerfile = r#"FROM busybox
RUN mkdir -p /run /var /there && ln -s /run /var/run && ln -s ../there /var/relative
COPY *.txt /globbed/
COPY a.txt c.md dir /several/
COPY dir /contents
COPY dir/ /there
COPY a.txt /there
COPY a.txt /plain
COPY a.txt b.txt /var/run/
COPY c.md /var/relative/
COPY ["with space", "empty", "/a folder/"]
COPY ? * /all/
COPY . /whole
"#;
    build(&gantry, &context, dockerfile).ok();
    let find = "find /globbed /several /contents /there /plain /run '/a folder' /all -type f | sort; ls -d /contents/hollow; \
                readlink /var/run; readlink /var/relative; cat '/a folder/with space'; stat -c %s '/a folder/empty'; \
                ls -A /whole; stat -c '%u %g %a' /globbed /plain";
    assert_eq!(
        shown(&gantry, find).lines().collect::<Vec<_>>(),
        [
            "/a folder/empty",
            "/a folder/with space",
            "/all/Dockerfile",
            "/all/a.txt",
            "/all/b.txt",
            "/all/c.md",
            "/all/empty",
            "/all/one",
            "/all/sub/two",
            "/all/with space",
            "/contents/one",
            "/contents/sub/two",
            "/globbed/a.txt",
            "/globbed/b.txt",
            "/plain",
            "/run/a.txt",
            "/run/b.txt",
            "/several/a.txt",
            "/several/c.md",
            "/several/one",
            "/several/sub/two",
            "/there/a.txt",
            "/there/c.md",
            "/there/one",
            "/there/sub/two",
            "/contents/hollow",
            "/run",
            "../there",
            "with space0",
            "Dockerfile",
            "a.txt",
            "b.txt",
            "c.md",
            "dir",
            "empty",
            "with space",
            "0 0 755",
            "0 0 644",
        ]
    );
}

#[test]
fn what_cannot_be_copied_fails_the_build_with_dockers_words() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    for path in ["a", "b", "secret"] {
        write(&context, path, path);
    }
    write(&context, ".dockerignore", "secret\n");
    let missing = "COPY failed: file not found in build context or excluded by .dockerignore: stat ";
    let cases = [
        (
            "COPY a b /x",
            "When using COPY with more than one source file, the destination must be a directory and end with a /"
                .to_owned(),
        ),
        ("COPY nosuch /", format!("{missing}nosuch: file does not exist")),
        ("COPY secret /", format!("{missing}secret: file does not exist")),
        ("COPY *.none /", "COPY failed: no source files were specified".to_owned()),
        ("COPY ../a /", "COPY failed: forbidden path outside the build context: ../a ()".to_owned()),
        ("COPY --from=0 nosuch /", "COPY failed: stat nosuch: file does not exist".to_owned()),
        ("COPY --chown=ghost a /", "unable to convert uid/gid chown string to host mapping: can't find uid for user ghost: no such user: ghost".to_owned()),
        ("COPY --chown=0:ghosts a /", "unable to convert uid/gid chown string to host mapping: can't find gid for group ghosts: no such group: ghosts".to_owned()),
    ];
    for (line, wanted) in cases {
        let first = if line.contains("--from") { "FROM busybox\n" } else { "" };
        let built = build(&gantry, &context, &format!("{first}FROM busybox\n{line}\n"));
        assert!(built.fails(1).contains(&wanted), "{line}: {built}");
    }
    assert_eq!(gantry.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn links_lead_neither_the_reader_nor_the_writer_outside() {
    let gantry = Daemon::start();
    let outside = gantry.write("outside", "the host's");
    let context = folder(&gantry, "context");
    write(&context, "file", "ours");
    symlink(&outside, context.join("absolute")).unwrap();
    symlink("../outside", context.join("relative")).unwrap();
    symlink("..", context.join("above")).unwrap();
    symlink("file", context.join("inner")).unwrap();
    for line in ["COPY absolute /x", "COPY relative /x", "COPY above/outside /x", "ADD absolute /x"] {
        let built = build(&gantry, &context, &format!("FROM busybox\n{line}\n"));
        assert!(built.fails(1).contains("file does not exist"), "{line}: {built}");
    }
    let host = gantry.place().path("landing");
    std::fs::create_dir(&host).unwrap();
    let dockerfile = format!(
        "FROM busybox\nRUN ln -s {0} /away && ln -s ../../../../../..{0} /up\nCOPY file /away/\nCOPY inner /up/inner\nCOPY . /all/\n",
        host.display()
    );
    build(&gantry, &context, &dockerfile).ok();
    assert_eq!(std::fs::read_dir(&host).unwrap().count(), 0, "something was written on the host");
    let said = shown(
        &gantry,
        &format!("ls {}; cat /up/inner; echo; readlink /all/absolute; readlink /all/above", host.display()),
    );
    assert_eq!(said, format!("file\ninner\nours\n{}\n..", outside.display()));
}

#[test]
fn owners_and_modes_are_the_ones_asked_for() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    write(&context, "dir/sub/file", "x");
    write(&context, "file", "x");
    chmod(context.join("file"), 0o604);
    let dockerfile = "FROM busybox\n\
        COPY --chown=app file /named\n\
        COPY --chown=app:extra file /both\n\
        COPY --chown=70000:70001 file /numbers\n\
        COPY --chown=1000 file /number\n\
        COPY --chown=app --chmod=0710 dir /tree/\n\
        COPY --chmod=4755 file /set\n\
        COPY file /kept\n\
        ADD --chown=nobody:nogroup file /added\n";
    build(&gantry, &context, dockerfile).ok();
    let stat =
        "stat -c '%n %u:%g %a' /named /both /numbers /number /tree/sub /tree/sub/file /set /kept /added";
    assert_eq!(
        shown(&gantry, stat).lines().collect::<Vec<_>>(),
        [
            "/named 1000:1000 604",
            "/both 1000:2000 604",
            "/numbers 70000:70001 604",
            "/number 1000:1000 604",
            "/tree/sub 1000:1000 710",
            "/tree/sub/file 1000:1000 710",
            "/set 0:0 4755",
            "/kept 0:0 604",
            "/added 65534:65534 604",
        ]
    );
}

#[test]
fn stages_and_images_are_seen_through_their_layers_and_whiteouts() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    let base = "FROM busybox\n\
        RUN mkdir -p /d/keep /d/gone /d/again && touch /d/keep/low /d/gone/low /d/again/old /d/file && chown -R app:extra /d/keep\n\
        RUN rm -rf /d/gone /d/again /d/file && mkdir /d/again && touch /d/again/new /d/keep/high\n\
        RUN ln /d/keep/low /d/keep/same && ln -s keep/low /d/link\n";
    build(&gantry, &context, base).ok();
    gantry.docker(["tag", "built", "base"]).ok();
    let dockerfile = format!(
        "{}FROM busybox\nCOPY --from=one /d /stage\nCOPY --from=base /d/ /image/\nCOPY --from=0 /d/k* /globbed/\nCOPY --from=one /d/link /followed\n",
        base.replace("FROM busybox", "FROM busybox AS one")
    );
    build(&gantry, &context, &dockerfile).ok();
    for place in ["/stage", "/image"] {
        let said = shown(&gantry, &format!("cd {place}; find . | sort; stat -c '%u:%g %h' keep/low"));
        let wanted = [
            ".",
            "./again",
            "./again/new",
            "./keep",
            "./keep/high",
            "./keep/low",
            "./keep/same",
            "./link",
            "1000:2000 2",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "{place}");
    }
    assert_eq!(
        shown(&gantry, "ls /globbed; test -f /followed && test ! -L /followed && echo file"),
        "high\nlow\nsame\nfile"
    );
    let built = build(&gantry, &context, "FROM busybox\nCOPY --from=base /d/file /\n");
    assert!(built.fails(1).contains("COPY failed: stat d/file: file does not exist"), "{built}");
}

#[test]
fn what_the_ignore_file_names_is_not_there() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    for path in [
        "a.log",
        "keep.log",
        "src/x.tmp",
        "src/deep/y.tmp",
        "src/deep/keep.tmp",
        "src/main",
        "node/m/x",
        "node/m/kept",
        "q1",
        "#hash",
    ] {
        write(&context, path, "");
    }
    let ignore = "# a comment\n*.log\n!keep.log\n**/*.tmp\n!src/**/keep.tmp\nnode\n!node/m/kept\nq?\n.dockerignore\nDockerfile\n";
    write(&context, ".dockerignore", ignore);
    build(&gantry, &context, "FROM busybox\nCOPY . /all/\n").ok();
    assert_eq!(
        shown(&gantry, "cd /all; find . -type f | sort").lines().collect::<Vec<_>>(),
        ["./#hash", "./keep.log", "./node/m/kept", "./src/deep/keep.tmp", "./src/main"]
    );
}

#[test]
fn what_files_are_is_kept() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    write(&context, "d/suid", "s");
    chmod(context.join("d/suid"), 0o4755);
    write(&context, "d/sticky/x", "");
    chmod(context.join("d/sticky"), 0o1777);
    write(&context, "d/cap", "c");
    let cap = context.join("d/cap");
    gantry.place().run("setcap", ["cap_net_raw+ep", cap.to_str().unwrap()]).ok();
    write(&context, "d/hard", "same");
    std::fs::hard_link(context.join("d/hard"), context.join("d/link")).unwrap();
    std::fs::write(context.join("d").join(OsStr::from_bytes(b"caf\xe9")), "latin").unwrap();
    gantry.place().run("mkfifo", [context.join("d/pipe").to_str().unwrap()]).ok();
    let sparse = std::fs::File::create(context.join("d/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    let dated = std::fs::File::options().append(true).open(context.join("d/hard")).unwrap();
    dated.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    write(&context, "Dockerfile", "FROM busybox\nCOPY d /d\nCOPY d/suid /alone/\n");
    // GNU tar tells the daemon of the holes, which the CLI does not.
    let tar = gantry.place().path("context.tar");
    gantry.place().sh(&format!("tar --format=gnu -cS -C {} -f {} .", context.display(), tar.display())).ok();
    gantry.docker_with_input(["build", "-t", "built", "-"], &std::fs::read(&tar).unwrap()).ok();
    let said = shown(
        &gantry,
        "cd /d; stat -c '%n %a' suid sticky /alone/suid; stat -c '%h %Y' hard; cat caf*; echo; test -p pipe && echo pipe; \
         stat -c %s sparse; test $(du -k sparse | cut -f1) -lt 1000 && echo holes",
    );
    let wanted = [
        "suid 4755",
        "sticky 1777",
        "/alone/suid 4755",
        "2 1000000000",
        "latin",
        "pipe",
        "67108864",
        "holes",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    build(&gantry, &context, "FROM busybox\nCOPY d /d\nCOPY d/cap /alone\n").ok();
    let id = gantry.docker(["create", "built"]).ok().to_owned();
    let out = gantry.place().path("out");
    let export = gantry.place().path("export.tar");
    gantry.docker(["export", "-o", export.to_str().unwrap(), &id]).ok();
    std::fs::create_dir(&out).unwrap();
    gantry
        .place()
        .sh(&format!(
            "tar --xattrs --xattrs-include='*' -xf {} -C {} d/cap alone",
            export.display(),
            out.display()
        ))
        .ok();
    for name in ["d/cap", "alone"] {
        let caps = gantry.place().run("getcap", [out.join(name).to_str().unwrap()]);
        assert!(caps.ok().contains("cap_net_raw"), "{name}: {caps}");
    }
    assert_eq!(shown(&gantry, "stat -c %h /d/hard; cat /d/caf*"), "2\nlatin");
    gantry.docker(["rm", &id]).ok();
}

#[test]
fn five_thousand_files_arrive_whole() {
    let gantry = Daemon::start();
    let context = folder(&gantry, "context");
    for n in 0..5000 {
        write(&context, &format!("many/{}/{n}", n % 50), n.to_string());
    }
    build(&gantry, &context, "FROM busybox\nCOPY many /many\n").ok();
    assert_eq!(shown(&gantry, "find /many -type f | wc -l; cat /many/49/4999"), "5000\n4999");
    let again = build(&gantry, &context, "FROM busybox\nCOPY many /many\n");
    assert!(again.ok().contains("Using cache"), "{again}");
}
