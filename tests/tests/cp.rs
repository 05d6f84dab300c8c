//! Files in and out of containers.

use gantry_tests::{Daemon, eventually};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

/// Standard output of a docker command that must succeed, as bytes.
#[track_caller]
fn bytes<S: AsRef<OsStr>>(gantry: &Daemon, args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let output = gantry.docker_command(args).stdin(Stdio::null()).output().expect("run docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Names of a tar stream's members with the first letter of `ls -l` for their kind.
fn members(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let members = archive.entries().expect("a tar stream").map(|entry| {
        let entry = entry.expect("a member");
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            tar::EntryType::Link => 'h',
            tar::EntryType::Fifo => 'p',
            tar::EntryType::Char => 'c',
            tar::EntryType::Regular => '-',
            _ => '?',
        };
        format!("{kind} {}", String::from_utf8_lossy(&entry.path_bytes()))
    });
    members.collect()
}

fn content(tar: &[u8]) -> String {
    let mut archive = tar::Archive::new(tar);
    let mut entry = archive.entries().expect("a tar stream").next().expect("a member").expect("a member");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut entry, &mut text).expect("read a member");
    text
}

fn sleeping(gantry: &Daemon, name: &str, more: &[&str]) {
    let args = [&["run", "-d", "--name", name][..], more, &["busybox", "sleep", "1000"]].concat();
    gantry.docker(args).ok();
}

