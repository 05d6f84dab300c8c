//! A site and its database, two real programs of Debian's, as the tutorials of Docker have them run.

use gantry_tests::{Builder, Daemon, two_tier};
use std::time::{Duration, Instant};

const SITE: &str = "http://127.0.0.1:8080/";

fn database(gantry: &Daemon) {
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "db",
            "-e",
            "MYSQL_DATABASE=blog",
            "-e",
            "MYSQL_USER=writer",
            "-e",
            "MYSQL_PASSWORD=it's a secret",
            "-v",
            "dbdata:/var/lib/mysql",
            "database",
        ])
        .ok();
}

fn site(gantry: &Daemon) {
    let file = gantry.write("site.env", "DB_USER=writer\nDB_PASSWORD=it's a secret\nDB_NAME=blog\n");
    let file = file.to_str().unwrap();
    gantry
        .docker([
            "run",
            "-d",
            "--name",
            "site",
            "--link",
            "db:mysql",
            "--env-file",
            file,
            "-e",
            "SITE_NAME=Notes",
            "-p",
            "8080:80",
            "site",
        ])
        .ok();
}

fn fetched(gantry: &Daemon, post: Option<&str>) -> Option<String> {
    let mut args = vec!["wget", "-qO-"];
    args.extend(post.into_iter().flat_map(|post| ["--post-data", post]));
    let mut busybox = gantry.place().command("busybox");
    let said = busybox.args(args).arg(SITE).output().unwrap();
    said.status.success().then(|| String::from_utf8(said.stdout).unwrap())
}

/// How long a database may take until it answers: at first it makes its tables.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the site shows once it has its database.
fn shown(gantry: &Daemon) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(page) = fetched(gantry, None) {
            return page;
        }
        assert!(Instant::now() < deadline, "the site has no database");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_site_and_its_database_work_together_and_the_data_outlives_both() {
    let (database_tar, site_tar) = two_tier::tars();
    let mut gantry = Builder::new().without_image().start();
    let import = |tar: &std::path::Path, name: &str, changes: &[&str]| {
        let changes = changes.iter().flat_map(|c| ["-c", c]);
        let args = ["import"].into_iter().chain(changes).chain([tar.to_str().unwrap(), name]);
        gantry.docker(args).ok();
    };
    import(&database_tar, "database", &["ENTRYPOINT [\"/entry\"]", "VOLUME /var/lib/mysql", "EXPOSE 3306"]);
    import(&site_tar, "site", &["CMD [\"apache2\", \"-D\", \"FOREGROUND\"]", "EXPOSE 80"]);
    database(&gantry);
    site(&gantry);
    assert_eq!(shown(&gantry), "<h1>Notes</h1>\n");
    for title in ["first", "second"] {
        assert!(fetched(&gantry, Some(&format!("title={title}"))).is_some());
    }
    let two = "<h1>Notes</h1>\n<p>first</p>\n<p>second</p>\n";
    assert_eq!(shown(&gantry), two);

    let shell = b"echo \"$MYSQL_DATABASE of $(hostname)\"; mariadb blog -Ne 'SELECT COUNT(*) FROM posts'\n";
    let said = gantry.docker_with_input(["exec", "-i", "db", "bash"], shell);
    let id = gantry.inspect("db", "{{.Id}}");
    assert_eq!(said.ok(), format!("blog of {}\n2", &id[..12]));

    gantry.crash();
    assert_eq!(shown(&gantry), two, "neither notices that the daemon was killed");

    gantry.docker(["rm", "-f", "-v", "site", "db"]).ok();
    assert_eq!(gantry.docker(["volume", "ls", "-q"]).ok(), "dbdata");
    database(&gantry);
    site(&gantry);
    assert_eq!(shown(&gantry), two, "the volume kept it");
    gantry.docker(["stop", "-t", "35", "db"]).ok();
    assert_eq!(
        gantry.inspect("db", "{{.State.ExitCode}}"),
        "0",
        "it closes its files when it is asked to end"
    );
}
