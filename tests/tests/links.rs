//! Links on the default bridge.

use gantry_tests::Daemon;

fn database(gantry: &Daemon) {
    let options = ["--expose", "3306", "-e", "MYSQL_ROOT_PASSWORD=secret", "-h", "dbhost"];
    let mut args = vec!["run", "-d", "--name", "db"];
    args.extend(options);
    args.extend(["busybox", "sleep", "1000"]);
    gantry.docker(args).ok();
}

fn web(gantry: &Daemon, link: &str) {
    gantry.docker(["run", "-d", "--name", "web", "--link", link, "busybox", "sleep", "1000"]).ok();
}

fn hosts(gantry: &Daemon) -> String {
    gantry.docker(["exec", "web", "cat", "/etc/hosts"]).ok().to_owned()
}

#[test]
fn a_linked_container_is_known_by_alias_host_name_and_name_and_by_the_environment() {
    let gantry = Daemon::start();
    database(&gantry);
    web(&gantry, "db:mysql");
    let hosts = hosts(&gantry);
    assert!(hosts.contains("\n172.17.0.2\tmysql dbhost db\n"), "{hosts}");
    for name in ["mysql", "dbhost", "db"] {
        gantry.docker(["exec", "web", "ping", "-c", "1", "-W", "2", name]).ok();
    }
    let wanted = [
        "MYSQL_PORT=tcp://172.17.0.2:3306",
        "MYSQL_PORT_3306_TCP=tcp://172.17.0.2:3306",
        "MYSQL_PORT_3306_TCP_ADDR=172.17.0.2",
        "MYSQL_PORT_3306_TCP_PORT=3306",
        "MYSQL_PORT_3306_TCP_PROTO=tcp",
        "MYSQL_NAME=/web/mysql",
        "MYSQL_ENV_MYSQL_ROOT_PASSWORD=secret",
    ];
    let own = gantry.docker(["exec", "web", "cat", "/proc/1/environ"]).ok().replace('\0', "\n");
    let entered = gantry.docker(["exec", "web", "env"]).ok().to_owned();
    for environment in [own, entered] {
        for line in wanted {
            assert!(environment.lines().any(|l| l == line), "{line} in\n{environment}");
        }
    }
    assert_eq!(gantry.inspect("web", "{{json .HostConfig.Links}}"), r#"["/db:/web/mysql"]"#);
    assert_eq!(gantry.inspect("db", "{{json .HostConfig.Links}}"), "null");
    assert_eq!(gantry.inspect("web/mysql", "{{.Name}}"), "/db");
    let names = gantry.docker(["ps", "--no-trunc", "--filter", "name=db", "--format", "{{.Names}}"]);
    assert_eq!(names.ok(), "db,web/mysql");
}

#[test]
fn the_containers_own_variables_win_over_those_of_a_link() {
    let gantry = Daemon::start();
    database(&gantry);
    let said = gantry.docker([
        "run",
        "--rm",
        "--link",
        "db",
        "-e",
        "DB_PORT=mine",
        "busybox",
        "sh",
        "-c",
        "env | grep ^DB_PORT=",
    ]);
    assert_eq!(said.ok(), "DB_PORT=mine");
}

#[test]
fn a_link_follows_its_target_to_a_new_address() {
    let mut gantry = Daemon::start();
    database(&gantry);
    web(&gantry, "db:mysql");
    for crash in [false, true] {
        gantry.docker(["stop", "-t", "0", "db"]).ok();
        gantry.docker(["run", "-d", "--name", "thief", "busybox", "sleep", "1000"]).ok();
        if crash {
            gantry.crash();
        }
        gantry.docker(["start", "db"]).ok();
        let address = gantry.inspect("db", "{{.NetworkSettings.IPAddress}}");
        let now = hosts(&gantry);
        assert!(now.contains(&format!("\n{address}\tmysql dbhost db\n")), "{address} in\n{now}");
        gantry.docker(["exec", "web", "ping", "-c", "1", "-W", "2", "mysql"]).ok();
        gantry.docker(["rm", "-f", "thief"]).ok();
    }
}

#[test]
fn a_link_needs_a_target_that_runs() {
    let gantry = Daemon::start();
    let said = gantry.docker(["create", "--name", "web", "--link", "db:mysql", "busybox"]);
    assert!(said.stderr.contains("could not get container for db: No such container: db"), "{said}");
    database(&gantry);
    gantry.docker(["create", "--name", "web", "--link", "db:mysql", "busybox", "sleep", "1000"]).ok();
    gantry.docker(["kill", "db"]).ok();
    let said = gantry.docker(["start", "web"]);
    assert!(said.stderr.contains("Cannot link to a non running container: /db AS /web/mysql"), "{said}");
    assert_eq!(said.code, 1, "{said}");
    gantry.docker(["start", "db"]).ok();
    gantry.docker(["start", "web"]).ok();
    let said = gantry.docker(["run", "--rm", "--network", "host", "--link", "db", "busybox", "true"]);
    assert!(
        said.stderr.contains("conflicting options: host type networking can't be used with links"),
        "{said}"
    );
}

#[test]
fn links_go_with_their_target_or_by_themselves() {
    let gantry = Daemon::start();
    database(&gantry);
    web(&gantry, "db:mysql");
    let said = gantry.docker(["rm", "--link", "db"]);
    assert!(said.stderr.contains("Conflict, cannot remove the default link name of the container"), "{said}");
    gantry.docker(["rm", "--link", "web/mysql"]).ok();
    assert_eq!(gantry.inspect("web", "{{json .HostConfig.Links}}"), "null");
    assert!(!hosts(&gantry).contains("mysql"), "{}", hosts(&gantry));
    gantry.docker(["exec", "web", "ping", "-c", "1", "172.17.0.2"]).ok();
    gantry.docker(["rm", "-f", "web"]).ok();
    web(&gantry, "db:mysql");
    gantry.docker(["rm", "-f", "db"]).ok();
    gantry.docker(["restart", "-t", "0", "web"]).ok();
    assert_eq!(gantry.inspect("web", "{{json .HostConfig.Links}}"), "null");
    assert!(!hosts(&gantry).contains("mysql"), "{}", hosts(&gantry));
}
