//! Registries' certificates, and what is laid down for them in `certs.d`.

use gantry_tests::{Builder, Daemon, Place, Registry, image};
use std::path::PathBuf;
use std::sync::Arc;

/// An address that is not loopback: there certificates count.
const HOST: &str = "10.99.0.1:5443";

/// A registry with a certificate of an authority of its own and with these sections, and a daemon for which the place's
/// folder `certs` is `/etc/docker/certs.d`.
fn with_tls_at(place: &Arc<Place>, clients: bool, sections: &str) -> (Registry, Daemon) {
    place.run("ip", ["addr", "add", "10.99.0.1/32", "dev", "lo"]).ok();
    let script = "cd \"$0\" && set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem
        signed() {
            openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $1-key.pem -out $1.csr
            printf '%s\\n' \"$2\" > $1.ext
            openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile $1.ext -out $1.pem
        }
        signed server subjectAltName=IP:10.99.0.1
        signed client extendedKeyUsage=clientAuth
        mkdir -p certs etc/docker/certs.d etc-work";
    place.run("sh", ["-c", script, place.root().to_str().unwrap()]).ok();
    let file = |name: &str| place.path(name).display().to_string();
    let clients = if clients { format!(", clientcas: ['{}']", file("ca.pem")) } else { String::new() };
    let tls = format!(
        ", tls: {{certificate: '{}', key: '{}'{clients}}}",
        file("server.pem"),
        file("server-key.pem")
    );
    let registry = Registry::at(place, HOST, &tls, sections);
    let script = format!(
        "mount -t overlay -o lowerdir=/etc,upperdir={root}/etc,workdir={root}/etc-work overlay /etc && \
         mount --bind {root}/certs /etc/docker/certs.d && exec \"$@\"",
        root = place.root().display()
    );
    let gantry =
        Builder::at(place).through(&["unshare", "-m", "sh", "-c", &script, "sh"]).without_image().start();
    (registry, gantry)
}

/// The same in a place of its own, for everybody.
fn with_tls(clients: bool) -> (Arc<Place>, Registry, Daemon) {
    let place = Place::new();
    let (registry, gantry) = with_tls_at(&place, clients, "");
    (place, registry, gantry)
}

fn lay(place: &Place, from: &str, to: &str) {
    let folder: PathBuf = place.path("certs").join(HOST);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(place.path(from), folder.join(to)).unwrap();
}

const IMAGE: &str = "10.99.0.1:5443/layered:1";
const MADE: &str = "10.99.0.1:5443/team/made:1";

#[test]
fn an_authority_laid_down_for_a_registry_is_taken_without_a_restart() {
    let (place, registry, gantry) = with_tls(false);
    registry.push("layered", "layered:1", &[]).ok();
    let said = gantry.docker(["pull", IMAGE]);
    let text = "Get \"https://10.99.0.1:5443/v2/\": tls: failed to verify certificate: x509: certificate signed by \
                unknown authority";
    assert!(said.fails(1).contains(text), "{said}");
    lay(&place, "ca.pem", "ca.crt");
    gantry.docker(["pull", IMAGE]).ok();
    lay(&place, "client.pem", "client.cert");
    let said = gantry.docker(["pull", IMAGE]);
    let text = "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt";
    assert!(said.fails(1).contains(text), "{said}");
}

#[test]
fn a_certificate_that_vouches_for_itself_is_taken_where_it_is_laid_down() {
    let (place, registry, gantry) = with_tls(false);
    drop(registry);
    let script = "cd \"$0\" && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own \
                  -addext subjectAltName=IP:10.99.0.1 -keyout own-key.pem -out own.pem";
    place.run("sh", ["-c", script, place.root().to_str().unwrap()]).ok();
    let file = |name: &str| place.path(name).display().to_string();
    let tls = format!(", tls: {{certificate: '{}', key: '{}'}}", file("own.pem"), file("own-key.pem"));
    let registry = Registry::at(&place, HOST, &tls, "");
    registry.push("layered", "layered:1", &[]).ok();
    let said = gantry.docker(["pull", IMAGE]);
    let text = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    assert!(said.fails(1).contains(text), "{said}");
    lay(&place, "own.pem", "ca.crt");
    gantry.docker(["pull", IMAGE]).ok();
}

#[test]
fn a_registry_that_wants_to_know_its_clients_sees_their_certificate() {
    let (place, _registry, gantry) = with_tls(true);
    lay(&place, "ca.pem", "ca.crt");
    let said = gantry.docker(["pull", IMAGE]);
    assert!(said.fails(1).contains("remote error: tls: bad certificate"), "{said}");
    lay(&place, "client.pem", "client.cert");
    lay(&place, "client-key.pem", "client.key");
    let said = gantry.docker(["pull", IMAGE]);
    assert!(
        said.fails(1).contains("manifest for 10.99.0.1:5443/layered:1 not found: manifest unknown"),
        "{said}"
    );
}

#[test]
fn an_image_goes_by_a_registry_with_tls_and_passwords_to_another_daemon() {
    let place = Place::new();
    let file = place.path("htpasswd");
    place.sh(&format!("htpasswd -Bbn user secret > {}", file.display())).ok();
    let section = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    let (_registry, mut gantry) = with_tls_at(&place, false, &section);
    lay(&place, "ca.pem", "ca.crt");
    gantry.docker(["import", image::import_tar().to_str().unwrap(), "base"]).ok();
    gantry.docker(["run", "--name", "made", "base", "/bin/sh", "-c", "echo here > /told"]).ok();
    gantry.docker(["commit", "-c", "CMD [\"cat\", \"/told\"]", "made", MADE]).ok();
    gantry.docker(["rm", "made"]).ok();
    let said = gantry.docker(["push", MADE]);
    assert!(said.fails(1).contains("no basic auth credentials"), "{said}");
    let login = ["login", "-u", "user", "--password-stdin", HOST];
    assert!(gantry.docker_with_input(login, b"wrong").fails(1).contains("401 Unauthorized"));
    gantry.docker_with_input(login, b"secret").ok();
    let said = gantry.docker(["push", MADE]);
    assert_eq!(said.ok().lines().filter(|l| l.ends_with(": Pushed")).count(), 2, "{said}");
    let (id, digests) = (gantry.inspect(MADE, "{{.Id}}"), gantry.inspect(MADE, "{{json .RepoDigests}}"));

    gantry.become_another("other");
    assert_eq!(gantry.docker(["images", "-q"]).ok(), "");
    gantry.docker(["pull", MADE]).ok();
    assert_eq!(gantry.inspect(MADE, "{{.Id}}"), id);
    assert_eq!(gantry.inspect(MADE, "{{json .RepoDigests}}"), digests);
    assert_eq!(gantry.docker(["run", "--rm", MADE]).ok(), "here");
    gantry.docker(["logout", HOST]).ok();
    let said = gantry.docker(["push", MADE]);
    assert!(said.fails(1).contains("no basic auth credentials"), "{said}");
}