/// A folder with everything that a folder can have.
fn sample(at: &Path) -> OsString {
    let strange = OsString::from(OsStr::from_bytes(b"caf\xe9 \n end"));
    std::fs::create_dir_all(at.join("empty/below")).unwrap();
    std::fs::write(at.join(&strange), "strange").unwrap();
    std::fs::write(at.join("tool"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(at.join("tool"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::os::unix::fs::chown(at.join("empty"), Some(70_000), Some(4_000_000_000)).unwrap();
    std::fs::hard_link(at.join("tool"), at.join("twin")).unwrap();
    symlink("/nowhere/at all", at.join("link")).unwrap();
    strange
}

#[test]
fn a_folder_goes_in_and_comes_out_the_same_whatever_the_container_does() {
    let gantry = Daemon::start();
    let from = gantry.place().path("from");
    let strange = sample(&from);
    sleeping(&gantry, "web", &[]);
    for state in ["running", "paused", "exited"] {
        match state {
            "paused" => drop(gantry.docker(["pause", "web"]).ok()),
            "exited" => {
                gantry.docker(["unpause", "web"]).ok();
                gantry.docker(["stop", "-t", "0", "web"]).ok();
            }
            _ => {}
        }
        assert_eq!(gantry.inspect("web", "{{.State.Status}}"), state);
        let inside = format!("web:/{state}");
        gantry.docker(["cp", from.to_str().unwrap(), &inside]).ok();
        let to = gantry.place().path(&format!("to-{state}"));
        gantry.docker(["cp", "-a", &inside, to.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(to.join(&strange)).unwrap(), b"strange", "{state}");
        let (tool, twin) = (to.join("tool").metadata().unwrap(), to.join("twin").metadata().unwrap());
        assert_eq!((tool.mode() & 0o7777, tool.nlink(), tool.ino()), (0o4751, 2, twin.ino()), "{state}");
        assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("/nowhere/at all"), "{state}");
        // Docker's CLI gives nothing away on the host: the stream itself knows the owners.
        let tar = bytes(&gantry, ["cp", &inside, "-"]);
        for owner in [&b"0210560"[..], b"18 gid=4000000000\n"] {
            assert!(tar.windows(owner.len()).any(|w| w == owner), "{state}");
        }
        let mtime = |folder: &Path| folder.join("tool").metadata().unwrap().mtime();
        assert_eq!(mtime(&to), mtime(&from), "{state}");
        assert!(to.join("empty/below").is_dir(), "{state}");
    }
    assert_eq!(members(&bytes(&gantry, ["cp", "web:/running/.", "-"]))[0], "d ./");
}

#[test]
fn what_is_missing_or_the_wrong_kind_is_told_in_dockers_words() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    let file = gantry.write("file", "x");
    let file = file.to_str().unwrap();
    for (args, text) in [
        (["web:/nope", "-"], "Error response from daemon: Could not find the file /nope in container web"),
        (["no:/x", "-"], "Error response from daemon: No such container: no"),
        ([file, "web:/nope/"], "no such directory"),
        (["/", "web:/etc/passwd"], "cannot copy directory"),
    ] {
        let said = gantry.docker(["cp", args[0], args[1]]);
        assert!(said.fails(1).ends_with(text), "{said}");
    }
    let gone = gantry.api("PUT", "/containers/web/archive?path=%2Fnope", None);
    assert_eq!(gone.error(404), "Could not find the file /nope in container web");
    let into = gantry.api("PUT", "/containers/web/archive?path=%2Fetc%2Fpasswd", None);
    assert_eq!(into.error(400), "extraction point is not a directory");
    assert_eq!(gantry.api("HEAD", "/containers/web/archive", None).status, 400);
}

#[test]
fn a_paths_stat_is_in_the_header_as_go_would_have_it() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    gantry
        .docker(["exec", "web", "sh", "-c", "mkdir -m 1777 /d; ln -s /d/../etc/passwd /d/l; ln -s x /broken"])
        .ok();
    let stat = |path: &str| {
        let answer = gantry.api("HEAD", &format!("/containers/web/archive?path={path}"), None);
        let header = answer.headers.get("x-docker-container-path-stat").expect("the header").clone();
        let mut base64 = std::process::Command::new("base64");
        base64.arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = base64.spawn().expect("run base64");
        child.stdin.take().unwrap().write_all(header.as_bytes()).unwrap();
        let json = child.wait_with_output().unwrap().stdout;
        serde_json::from_slice::<serde_json::Value>(&json).expect("JSON")
    };
    let folder = stat("/d/");
    assert_eq!(
        (folder["name"].as_str(), folder["mode"].as_u64()),
        (Some("d"), Some(0x8010_01ff)),
        "{folder}"
    );
    let link = stat("/d/l");
    assert_eq!(
        (link["mode"].as_u64(), link["linkTarget"].as_str()),
        (Some(0x0800_01ff), Some("/etc/passwd"))
    );
    assert_eq!(stat("/broken")["linkTarget"], "/x");
    assert_eq!(stat("/etc/group")["size"], 56);
}

#[test]
fn links_are_followed_only_when_asked() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    gantry.docker(["exec", "web", "sh", "-c", "ln -s /etc/group /l; mkdir /real; ln -s /real /way"]).ok();
    assert_eq!(members(&bytes(&gantry, ["cp", "web:/l", "-"])), ["l l"]);
    let followed = bytes(&gantry, ["cp", "-L", "web:/l", "-"]);
    assert_eq!(members(&followed), ["- group"]);
    assert!(content(&followed).starts_with("root:x:0:"));
    let file = gantry.write("file", "x");
    gantry.docker(["cp", file.to_str().unwrap(), "web:/way/"]).ok();
    assert_eq!(gantry.docker(["exec", "web", "cat", "/real/file"]).ok(), "x");
}

#[test]
fn a_tar_stream_goes_in_and_kinds_do_not_take_each_others_place() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &["-u", "app:extra"]);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o640);
    header.set_uid(5);
    header.set_gid(6);
    header.set_mtime(1);
    tar.append_data(&mut header, "sub/folder/file", &b"hi"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    gantry.docker_with_input(["cp", "-", "web:/tmp"], &tar).ok();
    let line = gantry.docker(["exec", "web", "stat", "-c", "%u %g %a %Y", "/tmp/sub/folder/file"]);
    assert_eq!(line.ok(), "5 6 640 1");
    gantry.docker_with_input(["cp", "-a", "-", "web:/tmp"], &tar).ok();
    let line = gantry.docker(["exec", "web", "stat", "-c", "%u %g %a", "/tmp/sub/folder/file"]);
    assert_eq!(line.ok(), "1000 2000 640");
    gantry
        .docker([
            "exec",
            "-u",
            "0",
            "web",
            "sh",
            "-c",
            "rm -r /tmp/sub/folder/file; mkdir -p /tmp/sub/folder/file/x",
        ])
        .ok();
    let said = gantry.docker_with_input(["cp", "-", "web:/tmp"], &tar);
    let text = "cannot overwrite directory \"sub/folder/file\" with non-directory \"/tmp\"";
    assert!(said.fails(1).contains(text), "{said}");
    let said =
        gantry.docker_with_input(["cp", "-", "web:/tmp"], b"this is no archive at all, whatever one may say");
    assert_ne!(said.code, 0, "{said}");
    // Without being told otherwise the API replaces.
    let put = gantry.api_with(
        "PUT",
        "/containers/web/archive?path=/tmp",
        "application/x-tar",
        std::str::from_utf8(&tar).unwrap(),
    );
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(gantry.docker(["exec", "-u", "0", "web", "cat", "/tmp/sub/folder/file"]).ok(), "hi");
}

