//! gantry's commands against a daemon, beside docker's where both can be asked the same.

use gantry_tests::Daemon;

/// How often both are asked: ages are told in seconds, and one may turn between the two.
const TRIES: usize = 5;

/// How docker and gantry print and end differently, if they do.
fn difference(daemon: &Daemon, words: &[String]) -> Option<String> {
    let (docker, gantry) = (daemon.docker(words), daemon.gantry(words));
    let errors = docker.stderr.replace("docker", "gantry").replace("\nSee '", "\nRun '");
    let same = docker.stdout == gantry.stdout && docker.code == gantry.code;
    (!same || errors.trim() != gantry.stderr.trim()).then(|| format!("{docker}\n{gantry}"))
}

/// For no line do docker and gantry print and end differently whenever they are asked.
#[track_caller]
fn same(daemon: &Daemon, lines: &[&str]) {
    let mut differences = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
        let words: Vec<String> = words.iter().map(|word| word.replace('~', " ")).collect();
        let found: Vec<String> = (0..TRIES).map_while(|_| difference(daemon, &words)).collect();
        if found.len() == TRIES {
            differences.extend(found.into_iter().next());
        }
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n\n"));
}

#[test]
fn listings_and_templates_print_as_dockers() {
    let gantry = Daemon::start();
    let run = ["run", "-d", "--name", "told", "-l", "com.example.team-name=blue", "busybox"];
    gantry.gantry(run.iter().chain(&["sleep", "1000"])).ok();
    gantry.gantry(["create", "--name", "idle", "busybox"]).ok();
    same(
        &gantry,
        &[
            "ps -a --format '{{.Names}}:{{.Label~\"com.example.team-name\"}}'",
            "ps -a --format 'table~{{.Names}}\\t{{.Label~\"com.example.team-name\"}}\\t{{.Mounts}}'",
            "ps -aq",
            "ps -a -q --no-trunc -f label=com.example.team-name",
            "ps -n 1 --format '{{.Names}}'",
            "ps -l -q",
            "ps -a --format '{{.Names~|~upper}}~{{title~.State}}~{{truncate~.Image~4}}~{{pad~.Names~1~2}}|'",
            "ps -a --format '{{json~.Names}}~{{printf~\"%-8s|%5s\"~.Names~.State}}'",
            "ps -a --format '{{if~eq~.State~\"running\"}}up{{else}}down{{end}}'",
            "ps -a --format '{{range~split~.Names~\"l\"}}[{{.}}]{{end}}'",
            "ps -a --format '{{.LocalVolumes}}~{{.Networks}}~{{.Command}}'",
            "ps -f nosuch=x",
            "images",
            "image ls -q --no-trunc",
            "image ls --digests --format '{{.Repository}}~{{.Digest}}~{{.Containers}}'",
            "history busybox",
            "history --no-trunc --format '{{.ID}}~{{.CreatedBy}}~{{.Size}}' busybox",
            "history -q --human=false busybox",
            "image inspect busybox",
            "inspect told",
            "inspect --type image nosuch",
            "inspect nosuch",
            "inspect -f '{{index~.Config.Labels~\"com.example.team-name\"}}~{{len~.Mounts}}' told",
            "container inspect nosuch told",
            "version --format '{{.Server.Version}}'",
            "info --format '{{.Driver}}~{{.Containers}}'",
            "diff told",
            "port told",
            "system df",
            "system df --format '{{.Type}}={{.TotalCount}}'",
        ],
    );
    gantry.gantry(["rm", "-f", "told", "idle"]).ok();
}

#[test]
fn volumes_print_as_dockers() {
    let gantry = Daemon::start();
    gantry.gantry(["volume", "create", "--label", "team=red", "data"]).ok();
    same(
        &gantry,
        &[
            "volume ls",
            "volume ls -q",
            "volume ls --format '{{.Name}}~{{.Driver}}~{{.Scope}}~{{.Mountpoint}}~{{.Labels}}~{{.Label~\"team\"}}~{{.Size}}~{{.Links}}'",
            "volume ls --format json",
            "volume inspect data",
            "volume inspect nosuch data",
            "volume inspect -f '{{.Name}}' data",
            "inspect --type volume data",
        ],
    );
    assert_eq!(gantry.gantry(["volume", "rm", "data"]).ok(), "data");
}

#[test]
fn networks_print_as_dockers() {
    let gantry = Daemon::start();
    gantry.gantry(["network", "create", "--label", "team=red", "--subnet", "10.77.0.0/16", "web"]).ok();
    same(
        &gantry,
        &[
            "network ls",
            "network ls -q --no-trunc",
            "network ls --format '{{.Name}}~{{.ID}}~{{.Driver}}~{{.Scope}}~{{.IPv4}}~{{.IPv6}}~{{.Internal}}~{{.Labels}}'",
            "network ls --format json",
            "network inspect web bridge",
            "network inspect -f '{{range~.IPAM.Config}}{{.Subnet}}{{end}}' web",
            "network inspect nosuch",
        ],
    );
    assert_eq!(gantry.gantry(["network", "rm", "web"]).ok(), "web");
}

#[test]
fn failures_read_as_dockers() {
    let gantry = Daemon::start();
    gantry.gantry(["run", "-d", "--name", "on", "busybox", "sleep", "1000"]).ok();
    gantry.gantry(["create", "--name", "idle", "busybox"]).ok();
    same(
        &gantry,
        &[
            "stop nosuch",
            "start nosuch",
            "restart nosuch",
            "kill nosuch idle",
            "rm nosuch on",
            "rm -f nosuch",
            "pause idle nosuch",
            "unpause on",
            "wait nosuch",
            "top idle",
            "logs nosuch",
            "port nosuch",
            "port on 80",
            "rename nosuch x",
            "rename idle on",
            "exec nosuch true",
            "exec idle true",
            "attach idle",
            "attach nosuch",
            "diff nosuch",
            "commit nosuch",
            "export nosuch",
            "cp nosuch:/etc /tmp",
            "cp on:/nosuch /tmp",
            "cp /a /b",
            "cp a:/a b:/b",
            "create --name on busybox",
            "create --pull never nosuch",
            "run --name on busybox",
            "run --rm busybox nosuch",
            "run --rm busybox /etc",
            "run --rm busybox sh -c exit~3",
            "run --rm -it busybox sh",
            "run -d -a stdout busybox",
            "rmi nosuch",
            "tag nosuch x",
            "history nosuch",
            "image inspect nosuch",
            "inspect --type nosuch on",
            "events --since nonsense",
            "logs --since nonsense on",
        ],
    );
}
