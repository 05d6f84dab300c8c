//! Who may pull from a registry: passwords, tokens, identity tokens; and what is asked of registries besides images.

use gantry_tests::{Builder, Daemon, Place, Registry, TokenServer, Web, base64};
use std::sync::Arc;

const HOST: &str = "127.0.0.1:5000";

fn daemon(place: &Arc<Place>) -> Daemon {
    Builder::at(place).without_image().start()
}

fn login(daemon: &Daemon, user: &str, password: &str) -> gantry_tests::Output {
    daemon.docker_with_input(["login", "-u", user, "--password-stdin", HOST], password.as_bytes())
}

#[test]
fn a_registry_with_passwords_is_logged_in_to_pulled_from_and_logged_out_of() {
    let place = Place::new();
    let file = place.path("htpasswd");
    place.sh(&format!("htpasswd -Bbn user secret > {}", file.display())).ok();
    let section = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    let registry = Registry::at(&place, HOST, "", &section);
    registry.push("layered", "layered:1", &["--dest-creds=user:secret"]).ok();
    let gantry = daemon(&place);
    let said = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    assert!(said.fails(1).contains("no basic auth credentials"), "{said}");
    let said = login(&gantry, "user", "wrong");
    let text = "login attempt to http://127.0.0.1:5000/v2/ failed with status: 401 Unauthorized";
    assert!(said.fails(1).contains(text), "{said}");
    let said = login(&gantry, "user", "secret");
    assert!(said.ok().ends_with("Login Succeeded"), "{said}");
    gantry.docker(["pull", "127.0.0.1:5000/layered:1"]).ok();
    gantry.docker(["logout", HOST]).ok();
    let said = gantry.docker(["pull", "127.0.0.1:5000/layered:1"]);
    assert!(said.fails(1).contains("no basic auth credentials"), "{said}");
}

#[test]
fn a_login_at_the_terminal_asks_for_name_and_password_and_shows_only_the_name() {
    let place = Place::new();
    let file = place.path("htpasswd");
    place.sh(&format!("htpasswd -Bbn user secret > {}", file.display())).ok();
    let section = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    let registry = Registry::at(&place, HOST, "", &section);
    registry.push("layered", "layered:1", &["--dest-creds=user:secret"]).ok();
    let gantry = daemon(&place);
    // A wrong key is taken back before the line ends.
    for (password, said, code) in [
        ("secrex\u{7f}t\r", "Login Succeeded", 0),
        ("wrong\r", "401 Unauthorized", 1),
        ("half\u{3}", "password is required", 1),
    ] {
        let mut terminal = gantry.gantry_pty(["login", HOST]);
        terminal.expect("Username: ");
        terminal.send("user\n");
        terminal.expect("Password: ");
        terminal.send(password);
        terminal.expect(said);
        let screen = terminal.screen();
        assert!(
            screen.contains("user") && !["secre", "wrong", "half"].iter().any(|p| screen.contains(p)),
            "{screen}"
        );
        assert_eq!(terminal.finish(), code, "{screen}");
        if code == 0 {
            gantry.docker(["pull", "-q", "127.0.0.1:5000/layered:1"]).ok();
            gantry.gantry(["logout", HOST]).ok();
        }
    }
    let said = gantry.gantry_with_input(["login", HOST], b"user\nsecret\n");
    assert!(said.fails(1).contains("Cannot perform an interactive login from a non TTY device"), "{said}");
}

#[test]
fn a_token_server_decides_who_pulls_what_and_gives_an_identity_to_keep() {
    let place = Place::new();
    let tokens = TokenServer::start(&place, 0);
    let registry = Registry::at(&place, HOST, "", &TokenServer::section(&place));
    for name in ["private", "public"] {
        registry.push("layered", &format!("{name}:1"), &["--dest-creds=writer:secret"]).ok();
    }
    let gantry = daemon(&place);
    gantry.docker(["pull", "127.0.0.1:5000/public:1"]).ok();
    let said = gantry.docker(["pull", "127.0.0.1:5000/private:1"]);
    let denied = "pull access denied for 127.0.0.1:5000/private, repository does not exist or may require 'docker \
                  login': denied: requested access to the resource is denied";
    assert!(said.fails(1).contains(denied), "{said}");
    let said = login(&gantry, "reader", "wrong");
    let text = "Get \"http://127.0.0.1:5000/v2/\": unauthorized: incorrect username or password";
    assert!(said.fails(1).contains(text), "{said}");
    let body = serde_json::json!({ "username": "reader", "password": "wrong", "serveraddress": HOST });
    assert_eq!(gantry.api("POST", "/auth", Some(&body)).error(401), text);
    login(&gantry, "reader", "secret").ok();
    let kept = std::fs::read_to_string(place.path("docker/config.json")).unwrap();
    assert!(kept.contains("identity-of-reader"), "{kept}");
    gantry.docker(["pull", "127.0.0.1:5000/private:1"]).ok();
    let posted = tokens.seen().into_iter().filter(|r| r.method == "POST").collect::<Vec<_>>();
    assert!(posted.iter().all(|r| r.body.contains("grant_type=refresh_token")), "{posted:?}");
    assert!(!posted.is_empty());
}

