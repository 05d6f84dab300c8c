//! Images: pulled, loaded, imported, named, removed.

use gantry_tests::{Builder, Daemon, Output, Place, Registry, image};

type Run = fn(&Daemon, Vec<&'static str>) -> Output;
const BOTH: [Run; 2] = [Daemon::docker, Daemon::gantry];

fn with_registry() -> (Registry, Daemon) {
    let place = Place::new();
    let registry = Registry::start(&place);
    let gantry = Builder::at(&place).without_image().start();
    (registry, gantry)
}

fn archive(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn pull_shows_its_steps_and_the_digest() {
    let (_registry, gantry) = with_registry();
    let said = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    let lines = said.lines();
    assert_eq!(lines[0], "1: Pulling from layered");
    assert_eq!(lines.iter().filter(|l| l.ends_with(": Pulling fs layer")).count(), 2, "{said}");
    assert_eq!(lines.iter().filter(|l| l.ends_with(": Pull complete")).count(), 2, "{said}");
    let digest = lines.iter().find_map(|l| l.strip_prefix("Digest: ")).expect("a digest");
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert!(lines.contains(&"Status: Downloaded newer image for 127.0.0.1:5000/layered:1"), "{said}");
    assert_eq!(*lines.last().unwrap(), "127.0.0.1:5000/layered:1");
    let again = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    assert!(again.lines().contains(&"Status: Image is up to date for 127.0.0.1:5000/layered:1"), "{again}");
    assert_eq!(gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok(), "127.0.0.1:5000/layered:1");
    assert_eq!(
        gantry.inspect("127.0.0.1:5000/layered:1", "{{index .RepoDigests 0}}"),
        format!("127.0.0.1:5000/layered@{digest}")
    );
    assert_eq!(gantry.docker(["run", "--rm", "127.0.0.1:5000/layered:1"]).ok(), "entry command");
}

#[test]
fn pull_draws_bars_on_a_terminal() {
    let (_registry, gantry) = with_registry();
    let mut pty = gantry.docker_pty(["pull", "127.0.0.1:5000/busybox"]);
    pty.expect("latest: Pulling from busybox");
    pty.expect("Pull complete");
    pty.expect("Status: Downloaded newer image for 127.0.0.1:5000/busybox:latest");
    assert_eq!(pty.finish(), 0);
    gantry.docker(["rmi", "127.0.0.1:5000/busybox"]).ok();
    let mut pty = gantry.gantry_pty(["pull", "127.0.0.1:5000/busybox"]);
    pty.expect("Status: Downloaded newer image for 127.0.0.1:5000/busybox:latest");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn gantry_pulls_with_dockers_words() {
    let (_registry, gantry) = with_registry();
    let said = gantry.gantry(["pull", "127.0.0.1:5000/layered:1"]);
    let text = format!("{}{}", said.ok(), said.stderr);
    for part in [
        "Pulling from layered",
        "Digest: sha256:",
        "Status: Downloaded newer image for 127.0.0.1:5000/layered:1",
    ] {
        assert!(text.contains(part), "{part}: {said}");
    }
    assert_eq!(gantry.gantry(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok(), "127.0.0.1:5000/layered:1");
}

#[test]
fn a_digest_names_one_content_for_ever() {
    let (registry, gantry) = with_registry();
    gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok();
    let by_digest = gantry.inspect("127.0.0.1:5000/layered:1", "{{index .RepoDigests 0}}");
    let old = gantry.inspect("127.0.0.1:5000/layered:1", "{{.Id}}");
    registry.push("busybox", "layered:1", &[]).ok();
    let said = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    assert!(said.ok().contains("Status: Downloaded newer image for"), "{said}");
    assert_ne!(gantry.inspect("127.0.0.1:5000/layered:1", "{{.Id}}"), old);
    gantry.docker(["pull", &by_digest]).ok();
    assert_eq!(gantry.inspect(&by_digest, "{{.Id}}"), old);
}

#[test]
fn the_manifest_of_this_machine_is_taken_from_a_list() {
    let (registry, gantry) = with_registry();
    registry.push("multi", "multi:1", &["--all"]).ok();
    gantry.docker(["pull", "127.0.0.1:5000/multi:1"]).ok();
    assert_eq!(gantry.inspect("127.0.0.1:5000/multi:1", "{{.Architecture}}"), "amd64");
    assert_eq!(gantry.docker(["run", "--rm", "127.0.0.1:5000/multi:1", "cat", "/arch"]).ok(), "amd64");
    gantry.docker(["rmi", "127.0.0.1:5000/multi:1"]).ok();
    gantry.docker(["pull", "--platform", "linux/arm64", "127.0.0.1:5000/multi:1"]).ok();
    assert_eq!(gantry.inspect("127.0.0.1:5000/multi:1", "{{.Architecture}}"), "arm64");
}

#[test]
fn layers_may_be_compressed_with_zstd() {
    let (registry, gantry) = with_registry();
    registry.push("layered", "zstd:1", &["--dest-compress", "--dest-compress-format", "zstd"]).ok();
    gantry.docker(["pull", "127.0.0.1:5000/zstd:1"]).ok();
    assert_eq!(
        gantry.docker(["run", "--rm", "--entrypoint", "cat", "127.0.0.1:5000/zstd:1", "/hello"]).ok(),
        "hello from a layer"
    );
}

#[test]
fn run_pulls_what_is_missing() {
    let (_registry, gantry) = with_registry();
    for (run, image) in [
        (Daemon::docker as fn(&Daemon, [&'static str; 5]) -> Output, "127.0.0.1:5000/busybox"),
        (Daemon::gantry, "127.0.0.1:5000/layered:1"),
    ] {
        let said = run(&gantry, ["run", "--rm", image, "echo", "hi"]);
        assert!(said.ok().ends_with("hi"), "{said}");
        assert!(said.stderr.contains("Unable to find image '127.0.0.1:5000/"), "{said}");
        assert!(said.stderr.contains("' locally\n"), "{said}");
        assert!(said.stderr.contains("Status: Downloaded newer image for 127.0.0.1:5000/"), "{said}");
    }
}

#[test]
fn what_a_registry_does_not_have_is_said() {
    let (registry, gantry) = with_registry();
    for run in BOTH {
        let said = run(&gantry, vec!["pull", "127.0.0.1:5000/layered:nosuch"]);
        assert!(
            said.fails(1).contains("manifest for 127.0.0.1:5000/layered:nosuch not found: manifest unknown"),
            "{said}"
        );
        let said = run(&gantry, vec!["pull", "127.0.0.1:5000/nosuch"]);
        assert!(said.fails(1).contains("manifest for 127.0.0.1:5000/nosuch:latest not found"), "{said}");
    }
    drop(registry);
    let said = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    assert!(
        said.fails(1).contains("127.0.0.1:5000") && said.stderr.to_lowercase().contains("connection refused"),
        "{said}"
    );
    let said = gantry.docker(["pull", "UPPER"]);
    assert!(said.fails(1).contains("repository name (library/UPPER) must be lowercase"), "{said}");
}

#[test]
fn two_pulls_of_one_image_share_their_work() {
    let (_registry, gantry) = with_registry();
    let pulls: Vec<_> = (0..4).map(|_| gantry.docker_running(["pull", "127.0.0.1:5000/layered:1"])).collect();
    for pull in pulls {
        let said = pull.finish();
        assert!(said.ok().ends_with("127.0.0.1:5000/layered:1"), "{said}");
    }
    assert_eq!(gantry.docker(["images", "-q"]).lines().len(), 1);
}

#[test]
fn a_docker_archive_is_loaded_under_its_name() {
    let gantry = Builder::new().without_image().start();
    let path = image::docker_archive();
    assert_eq!(
        gantry.docker(["load", "-i", archive(&path)]).lines().last(),
        Some(&"Loaded image: gantry.test/layered:1")
    );
    assert_eq!(gantry.docker(["run", "--rm", "gantry.test/layered:1"]).ok(), "entry command");
    gantry.docker(["rmi", "gantry.test/layered:1"]).ok();
    let bytes = std::fs::read(&path).unwrap();
    assert!(gantry.docker_with_input(["load"], &bytes).ok().ends_with("Loaded image: gantry.test/layered:1"));
    gantry.docker(["rmi", "gantry.test/layered:1"]).ok();
    assert!(gantry.gantry_with_input(["load"], &bytes).ok().ends_with("Loaded image: gantry.test/layered:1"));
    gantry.docker(["rmi", "gantry.test/layered:1"]).ok();
    let said = gantry.gantry(["load", "-i", archive(&path)]);
    assert!(said.ok().ends_with("Loaded image: gantry.test/layered:1"), "{said}");
}

#[test]
fn an_oci_archive_is_loaded_under_its_name() {
    let gantry = Builder::new().without_image().start();
    let said = gantry.docker(["load", "-i", archive(&image::oci_archive())]);
    assert!(said.ok().ends_with("Loaded image: gantry.test/layered:oci"), "{said}");
    assert_eq!(
        gantry.docker(["run", "--rm", "--entrypoint", "cat", "gantry.test/layered:oci", "/hello"]).ok(),
        "hello from a layer"
    );
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_nothing() {
    let gantry = Builder::new().without_image().start();
    let said = gantry.docker_with_input(["load"], b"this is not a tar");
    assert_ne!(said.code, 0, "{said}");
    let truncated = std::fs::read(image::docker_archive()).unwrap();
    let said = gantry.docker_with_input(["load"], &truncated[..truncated.len() / 2]);
    assert_ne!(said.code, 0, "{said}");
    assert_eq!(gantry.docker(["images", "-aq"]).ok(), "");
}

#[test]
fn a_tar_is_imported_with_changes() {
    let gantry = Builder::new().without_image().start();
    let tar = image::import_tar();
    let id = gantry
        .docker([
            "import",
            "-c",
            "CMD [\"echo\", \"from cmd\"]",
            "-c",
            "ENV A=1 B=two",
            "-c",
            "WORKDIR /tmp",
            "-c",
            "USER app",
            "-c",
            "LABEL a=b",
            "-m",
            "said so",
            archive(&tar),
            "made:1",
        ])
        .ok()
        .to_owned();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(gantry.inspect("made:1", "{{.Id}} {{.Comment}}"), format!("{id} said so"));
    assert_eq!(gantry.docker(["run", "--rm", "made:1"]).ok(), "from cmd");
    assert_eq!(
        gantry.docker(["run", "--rm", "made:1", "sh", "-c", "echo $A $B; pwd; id -u"]).lines(),
        ["1 two", "/tmp", "1000"]
    );
    let bytes = std::fs::read(&tar).unwrap();
    let id = gantry.docker_with_input(["import", "-"], &bytes).ok().to_owned();
    assert_eq!(gantry.docker(["run", "--rm", &id[7..19], "echo", "by id"]).ok(), "by id");
    assert!(gantry.gantry(["import", archive(&tar), "ours"]).ok().starts_with("sha256:"));
    let said = gantry.docker(["import", "-c", "RUN nothing", archive(&tar), "bad"]);
    assert!(said.fails(1).contains("RUN is not a valid change command"), "{said}");
}

#[test]
fn images_are_listed() {
    let gantry = Daemon::start();
    gantry.docker(["tag", "busybox", "other/name:v2"]).ok();
    gantry.docker(["load", "-i", archive(&image::docker_archive())]).ok();
    let table = gantry.docker(["images"]);
    let rows: Vec<Vec<&str>> = table.lines().iter().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert_eq!(rows.len(), 4);
    let id = gantry.inspect("busybox", "{{.Id}}");
    assert!(rows[1..].iter().any(|r| r[..3] == ["busybox", "latest", &id[7..19]]), "{table}");
    assert!(rows[1..].iter().any(|r| r[..3] == ["other/name", "v2", &id[7..19]]), "{table}");
    assert_eq!(gantry.docker(["images", "-q", "--no-trunc", "busybox"]).ok(), id);
    assert_eq!(
        gantry.docker(["images", "-f", "reference=other/*", "--format", "{{.Repository}}:{{.Tag}}"]).ok(),
        "other/name:v2"
    );
    assert_eq!(
        gantry.docker(["images", "-f", "label=maker=gantry", "--format", "{{.Repository}}"]).ok(),
        "gantry.test/layered"
    );
    assert_eq!(gantry.docker(["images", "-f", "dangling=true", "-q"]).ok(), "");
    let ours = gantry.gantry(["images"]);
    assert_eq!(ours.lines()[0].split_whitespace().collect::<Vec<_>>(), rows[0]);
    assert_eq!(ours.lines().len(), 4);
    assert_eq!(gantry.gantry(["images", "-q", "--no-trunc", "busybox"]).ok(), id);
}

#[test]
fn an_image_is_described() {
    let gantry = Builder::new().without_image().start();
    gantry.docker(["load", "-i", archive(&image::docker_archive())]).ok();
    let shown = gantry.inspected("gantry.test/layered:1");
    for (path, wanted) in [
        ("/RepoTags", serde_json::json!(["gantry.test/layered:1"])),
        ("/Created", "2024-01-02T03:04:05Z".into()),
        ("/Architecture", "amd64".into()),
        ("/Os", "linux".into()),
        ("/Config/Env", serde_json::json!(["PATH=/bin", "GREETING=hello"])),
        ("/Config/Cmd", serde_json::json!(["command"])),
        ("/Config/Entrypoint", serde_json::json!(["echo", "entry"])),
        ("/Config/WorkingDir", "/home".into()),
        ("/Config/Labels", serde_json::json!({"maker": "gantry"})),
        ("/Config/ExposedPorts", serde_json::json!({"80/tcp": {}})),
        ("/RootFS/Type", "layers".into()),
    ] {
        assert_eq!(shown.pointer(path), Some(&wanted), "{path}");
    }
    assert_eq!(shown["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert!(shown["Size"].as_u64().unwrap() > 1_000_000);
    let id = shown["Id"].as_str().unwrap();
    for name in [id, &id[7..], &id[7..19]] {
        assert_eq!(gantry.inspect(name, "{{.Id}}"), id);
    }
    assert_eq!(gantry.docker(["image", "inspect", "-f", "{{.Os}}", id]).ok(), "linux");
    assert_eq!(gantry.api("GET", "/images/nosuch/json", None).error(404), "No such image: nosuch:latest");
}

#[test]
fn tags_come_and_go_and_the_last_one_takes_the_image_with_it() {
    let gantry = Daemon::start();
    let id = gantry.inspect("busybox", "{{.Id}}");
    gantry.docker(["tag", "busybox", "second:1"]).ok();
    gantry.gantry(["tag", &id, "third"]).ok();
    assert_eq!(gantry.docker(["rmi", "second:1"]).ok(), "Untagged: second:1");
    assert_eq!(gantry.gantry(["rmi", "third"]).ok(), "Untagged: third:latest");
    let said = gantry.docker(["rmi", "busybox"]);
    assert_eq!(said.lines()[..2], ["Untagged: busybox:latest", &format!("Deleted: {id}")]);
    assert_eq!(gantry.docker(["images", "-aq"]).ok(), "");
    for run in BOTH {
        let said = run(&gantry, vec!["rmi", "busybox"]);
        assert!(said.fails(1).contains("No such image: busybox:latest"), "{said}");
    }
    let said = gantry.docker(["tag", "busybox", "again"]);
    assert!(said.fails(1).contains("No such image: busybox:latest"), "{said}");
    let tar = image::import_tar();
    gantry.docker(["import", archive(&tar), "base"]).ok();
    gantry.docker(["tag", "base", "double"]).ok();
    let id = gantry.inspect("base", "{{.Id}}");
    let said = gantry.docker(["rmi", &id[7..19]]);
    let wanted = format!(
        "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
        &id[7..19]
    );
    assert!(said.fails(1).contains(&wanted), "{said}");
    gantry.docker(["rmi", "-f", &id[7..19]]).ok();
    assert_eq!(gantry.docker(["images", "-aq"]).ok(), "");
}

#[test]
fn an_image_in_use_stays() {
    let gantry = Daemon::start();
    let container =
        gantry.docker(["run", "-d", "--name", "user", "busybox", "sleep", "1000"]).ok().to_owned();
    let id = gantry.inspect("busybox", "{{.Id}}");
    let said = gantry.docker(["rmi", "busybox"]);
    let wanted = format!(
        "conflict: unable to remove repository reference \"busybox\" (must force) - container {} is using its referenced image {}",
        &container[..12],
        &id[7..19]
    );
    assert!(said.fails(1).contains(&wanted), "{said}");
    let said = gantry.docker(["rmi", &id[7..19]]);
    let wanted = format!(
        "conflict: unable to delete {} (cannot be forced) - image is being used by running container {}",
        &id[7..19],
        &container[..12]
    );
    assert!(said.fails(1).contains(&wanted), "{said}");
    gantry.docker(["rm", "-f", "user"]).ok();
    gantry.docker(["rmi", "busybox"]).ok();
    let said = gantry.docker(["run", "--pull", "never", "busybox"]);
    assert!(said.fails(125).contains("No such image: busybox:latest"), "{said}");
}

#[test]
fn images_survive_the_daemon() {
    let mut gantry = Daemon::start();
    gantry.docker(["load", "-i", archive(&image::docker_archive())]).ok();
    let before =
        gantry.docker(["images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"]).ok().to_owned();
    gantry.crash();
    assert_eq!(gantry.docker(["images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"]).ok(), before);
    assert_eq!(gantry.docker(["run", "--rm", "gantry.test/layered:1"]).ok(), "entry command");
}
