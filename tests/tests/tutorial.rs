//! What a tutorial of networks has its reader do, seen from inside, from the host and from another host.

use gantry_tests::{Builder, Daemon, OtherHost, Place, eventually};
use std::sync::Arc;

/// A site that makes its page of what its database says.
const SITE: &str = "mkdir -p /www/cgi-bin
printf '#!/bin/sh\\necho; echo \"page with $(wget -qO- http://db:3306/)\"\\n' > /www/cgi-bin/page
chmod +x /www/cgi-bin/page
exec httpd -f -p 80 -h /www";

const DATABASE: &str = "mkdir /www; echo data > /www/index.html; exec httpd -f -p 3306 -h /www";

fn with_other_host() -> (Arc<Place>, OtherHost, Daemon) {
    let place = Place::new();
    let other = OtherHost::new(&place);
    let gantry = Builder::at(&place).start();
    (place, other, gantry)
}

fn run(gantry: &Daemon, name: &str, options: &[&str], command: &str) {
    let args = ["run", "-d", "--name", name];
    gantry.docker(args.iter().chain(options).chain(&["busybox", "sh", "-c", command])).ok();
}

fn wget(url: &str) -> String {
    format!("timeout 5 busybox wget -qO- http://{url}")
}

fn address(gantry: &Daemon, container: &str, network: &str) -> String {
    gantry.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

/// Another container gets the address of one that has ended, which leaves its networks soon after.
#[track_caller]
fn steal(gantry: &Daemon, network: &str, wanted: &str) {
    eventually("its address is another's", || {
        run(gantry, "thief", &["--net", network], "exec sleep 1000");
        let taken = address(gantry, "thief", network) == wanted;
        if !taken {
            gantry.docker(["rm", "-f", "thief"]).ok();
        }
        taken.then_some(())
    });
}

#[test]
fn a_site_finds_its_database_by_alias_whoever_bears_it_and_wherever_it_is() {
    let (place, other, gantry) = with_other_host();
    gantry.docker(["network", "create", "--driver", "bridge", "mybridge"]).ok();
    run(&gantry, "mysqld", &["--net", "mybridge", "--net-alias", "db"], DATABASE);
    run(&gantry, "site", &["--net", "mybridge", "-p", "8888:80"], SITE);
    let page = || {
        let everywhere =
            ["127.0.0.1", "172.18.0.1", OtherHost::HOST].map(|host| format!("{host}:8888/cgi-bin/page"));
        let mut seen: Vec<String> = everywhere[..2].iter().map(|url| place.sh(&wget(url)).stdout).collect();
        seen.push(other.sh(&wget(&everywhere[2])).stdout);
        seen.iter().all(|s| s == "page with data\n").then_some(())
    };
    eventually("the page is seen from everywhere", page);
    // Its address changes.
    let before = address(&gantry, "mysqld", "mybridge");
    gantry.docker(["stop", "-t", "0", "mysqld"]).ok();
    steal(&gantry, "mybridge", &before);
    gantry.docker(["start", "mysqld"]).ok();
    assert_ne!(address(&gantry, "mysqld", "mybridge"), before);
    eventually("the page is seen again", page);
    // Another takes its place.
    run(&gantry, "mariadbd", &["--net", "mybridge", "--net-alias", "db"], DATABASE);
    gantry.docker(["rm", "-f", "mysqld"]).ok();
    eventually("the page is made of another's", page);
    gantry.docker(["network", "disconnect", "mybridge", "mariadbd"]).ok();
    let broken = place.sh("timeout 20 busybox wget -qO- http://127.0.0.1:8888/cgi-bin/page");
    assert_eq!(broken.stdout, "page with \n", "off the network it is nobody's database");
    gantry.docker(["network", "connect", "--alias", "db", "mybridge", "mariadbd"]).ok();
    eventually("it is back", page);
}

#[test]
fn a_link_on_an_own_network_follows_its_target() {
    let gantry = Daemon::start();
    gantry.docker(["network", "create", "own"]).ok();
    run(&gantry, "db", &["--net", "own"], DATABASE);
    run(&gantry, "web", &["--net", "own", "--link", "db:mysql"], "exec sleep 1000");
    let fetched = |name: &str| {
        let url = format!("http://{name}:3306/");
        let said = gantry.docker(["exec", "web", "timeout", "5", "wget", "-qO-", &url]);
        (said.stdout == "data\n").then_some(())
    };
    eventually("by its link", || fetched("mysql"));
    let before = address(&gantry, "db", "own");
    gantry.docker(["stop", "-t", "0", "db"]).ok();
    steal(&gantry, "own", &before);
    gantry.docker(["start", "db"]).ok();
    assert_ne!(address(&gantry, "db", "own"), before);
    eventually("by its link at its new address", || fetched("mysql"));
    assert_eq!(
        gantry.docker(["exec", "thief", "nslookup", "mysql"]).code,
        1,
        "the name is the linker's alone"
    );
}

#[test]
fn every_way_of_publishing_is_reached_from_another_host() {
    let (_place, other, gantry) = with_other_host();
    let serve = "mkdir /www; echo page > /www/index.html; for p in 80 81 82 83; do httpd -p $p -h /www; done; exec sleep 1000";
    let bound = format!("{}:7777:80", OtherHost::HOST);
    let any = format!("{}::81", OtherHost::HOST);
    let options = ["-p", "80", "-p", &bound, "-p", &any, "-p", "7801-7803:81-83"];
    run(&gantry, "web", &options, serve);
    let ports = gantry.docker(["port", "web"]);
    let ports: Vec<u16> = ports
        .lines()
        .iter()
        .filter(|l| !l.contains("[::]"))
        .map(|l| l.rsplit(':').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ports.len(), 6, "{ports:?}");
    assert!([7777, 7801, 7802, 7803].iter().all(|p| ports.contains(p)), "{ports:?}");
    for port in ports {
        eventually(&format!("port {port}"), || {
            (other.sh(&wget(&format!("{}:{port}/", OtherHost::HOST))).stdout == "page\n").then_some(())
        });
    }
}

#[test]
fn another_host_reaches_what_is_published_and_nothing_else() {
    let (place, other, gantry) = with_other_host();
    gantry.docker(["network", "create", "own"]).ok();
    gantry.docker(["network", "create", "--internal", "inner"]).ok();
    let serve = "mkdir /www; echo page > /www/index.html; httpd -p 81 -h /www; exec httpd -f -p 80 -h /www";
    run(&gantry, "web", &["--net", "own", "-p", "8080:80", "-p", "127.0.0.1:8081:81"], serve);
    run(&gantry, "hidden", &["--net", "inner"], serve);
    let reached = |url: &str| other.sh(&wget(url)).stdout == "page\n";
    eventually("what is published", || reached(&format!("{}:8080/", OtherHost::HOST)).then_some(()));
    eventually("its own host reaches it", || {
        (place.sh(&wget("127.0.0.1:8081/")).stdout == "page\n").then_some(())
    });
    assert!(!reached(&format!("{}:8081/", OtherHost::HOST)), "published for the host itself");
    // It knows the way to the containers' addresses, and to the host's own.
    other.sh(&format!("ip route add 172.16.0.0/12 via {0}; ip route add 127.0.0.0/8 via {0} table 9; ip rule add to 127.0.0.2/32 lookup 9", OtherHost::HOST)).ok();
    let (web, hidden) = (address(&gantry, "web", "own"), address(&gantry, "hidden", "inner"));
    for url in [format!("{web}:81/"), format!("{hidden}:80/")] {
        assert!(!reached(&url), "{url}");
    }
}
