//! Who may push to a registry that asks a token server.

use gantry_tests::{Builder, Daemon, Place, Registry, TokenServer, image};
use std::sync::Arc;

const HOST: &str = "127.0.0.1:5000";
const PRIVATE: &str = "127.0.0.1:5000/private:1";
const PUBLIC: &str = "127.0.0.1:5000/public:1";
const DENIED: &str = "denied: requested access to the resource is denied";

struct World {
    gantry: Daemon,
    _registry: Registry,
    tokens: TokenServer,
    _place: Arc<Place>,
}

/// A daemon with one image under two names.
fn world() -> World {
    let place = Place::new();
    let tokens = TokenServer::start(&place, 0);
    let registry = Registry::at(&place, HOST, "", &TokenServer::section(&place));
    let gantry = Builder::at(&place).without_image().start();
    gantry.docker(["import", image::import_tar().to_str().unwrap(), PRIVATE]).ok();
    gantry.docker(["tag", PRIVATE, PUBLIC]).ok();
    World { gantry, _registry: registry, tokens, _place: place }
}

fn login(daemon: &Daemon, user: &str) {
    daemon.docker_with_input(["login", "-u", user, "--password-stdin", HOST], b"secret").ok();
}

#[test]
fn who_may_only_pull_is_refused_in_dockers_words() {
    let world = world();
    let refused = |name: &str| {
        let said = world.gantry.docker(["push", name]);
        said.fails(1);
        assert!(said.to_string().contains(DENIED), "{said}");
        assert!(!said.to_string().contains("Retrying"), "{said}");
    };
    refused(PRIVATE);
    refused(PUBLIC);
    login(&world.gantry, "reader");
    refused(PRIVATE);
    let wanted = "private:pull,push";
    let asked = |r: &gantry_tests::WebRequest| {
        format!("{}{}", r.path, r.body).replace("%3A", ":").replace("%2C", ",").contains(wanted)
    };
    assert!(world.tokens.seen().iter().any(asked), "{:?}", world.tokens.seen());
}

#[test]
fn who_may_push_does_and_another_daemon_pulls_it() {
    let World { mut gantry, _registry, tokens: _tokens, _place } = world();
    login(&gantry, "writer");
    let said = gantry.docker(["push", PRIVATE]);
    assert!(said.ok().contains("1: digest: sha256:"), "{said}");
    let said = gantry.docker(["push", PUBLIC]);
    assert!(said.ok().contains(": Mounted from private"), "{said}");
    let (id, digests) =
        (gantry.inspect(PRIVATE, "{{.Id}}"), gantry.inspect(PRIVATE, "{{json .RepoDigests}}"));
    gantry.docker(["logout", HOST]).ok();

    gantry.become_another("other");
    let said = gantry.docker(["pull", PRIVATE]);
    assert!(said.fails(1).contains(DENIED), "{said}");
    gantry.docker(["pull", PUBLIC]).ok();
    assert_eq!(gantry.inspect(PUBLIC, "{{.Id}}"), id);
    login(&gantry, "reader");
    gantry.docker(["pull", PRIVATE]).ok();
    assert_eq!(gantry.inspect(PRIVATE, "{{json .RepoDigests}}"), digests);
    gantry.docker(["run", "--rm", PRIVATE, "/bin/true"]).ok();
}
