//! TCP sockets: who is let in, and who is not.

use gantry_tests::{Builder, Daemon, Place, eventually};
use std::path::PathBuf;
use std::sync::Arc;

/// An authority, and certificates of the daemon and of clients, made by openssl in the test's folder.
struct Certificates(Arc<Place>);

impl Certificates {
    fn new(place: &Arc<Place>) -> Self {
        let script = "cd \"$0\"
            authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$1 -keyout $1-key.pem -out $1.pem; }
            signed() {
                openssl req -newkey rsa:2048 -nodes -subj /CN=$2 -keyout $2-key.pem -out $2.csr
                printf '%s\\n' \"$3\" > $2.ext
                openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1-key.pem -CAcreateserial -days 2 -extfile $2.ext -out $2.pem
            }
            set -e
            authority ca; authority stranger
            signed ca server 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
            signed ca client extendedKeyUsage=clientAuth
            signed stranger other extendedKeyUsage=clientAuth";
        place.run("sh", ["-c", script, place.root().to_str().expect("a plain path")]).ok();
        Self(Arc::clone(place))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn flags(&self) -> Vec<String> {
        let flag = |flag: &str, file: &str| format!("--{flag}={}", self.file(file).display());
        vec![flag("tlscacert", "ca.pem"), flag("tlscert", "server.pem"), flag("tlskey", "server-key.pem")]
    }

    /// The docker CLI over TLS with a client's certificate, or none.
    fn docker(&self, host: &str, client: Option<&str>, verify: bool) -> gantry_tests::Output {
        let mut command = self.0.command("docker");
        command.env("DOCKER_CONFIG", self.0.path("docker")).env_remove("DOCKER_HOST");
        command
            .args(["-H", host, if verify { "--tlsverify" } else { "--tls" }, "--tlscacert"])
            .arg(self.file("ca.pem"));
        for (flag, suffix) in [("--tlscert", ".pem"), ("--tlskey", "-key.pem")] {
            let file = client.map_or_else(|| PathBuf::from(""), |c| self.file(&format!("{c}{suffix}")));
            command.arg(flag).arg(file);
        }
        command.args(["version", "--format", "{{.Server.Version}}"]);
        let mut running = gantry_tests::Running::spawn(command);
        running.close_stdin();
        running.finish()
    }
}

fn plain(daemon: &Daemon, host: &str) -> gantry_tests::Output {
    let place = daemon.place();
    let mut command = place.command("docker");
    command.env("DOCKER_CONFIG", place.path("docker")).args([
        "-H",
        host,
        "version",
        "--format",
        "{{.Server.Version}}",
    ]);
    gantry_tests::Running::spawn(command).finish()
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let place = Place::new();
    let certificates = Certificates::new(&place);
    let flags = ["-H=tcp://0.0.0.0:2376", "-H=tcp://[::1]:2377", "--tlsverify"].map(str::to_owned);
    let daemon =
        Builder::at(&place).without_image().args(flags.into_iter().chain(certificates.flags())).start();
    for host in ["tcp://127.0.0.1:2376", "tcp://localhost:2376", "tcp://[::1]:2377"] {
        assert_eq!(certificates.docker(host, Some("client"), true).ok(), env!("CARGO_PKG_VERSION"), "{host}");
    }
    let host = "tcp://127.0.0.1:2376";
    let none = certificates.docker(host, None, true);
    assert!(none.code != 0 && none.stderr.contains("certificate required"), "{none}");
    let stranger = certificates.docker(host, Some("other"), true);
    assert!(stranger.code != 0 && stranger.stderr.contains("remote error: tls"), "{stranger}");
    // Docker's CLI keeps back a certificate that the daemon would not take; this client shows it all the same.
    let script = "cd \"$0\"; (printf 'GET /_ping HTTP/1.0\\r\\n\\r\\n'; sleep 1) |
        openssl s_client -quiet -connect 127.0.0.1:2376 -CAfile ca.pem -cert other.pem -key other-key.pem";
    let forced = place.run("sh", ["-c", script, place.root().to_str().expect("a plain path")]);
    assert!(forced.stdout.is_empty() && forced.stderr.contains("alert unknown ca"), "{forced}");
    let plain = plain(&daemon, host);
    assert!(
        plain.code != 0 && plain.stderr.contains("Client sent an HTTP request to an HTTPS server"),
        "{plain}"
    );
    let warnings = daemon.api("GET", "/info", None).json()["Warnings"].to_string();
    assert!(!warnings.contains("API is accessible"), "{warnings}");
    // A session takes the connection over under TLS too.
    let mut exec = place.command("docker");
    exec.env("DOCKER_CONFIG", place.path("docker")).args(["-H", host, "--tlsverify", "--tlscacert"]);
    exec.arg(certificates.file("ca.pem")).arg("--tlscert").arg(certificates.file("client.pem"));
    exec.arg("--tlskey").arg(certificates.file("client-key.pem"));
    let tar = gantry_tests::image::import_tar();
    daemon.docker(["import", tar.to_str().expect("a plain path"), "busybox"]).ok();
    exec.args(["run", "--rm", "-i", "busybox", "cat"]);
    let mut session = gantry_tests::Running::spawn(exec);
    session.write("over TLS\n");
    assert_eq!(session.finish().ok(), "over TLS");
}