#[test]
fn a_token_that_has_ended_is_renewed() {
    let place = Place::new();
    let tokens = TokenServer::start(&place, 1);
    let registry = Registry::at(&place, HOST, "", &TokenServer::section(&place));
    // Takes the one that has ended: skopeo asks again as well.
    registry.push("layered", "public:1", &["--dest-creds=writer:secret"]);
    drop(registry);
    drop(tokens);
    let tokens = TokenServer::start(&place, 1);
    let registry = Registry::at(&place, HOST, "", &TokenServer::section(&place));
    registry.push("layered", "public:1", &["--dest-creds=writer:secret"]);
    registry.push("layered", "public:1", &["--dest-creds=writer:secret"]).ok();
    drop(registry);
    drop(tokens);
    let tokens = TokenServer::start(&place, 1);
    let _registry = Registry::at(&place, HOST, "", &TokenServer::section(&place));
    let gantry = daemon(&place);
    gantry.docker(["pull", "127.0.0.1:5000/public:1"]).ok();
    assert_eq!(tokens.seen().len(), 2, "{:?}", tokens.seen());
}

#[test]
fn all_tags_of_a_repository_are_pulled() {
    let place = Place::new();
    let registry = Registry::empty(&place);
    registry.push("layered", "many:1", &[]).ok();
    registry.push("busybox", "many:2", &[]).ok();
    let gantry = daemon(&place);
    let said = gantry.docker(["pull", "-a", "127.0.0.1:5000/many"]);
    let lines = said.lines();
    for line in ["1: Pulling from many", "2: Pulling from many"] {
        assert!(lines.contains(&line), "{said}");
    }
    let told = lines.iter().filter(|l| l.starts_with("Status: ")).collect::<Vec<_>>();
    assert_eq!(told, [&"Status: Downloaded newer image for 127.0.0.1:5000/many"]);
    assert_eq!(gantry.docker(["images", "-q", "127.0.0.1:5000/many"]).lines().len(), 2);
    let said = gantry.docker(["pull", "-a", "127.0.0.1:5000/many"]);
    assert!(said.ok().contains("Status: Image is up to date for 127.0.0.1:5000/many"), "{said}");
    let said = gantry.docker(["pull", "-a", "127.0.0.1:5000/none"]);
    assert!(said.fails(1).contains("repository 127.0.0.1:5000/none not found: name unknown"), "{said}");
}

#[test]
fn an_image_for_another_platform_alone_comes_with_a_warning() {
    let place = Place::new();
    let _registry = Registry::start(&place);
    let gantry = daemon(&place);
    let said = gantry.docker(["pull", "--platform", "linux/s390x", "127.0.0.1:5000/layered:1"]);
    let text = "WARNING: image with reference 127.0.0.1:5000/layered:1 was found but does not match the specified \
                platform: wanted linux/s390x, actual: linux/amd64";
    assert!(said.ok().contains(text), "{said}");
}