#[test]
fn mounts_are_seen_as_the_container_sees_them_and_what_is_read_only_stays_so() {
    let gantry = Daemon::start();
    let shared = gantry.place().path("shared");
    std::fs::create_dir(&shared).unwrap();
    let file = gantry.write("file", "x");
    let file = file.to_str().unwrap();
    let (write, read) = (format!("{}:/data", shared.display()), format!("{}:/kept:ro", shared.display()));
    sleeping(&gantry, "web", &["--read-only", "--tmpfs", "/memory", "-v", &write, "-v", &read]);
    gantry.docker(["exec", "web", "sh", "-c", "echo m > /memory/m"]).ok();
    let tries = |memory: bool| {
        gantry.docker(["cp", file, "web:/data/"]).ok();
        assert_eq!(std::fs::read(shared.join("file")).unwrap(), b"x");
        assert_eq!(content(&bytes(&gantry, ["cp", "web:/kept/file", "-"])), "x");
        let said = gantry.docker(["cp", file, "web:/kept/"]);
        assert!(said.fails(1).ends_with("mounted volume is marked read-only"), "{said}");
        let said = gantry.docker(["cp", file, "web:/tmp/"]);
        assert!(said.fails(1).ends_with("container rootfs is marked read-only"), "{said}");
        std::fs::remove_file(shared.join("file")).unwrap();
        let said = gantry.docker(["cp", "web:/memory/m", "-"]);
        assert_eq!(said.code == 0, memory, "{said}");
    };
    tries(true);
    gantry.docker(["stop", "-t", "0", "web"]).ok();
    tries(false);
}

#[test]
fn a_container_that_swaps_links_gets_no_file_of_the_host_and_gives_none() {
    let gantry = Daemon::start();
    let secret = gantry.place().path("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("file"), "the host's").unwrap();
    // The same path exists inside, so that a link to it is no broken one.
    let swap = format!(
        "mkdir -p {0} /a /x/d; echo inside > {0}/file; echo inside > /x/d/file; cd /x; \
         while :; do mv d e; ln -s {0} d; rm d; ln -s ../../../../../../../..{0} d; rm d; mv e d; done",
        secret.display()
    );
    gantry.docker(["run", "-d", "--name", "web", "busybox", "sh", "-c", &swap]).ok();
    let own = gantry.write("own", "from outside");
    let own = own.to_str().unwrap();
    for _ in 0..40 {
        // Which of the two it finds, or neither, is the container's business.
        let _ = gantry.docker(["cp", own, "web:/x/d/own"]);
        let out = gantry.docker(["cp", "web:/x/d/file", "-"]);
        assert!(!out.stdout.contains("the host's"), "{out}");
        let out = gantry.docker(["cp", "-L", "web:/x/d", "-"]);
        assert!(!out.stdout.contains("the host's"), "{out}");
    }
    let names: Vec<_> = std::fs::read_dir(&secret).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(std::fs::read(secret.join("file")).unwrap(), b"the host's");
}

#[test]
fn pipes_devices_and_sockets_hold_nothing_up() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    gantry
        .docker(["exec", "web", "sh", "-c", "mkdir /d; mkfifo /d/pipe; mknod /d/zero c 1 5; echo x > /d/x"])
        .ok();
    assert_eq!(members(&bytes(&gantry, ["cp", "web:/d", "-"])), ["d d/", "p d/pipe", "- d/x", "c d/zero"]);
    assert_eq!(members(&bytes(&gantry, ["cp", "web:/d/pipe", "-"])), ["p pipe"]);
    // Writing over a pipe replaces it.
    let file = gantry.write("pipe", "not a pipe");
    gantry.docker(["cp", file.to_str().unwrap(), "web:/d/pipe"]).ok();
    assert_eq!(gantry.docker(["exec", "web", "cat", "/d/pipe"]).ok(), "not a pipe");
}

