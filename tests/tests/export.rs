//! `docker export`: a container's whole root.

use gantry_tests::Daemon;
use std::collections::BTreeMap;

/// Members by name, with their content.
fn members(file: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(std::fs::File::open(file).unwrap());
    let mut out = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        out.insert(name, content);
    }
    out
}

#[test]
fn the_whole_root_comes_without_what_is_mounted_in_it_running_or_not() {
    let gantry = Daemon::start();
    let shared = gantry.place().path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("file"), "the host's").unwrap();
    let bind = format!("{}:/data", shared.display());
    let run = "echo mine > /root/mine; rm /etc/group; echo m > /memory/m; sleep 1000";
    gantry
        .docker(["run", "-d", "--name", "web", "-v", &bind, "--tmpfs", "/memory", "busybox", "sh", "-c", run])
        .ok();
    gantry_tests::eventually("it has written", || {
        (gantry.docker(["exec", "web", "ls", "/memory"]).stdout == "m\n").then_some(())
    });
    let file = gantry.place().path("root.tar");
    for stopped in [false, true] {
        if stopped {
            gantry.docker(["stop", "-t", "0", "web"]).ok();
        }
        gantry.docker(["export", "-o", file.to_str().unwrap(), "web"]).ok();
        let found = members(&file);
        assert_eq!(found["root/mine"], b"mine\n");
        for name in ["bin/", "bin/busybox", "data/", "memory/", "proc/", "etc/passwd"] {
            assert!(found.contains_key(name), "{name} is missing: {:?}", found.keys());
        }
        for name in ["etc/group", "data/file", "memory/m"] {
            assert!(!found.contains_key(name), "{name}");
        }
        assert!(!found.keys().any(|n| n.starts_with("proc/") && n.len() > 5), "{:?}", found.keys());
        assert_eq!(found["etc/hosts"], b"");
    }
    gantry.docker(["import", file.to_str().unwrap(), "again"]).ok();
    assert_eq!(gantry.docker(["run", "--rm", "again", "cat", "/root/mine"]).ok(), "mine");
    let said = gantry.docker(["export", "-o", file.to_str().unwrap(), "no"]);
    assert!(said.fails(1).contains("No such container: no"), "{said}");
}