#[test]
fn images_are_searched_for_by_name_and_chosen_by_their_stars() {
    let place = Place::new();
    let web = Web::start(&place, "127.0.0.1:5006", |request| {
        if request.path.starts_with("/v1/_ping") {
            return (200, vec!["X-Docker-Registry-Standalone: true".into()], "true".into());
        }
        if !request.path.starts_with("/v1/search?") || request.path.contains("broken") {
            return (500, vec![], String::new());
        }
        let image = |name: &str, stars: u32, official: bool| {
            serde_json::json!({
                "name": name, "star_count": stars, "is_official": official, "is_automated": true, "description": "d",
            })
        };
        let found = [image("first", 10, true), image("second", 3, false)];
        (200, vec![], serde_json::json!({ "num_results": 2, "results": found }).to_string())
    });
    let gantry = daemon(&place);
    let names = |args: &[&str]| {
        let mut all = vec!["search", "--format", "{{.Name}} {{.StarCount}}{{.IsOfficial}}"];
        all.extend(args);
        gantry.docker(all).ok().to_owned()
    };
    assert_eq!(names(&["127.0.0.1:5006/my term"]), "first 10[OK]\nsecond 3");
    assert_eq!(names(&["-f", "stars=5", "127.0.0.1:5006/x"]), "first 10[OK]");
    assert_eq!(names(&["-f", "is-official=false", "--limit", "7", "127.0.0.1:5006/x"]), "second 3");
    let asked: Vec<_> = web.seen().into_iter().map(|r| r.path).filter(|p| p.contains("search")).collect();
    assert_eq!(asked[0], "/v1/search?q=my+term&n=25");
    assert_eq!(asked[2], "/v1/search?q=x&n=7");
    let said = gantry.docker(["search", "127.0.0.1:5006/broken"]);
    assert!(said.fails(1).contains("Unexpected status code 500"), "{said}");
    let said = gantry.docker(["search", "--limit", "101", "127.0.0.1:5006/x"]);
    assert!(said.fails(1).contains("limit 101 is outside the range of [1, 100]"), "{said}");
    let said = gantry.docker(["search", "https://127.0.0.1/x"]);
    assert!(said.fails(1).contains("should not have a scheme"), "{said}");
}

#[test]
fn a_registry_that_sends_elsewhere_does_not_send_credentials_there() {
    let place = Place::new();
    let storage = Web::start(&place, "127.0.0.1:5007", |_| (404, vec![], String::new()));
    let digest = format!("sha256:{}", "a".repeat(64));
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 10 },
    });
    let registry = Web::start(&place, "127.0.0.1:5008", move |request| {
        let shown = format!("Basic {}", base64(b"user:secret", false));
        if request.headers.get("authorization") != Some(&shown) {
            return (401, vec!["WWW-Authenticate: Basic realm=\"x\"".into()], String::new());
        }
        if request.path.contains("/manifests/") {
            let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json".to_owned();
            return (200, vec![kind], manifest.to_string());
        }
        if request.path.contains("/blobs/") {
            return (307, vec!["Location: http://127.0.0.1:5007/blob".into()], String::new());
        }
        (200, vec![], String::new())
    });
    let gantry = daemon(&place);
    let login = ["login", "-u", "user", "--password-stdin", "127.0.0.1:5008"];
    gantry.docker_with_input(login, b"secret").ok();
    gantry.docker(["pull", "127.0.0.1:5008/a:1"]).fails(1);
    assert!(registry.seen().iter().any(|r| r.path.contains("/blobs/")));
    let seen = storage.seen();
    assert!(!seen.is_empty() && seen.iter().all(|r| !r.headers.contains_key("authorization")), "{seen:?}");
}

#[test]
fn a_mirror_gives_docker_hubs_images_and_one_that_fails_is_passed_over() {
    let place = Place::new();
    let registry = Registry::empty(&place);
    registry.push("layered", "library/layered:1", &[]).ok();
    let broken = Web::start(&place, "127.0.0.1:5009", |_| (500, vec![], String::new()));
    let gantry = Builder::at(&place)
        .without_image()
        .args([
            "--registry-mirror=http://127.0.0.1:1",
            "--registry-mirror=http://127.0.0.1:5009/some/path/",
            "--registry-mirror=http://127.0.0.1:5000",
        ])
        .start();
    let said = gantry.docker(["pull", "layered:1"]);
    assert_eq!(said.lines()[0], "1: Pulling from library/layered", "{said}");
    assert!(said.ok().contains("Status: Downloaded newer image for layered:1"), "{said}");
    assert!(broken.seen().iter().any(|r| r.path == "/some/path/v2/library/layered/manifests/1"));
    assert!(broken.seen().iter().all(|r| !r.headers.contains_key("authorization")));
    // What no mirror has is asked of Docker Hub, which this host cannot reach.
    let said = gantry.docker(["pull", "layered:2"]);
    assert!(said.fails(1).contains("Get \"https://registry-1.docker.io/v2/\": dial tcp"), "{said}");
}
