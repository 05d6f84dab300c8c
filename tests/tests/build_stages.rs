//! `docker build`: stages, contexts from elsewhere, a real program.

use gantry_tests::{Daemon, Output};
use std::path::{Path, PathBuf};
use std::process::Command;

fn build(gantry: &Daemon, flags: &[&str], dockerfile: &str) -> Output {
    let folder = gantry.place().path("context");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(folder.join("a"), "a\n").unwrap();
    let mut args = vec!["build"];
    args.extend(flags);
    args.push(folder.to_str().unwrap());
    gantry.docker(args)
}

#[test]
fn stages_stand_on_each_other_and_give_each_other_files() {
    let gantry = Daemon::start();
    let dockerfile = "FROM busybox AS base\nRUN mkdir /d && echo made > /d/made && chown -R app:app /d\nENV X=1\n\
        FROM base AS more\nRUN echo $X > /x\n\
        FROM busybox\nCOPY --from=base /d /d\nCOPY --from=1 /x /x\nCOPY --from=busybox /etc/passwd /copied\n\
        CMD [\"cat\", \"/d/made\", \"/x\"]\n";
    build(&gantry, &["-t", "mine"], dockerfile).ok();
    assert_eq!(gantry.docker(["run", "--rm", "mine"]).lines(), ["made", "1"]);
    let shown = gantry.docker([
        "run",
        "--rm",
        "mine",
        "sh",
        "-c",
        "stat -c %U /d/made; grep -c app /copied; echo $X",
    ]);
    assert_eq!(shown.lines(), ["app", "1"]);
    let part = build(&gantry, &["--target", "MORE", "-t", "more"], dockerfile);
    assert!(part.ok().contains("Step 5/5 : RUN echo $X > /x"), "{}", part.stdout);
    assert_eq!(gantry.docker(["run", "--rm", "more", "cat", "/x"]).ok(), "1");
}

#[test]
fn an_image_from_scratch_has_what_is_copied_and_nothing_else() {
    let gantry = Daemon::start();
    let dockerfile = "FROM scratch\nCOPY --from=busybox /bin/busybox /bin/busybox\nWORKDIR /w\nCOPY a .\nCMD [\"/bin/busybox\", \"cat\", \"a\"]\n";
    build(&gantry, &["-t", "mine"], dockerfile).ok();
    assert_eq!(gantry.docker(["run", "--rm", "mine"]).ok(), "a");
    assert_eq!(gantry.inspected("mine")["RootFS"]["Layers"].as_array().unwrap().len(), 3);
    let again = build(&gantry, &["-t", "mine"], dockerfile);
    assert_eq!(again.ok().matches("Using cache").count(), 4, "{}", again.stdout);
    let bare = build(&gantry, &["-t", "bare"], "FROM scratch\nLABEL a=b\n");
    bare.ok();
    assert_eq!(gantry.inspected("bare")["Config"]["Labels"]["a"], "b");
    let none = build(&gantry, &[], "FROM scratch\n");
    assert!(none.fails(1).contains("No image was generated. Is your Dockerfile empty?"), "{}", none.stderr);
}

#[test]
fn a_dockerfile_may_come_alone_or_stand_elsewhere() {
    let gantry = Daemon::start();
    gantry.docker_with_input(["build", "-t", "mine", "-"], b"FROM busybox\nRUN echo x > /x\n").ok();
    assert_eq!(gantry.docker(["run", "--rm", "mine", "cat", "/x"]).ok(), "x");
    let folder = gantry.place().path("context");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/Other"), "FROM busybox\nCOPY a /\n").unwrap();
    std::fs::write(folder.join("a"), "a\n").unwrap();
    let other = folder.join("sub/Other");
    gantry.docker(["build", "-t", "other", "-f", other.to_str().unwrap(), folder.to_str().unwrap()]).ok();
    assert_eq!(gantry.docker(["run", "--rm", "other", "cat", "/a"]).ok(), "a");
    let text = std::fs::read(&other).unwrap();
    gantry.docker_with_input(["build", "-t", "third", "-f", "-", folder.to_str().unwrap()], &text).ok();
    assert_eq!(gantry.docker(["run", "--rm", "third", "cat", "/a"]).ok(), "a");
}

