//! A real syslog-ng on a test's host.

use crate::certificates::make_certificates;
use crate::place::Place;
use crate::process::{Running, eventually};
use crate::receiver::{Receiver, Tail};
use crate::workspace;
use std::path::Path;
use std::sync::Arc;

/// A message as syslog-ng understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// 8 × facility + severity.
    pub priority: u32,
    /// The sender's name.
    pub host: String,
    /// The tag.
    pub program: String,
    /// Process id.
    pub pid: String,
    /// When it was written, to the microsecond.
    pub time: String,
    /// Text.
    pub text: String,
}

/// A syslog-ng that hears udp and tcp on port 514, TLS on 6514, and TLS with counted messages (RFC 5425) on 6515, on every
/// address; TLS from clients with a certificate of [`make_certificates`]'s authority. Stopped when dropped.
#[derive(Debug)]
pub struct SyslogNg {
    running: Option<Running>,
    place: Arc<Place>,
    tail: Tail,
}

impl SyslogNg {
    /// Starts it, and makes the certificates.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        make_certificates(place);
        let root = place.root().display();
        let tls = format!(
            "transport(\"tls\") tls(key-file(\"{root}/server.key\") cert-file(\"{root}/server.pem\") \
             ca-file(\"{root}/ca.pem\") peer-verify(required-trusted))"
        );
        let config = format!(
            r#"@version: 3.38
options {{ keep-hostname(yes); use-dns(no); stats-freq(0); log-fifo-size(40000); frac-digits(6); create-dirs(no); }};
source s {{
  network(transport("udp") port(514) so-rcvbuf(4194304) flags(syslog-protocol));
  network(transport("tcp") port(514) max-connections(300) flags(syslog-protocol));
  network({tls} port(6514) flags(syslog-protocol));
  syslog({tls} port(6515));
}};
destination d {{ file("{root}/syslog-ng.received"
  template("${{PRI}}\t${{HOST}}\t${{PROGRAM}}\t${{PID}}\t${{ISODATE}}\t${{MSG}}\n")); }};
log {{ source(s); destination(d); flags(flow-control); }};
"#
        );
        std::fs::write(place.path("syslog-ng.conf"), config).expect("write syslog-ng's configuration");
        let tail = Tail::of(place.path("syslog-ng.received"));
        let mut syslog_ng = Self { running: None, place: Arc::clone(place), tail };
        syslog_ng.start_again();
        syslog_ng
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Understood> {
        let mut all = Tail::of(self.place.path("syslog-ng.received"));
        all.news().lines().filter_map(understood).collect()
    }

    /// Waits for a message with this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Understood {
        eventually(&format!("syslog-ng receives {text:?}"), || {
            self.received().into_iter().find(|m| m.text == text)
        })
    }
}

impl Receiver for SyslogNg {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        let at = |name: &str| self.place.path(name).to_string_lossy().into_owned();
        // `make setup` unpacks it there: its package would replace rsyslog.
        let usr = workspace().join("target/receivers/syslog-ng/usr");
        let mut command = self.place.command(usr.join("sbin/syslog-ng"));
        command.env("LD_LIBRARY_PATH", usr.join("lib/syslog-ng")).args(["--foreground", "--no-caps"]);
        let modules = modules(&usr.join("lib/syslog-ng"));
        for (option, value) in [
            ("module-path", modules),
            ("cfgfile", at("syslog-ng.conf")),
            ("persist-file", at("syslog-ng.persist")),
            ("pidfile", at("syslog-ng.pid")),
            ("control", at("syslog-ng.ctl")),
        ] {
            command.arg(format!("--{option}={value}"));
        }
        let mut running = Running::spawn(command);
        eventually("syslog-ng listens", || {
            assert!(!running.ended(), "syslog-ng ended at once:\n{}", running.stderr());
            [514, 6514, 6515].iter().all(|port| self.place.listens(*port)).then_some(())
        });
        self.running = Some(running);
    }

    fn news(&mut self) -> Vec<String> {
        self.tail.news().lines().filter_map(understood).map(|m| m.text).collect()
    }
}

/// The folder of modules, which has the version's name.
#[track_caller]
fn modules(lib: &Path) -> String {
    let folders = std::fs::read_dir(lib).expect("syslog-ng is unpacked: `make setup`").flatten();
    let mut those = folders.map(|e| e.path()).filter(|path| path.join("libafsocket.so").exists());
    those.next().expect("syslog-ng has modules").to_string_lossy().into_owned()
}

fn understood(line: &str) -> Option<Understood> {
    let mut fields = line.splitn(6, '\t');
    let mut next = || fields.next().map(str::to_owned);
    Some(Understood {
        priority: next()?.parse().ok()?,
        host: next()?,
        program: next()?,
        pid: next()?,
        time: next()?,
        text: next()?,
    })
}