/// Peak of the daemon's memory, in bytes.
fn peak(gantry: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gantry.pid())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn large_and_sparse_files_and_thousands_of_small_ones_pass_without_being_held_in_memory() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    let make = "mkdir /d /d/many; dd if=/dev/urandom of=/d/large bs=1M count=200 2>/dev/null; truncate -s 300M /d/sparse; \
                for i in $(seq 3000); do echo $i > /d/many/$i; done; sha256sum < /d/large";
    let sum = gantry.docker(["exec", "web", "sh", "-c", make]).ok().to_owned();
    let before = peak(&gantry);
    let to = gantry.place().path("to");
    gantry.docker(["cp", "web:/d", to.to_str().unwrap()]).ok();
    let output = std::process::Command::new("sha256sum")
        .stdin(std::fs::File::open(to.join("large")).unwrap())
        .output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout).trim(), sum);
    assert_eq!(to.join("sparse").metadata().unwrap().len(), 300 << 20);
    assert_eq!(std::fs::read_dir(to.join("many")).unwrap().count(), 3000);
    gantry.docker(["cp", to.to_str().unwrap(), "web:/back"]).ok();
    assert_eq!(
        gantry.docker(["exec", "web", "sh", "-c", "sha256sum < /back/large; ls /back/many | wc -l"]).lines(),
        [sum.as_str(), "3000"]
    );
    let grown = peak(&gantry).saturating_sub(before);
    assert!(grown < 48 << 20, "the daemon grew by {grown} bytes");
}

/// Processes that the daemon has started to enter containers and that are still there.
fn inside(gantry: &Daemon) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned));
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if parent == Some(gantry.pid().to_string()) && line.contains("inside") {
            found.push(line);
        }
    }
    found
}

#[test]
fn a_client_that_leaves_takes_its_process_along_and_holds_no_container_up() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    gantry.docker(["exec", "web", "truncate", "-s", "100G", "/huge"]).ok();
    for stopped in [false, true] {
        if stopped {
            gantry.docker(["stop", "-t", "0", "web"]).ok();
        }
        let mut out = gantry.docker_command(["cp", "web:/huge", "-"]);
        let mut reader = out.stdout(Stdio::piped()).spawn().unwrap();
        let mut into = gantry.docker_command(["cp", "-", "web:/tmp"]);
        let mut writer = into.stdin(Stdio::piped()).spawn().unwrap();
        eventually("both are at work, or one waits for the other", || {
            (!inside(&gantry).is_empty()).then_some(())
        });
        reader.kill().unwrap();
        reader.wait().unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();
        eventually("their processes are gone", || inside(&gantry).is_empty().then_some(()));
    }
    gantry.docker(["start", "web"]).ok();
    assert_eq!(gantry.docker(["exec", "web", "ls", "/tmp"]).ok(), "");
}

#[test]
fn a_container_starts_only_after_what_is_copied_into_it_is_there() {
    let gantry = Daemon::start();
    gantry.docker(["create", "--name", "web", "busybox", "cat", "/greeting"]).ok();
    let file = gantry.write("greeting", "hello");
    gantry.docker(["cp", file.to_str().unwrap(), "web:/greeting"]).ok();
    assert_eq!(gantry.docker(["start", "-a", "web"]).ok(), "hello");
    assert_eq!(gantry.docker(["diff", "web"]).ok(), "A /greeting");
    gantry.docker(["rm", "web"]).ok();
}

#[test]
fn volumes_are_reached_whether_their_container_runs_or_not_and_not_left_mounted() {
    let gantry = Daemon::start();
    let file = gantry.write("file", "x");
    let file = file.to_str().unwrap();
    gantry
        .docker([
            "create",
            "--name",
            "web",
            "-v",
            "data:/data",
            "-v",
            "data:/kept:ro",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    gantry.docker(["cp", file, "web:/data/"]).ok();
    let said = gantry.docker(["cp", file, "web:/kept/"]);
    assert!(said.fails(1).ends_with("mounted volume is marked read-only"), "{said}");
    let place = gantry.inspect("data", "{{.Mountpoint}}");
    assert_eq!(std::fs::read(Path::new(&place).join("file")).unwrap(), b"x");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(gantry.data().to_str().unwrap()), "{mounts}");
    gantry.docker(["start", "web"]).ok();
    assert_eq!(gantry.docker(["exec", "web", "cat", "/kept/file"]).ok(), "x");
    assert_eq!(content(&bytes(&gantry, ["cp", "web:/kept/file", "-"])), "x");
    gantry.docker(["rm", "-f", "web"]).ok();
    gantry.docker(["volume", "rm", "data"]).ok();
}

#[test]
fn the_kernels_own_file_systems_can_be_copied_without_waiting_for_any_file() {
    let gantry = Daemon::start();
    sleeping(&gantry, "web", &[]);
    for folder in ["/proc/1", "/dev", "/sys/class"] {
        let from = format!("web:{folder}");
        assert!(members(&bytes(&gantry, ["cp", &from, "-"])).len() > 5, "{folder}");
    }
}