/// The host's C compiler with all it needs for a program, as an archive.
fn toolchain(program: &Path, into: &Path) {
    let ask = |what: &str| {
        let out = Command::new("gcc").arg(what).output().expect("gcc is there to compile gantry itself");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let cc1 = ask("-print-prog-name=cc1");
    let own: PathBuf = Path::new(&cc1).parent().unwrap().to_owned();
    let mut files = vec!["/usr/bin/gcc".to_owned(), cc1, ask("-print-prog-name=collect2")];
    for tool in ["as", "ld"] {
        let found = Command::new("which").arg(tool).output().unwrap();
        files.push(String::from_utf8(found.stdout).unwrap().trim().to_owned());
    }
    let mut libraries = Vec::new();
    for program in &files {
        let out = Command::new("ldd").arg(program).output().unwrap();
        for word in String::from_utf8(out.stdout).unwrap().split_whitespace().filter(|w| w.starts_with('/')) {
            libraries.push(word.to_owned());
        }
    }
    files.extend(libraries);
    for name in ["crt1.o", "crti.o", "crtn.o", "libc.a", "libm.a"] {
        let found = std::fs::canonicalize(ask(&format!("-print-file-name={name}"))).unwrap();
        files.push(found.to_str().unwrap().to_owned());
    }
    for name in ["crtbeginT.o", "crtend.o", "libgcc.a", "libgcc_eh.a"] {
        files.push(own.join(name).to_str().unwrap().to_owned());
    }
    let needed = Command::new("gcc").args(["-M", "-O2"]).arg(program).output().unwrap();
    let needed = String::from_utf8(needed.stdout).unwrap();
    files.extend(
        needed.split_whitespace().filter(|w| w.starts_with('/') && w.ends_with(".h")).map(str::to_owned),
    );
    files.sort();
    files.dedup();
    let mut tar = Command::new("tar");
    tar.args(["-C", "/", "-chf"]).arg(into);
    tar.args(files.iter().map(|f| f.trim_start_matches('/')));
    let out = tar.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_c_program_is_compiled_in_one_stage_and_run_alone_in_another() {
    let gantry = Daemon::start();
    let folder = gantry.place().path("context");
    std::fs::create_dir_all(&folder).unwrap();
    let program = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
int main(int n, char **words) {
    qsort(words + 1, n - 1, sizeof *words, compare);
    for (int i = 1; i < n; i++) printf("%s%c", words[i], i + 1 < n ? ' ' : '\n');
    return 0;
}
"#;
    std::fs::write(folder.join("sort.c"), program).unwrap();
    toolchain(&folder.join("sort.c"), &folder.join("toolchain.tar"));
    let dockerfile = "FROM busybox AS compiler\nADD toolchain.tar /\nWORKDIR /src\nCOPY sort.c .\n\
        RUN gcc -O2 -static -fno-use-linker-plugin -o /sort sort.c\nFROM scratch\nCOPY --from=compiler /sort /\nENTRYPOINT [\"/sort\"]\n";
    build(&gantry, &["-t", "sort"], dockerfile).ok();
    assert_eq!(gantry.docker(["run", "--rm", "sort", "pear", "apple", "fig"]).ok(), "apple fig pear");
    assert_eq!(gantry.inspected("sort")["RootFS"]["Layers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_dockerfile_and_files_come_from_a_url_or_a_repository() {
    let gantry = Daemon::start();
    let folder = gantry.place().path("served");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("Dockerfile"), "FROM busybox\nRUN echo x > /x\n").unwrap();
    std::fs::write(folder.join("sub/Dockerfile"), "FROM busybox\nCOPY a /a\n").unwrap();
    std::fs::write(folder.join("sub/a"), "a\n").unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&folder).args([
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "-c",
            "init.defaultBranch=main",
        ]);
        let out = git.args(args).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "x"]);
    git(&["update-server-info"]);
    let archive = gantry.place().path("served/files.tar.gz");
    let tar = Command::new("tar")
        .current_dir(folder.join("sub"))
        .arg("-czf")
        .arg(&archive)
        .args(["Dockerfile", "a"])
        .status();
    assert!(tar.unwrap().success());
    let server = gantry
        .place()
        .spawn("busybox", ["httpd", "-f", "-p", "127.0.0.1:8000", "-h", folder.to_str().unwrap()]);
    gantry_tests::eventually("the server answers", || {
        let asked = gantry.place().run("busybox", ["wget", "-qO-", "http://127.0.0.1:8000/Dockerfile"]);
        (asked.code == 0).then_some(())
    });
    for (remote, tag, file, content) in [
        ("http://127.0.0.1:8000/Dockerfile", "text", "/x", "x"),
        ("http://127.0.0.1:8000/files.tar.gz", "archive", "/a", "a"),
        ("http://127.0.0.1:8000/.git#main:sub", "git", "/a", "a"),
    ] {
        let remote: String = remote.bytes().map(|b| format!("%{b:02X}")).collect();
        let answer = gantry.api("POST", &format!("/build?remote={remote}&t={tag}"), None);
        assert!(
            answer.text().contains(&format!("Successfully tagged {tag}:latest")),
            "{tag}: {}",
            answer.text()
        );
        assert_eq!(gantry.docker(["run", "--rm", tag, "cat", file]).ok(), content);
    }
    drop(server);
}