#[test]
fn tls_without_verification_lets_anyone_in_and_says_so() {
    let place = Place::new();
    let certificates = Certificates::new(&place);
    let flags = ["-H=tcp://127.0.0.1:2376".to_owned(), "--tlsverify=false".to_owned()];
    let daemon =
        Builder::at(&place).without_image().args(flags.into_iter().chain(certificates.flags())).start();
    certificates.docker("tcp://127.0.0.1:2376", None, true).ok();
    let warnings = daemon.api("GET", "/info", None).json()["Warnings"].to_string();
    let text = "API is accessible on https://127.0.0.1:2376 without TLS client verification.";
    assert!(warnings.contains(text), "{warnings}");
    assert!(daemon.log().contains("asks clients for no certificate"), "{}", daemon.log());
}

#[test]
fn certificates_that_do_not_fit_are_refused_by_file() {
    let place = Place::new();
    let certificates = Certificates::new(&place);
    let flag = |flag: &str, file: &str| format!("--{flag}={}", certificates.file(file).display());
    let told = Builder::at(&place)
        .args([
            "--tlsverify".to_owned(),
            flag("tlscacert", "ca.pem"),
            flag("tlscert", "server.pem"),
            flag("tlskey", "client-key.pem"),
        ])
        .refused();
    assert!(told.fails(1).contains("invalid TLS configuration: could not load X509 key pair"), "{told}");
    let told = Builder::at(&place)
        .args([
            "--tlsverify".to_owned(),
            flag("tlscacert", "server-key.pem"),
            flag("tlscert", "server.pem"),
            flag("tlskey", "server-key.pem"),
        ])
        .refused();
    assert!(told.fails(1).contains("invalid TLS configuration: could not read CA certificate"), "{told}");
}

#[test]
fn without_tls_tcp_is_served_on_loopback_alone_unless_it_is_declined() {
    let place = Place::new();
    let told = Builder::at(&place).args(["-H=tcp://0.0.0.0:2375"]).refused();
    assert!(
        told.fails(1).contains("tcp://0.0.0.0:2375 would be reached from other machines without TLS"),
        "{told}"
    );
    assert!(!place.path("s").exists(), "a daemon that was refused left its socket");
    let daemon = Builder::at(&place).without_image().args(["-H=tcp://127.0.0.1:2375"]).start();
    plain(&daemon, "tcp://127.0.0.1:2375").ok();
    let other = place.path("d2").display().to_string();
    let apart = [
        format!("--data-root={other}"),
        format!("--exec-root={other}"),
        "-H=tcp://127.0.0.1:2375".to_owned(),
    ];
    let mut second = place.command(gantry_tests::program("gantryd"));
    second.args(apart);
    let told = gantry_tests::Running::spawn(second).finish();
    let taken = "failed to load listeners: listen tcp 127.0.0.1:2375: bind: address already in use";
    assert!(told.fails(1).contains(taken), "{told}");
    drop(daemon);
    let daemon = Builder::at(&place).without_image().args(["-H=tcp://0.0.0.0:2375", "--tls=false"]).start();
    plain(&daemon, "tcp://127.0.0.1:2375").ok();
    eventually("the warning is there", || {
        let warnings = daemon.api("GET", "/info", None).json()["Warnings"].to_string();
        warnings.contains("API is accessible on http://0.0.0.0:2375 without encryption.").then_some(())
    });
}
