//! A real rsyslogd on a test's host.

use crate::certificates::make_certificates;
use crate::place::Place;
use crate::process::{Running, eventually};
use crate::receiver::{Receiver, Tail};
use std::path::PathBuf;
use std::sync::Arc;

/// A message as rsyslogd understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Facility and severity, 8 × facility + severity.
    pub priority: u32,
    /// The sender's name.
    pub hostname: String,
    /// Tag with its process id, as `name[1]:`.
    pub tag: String,
    /// Text.
    pub text: String,
    /// What came, byte for byte.
    pub raw: String,
}

/// An rsyslogd that hears tcp and udp on port 514, a stream socket and a datagram socket. Stopped when dropped.
#[derive(Debug)]
pub struct Rsyslog {
    running: Option<Running>,
    place: Arc<Place>,
    tail: Tail,
}

impl Rsyslog {
    /// Starts it.
    #[track_caller]
    pub fn start(place: &Arc<Place>) -> Self {
        let root = place.root().display();
        let config = format!(
            r#"global(workDirectory="{root}")
module(load="imtcp")
module(load="imudp")
module(load="imptcp")
module(load="imuxsock" SysSock.Use="off")
input(type="imtcp" port="514")
input(type="imudp" port="514" rcvbufSize="4m")
input(type="imptcp" path="{root}/syslog.stream")
input(type="imuxsock" Socket="{root}/syslog.dgram" CreatePath="off" UseSysTimeStamp="off" RateLimit.Interval="0")
template(name="fields" type="string" string="%pri%\t%hostname%\t%syslogtag%\t%msg%\t%rawmsg%\n")
*.* action(type="omfile" file="{root}/syslog.received" template="fields")
"#
        );
        std::fs::write(place.path("rsyslog.conf"), config).expect("write rsyslogd's configuration");
        let tail = Tail::of(place.path("syslog.received"));
        let mut rsyslog = Self { running: None, place: Arc::clone(place), tail };
        rsyslog.start_again();
        rsyslog
    }

    /// One that besides hears TLS on 127.0.0.1:6514, from clients with a certificate of the authority `ca.pem` in the
    /// place's folder; `client.pem` with `client.key` is such a one.
    #[track_caller]
    pub fn start_tls(place: &Arc<Place>) -> Self {
        make_certificates(place);
        let root = place.root().display();
        let config = format!(
            r#"global(workDirectory="{root}" defaultNetstreamDriverCAFile="{root}/ca.pem"
  defaultNetstreamDriverCertFile="{root}/server.pem" defaultNetstreamDriverKeyFile="{root}/server.key")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" port="6514" address="127.0.0.1")
template(name="fields" type="string" string="%pri%\t%hostname%\t%syslogtag%\t%msg%\t%rawmsg%\n")
*.* action(type="omfile" file="{root}/syslog.received" template="fields")
"#
        );
        std::fs::write(place.path("rsyslog.conf"), config).expect("write rsyslogd's configuration");
        let (file, pid) = (place.path("rsyslog.conf"), place.path("rsyslog.pid"));
        let (file, pid) = (file.to_str().expect("a plain path"), pid.to_str().expect("a plain path"));
        let running = place.spawn("rsyslogd", ["-n", "-f", file, "-i", pid]);
        eventually("rsyslogd listens", || place.listens(6514).then_some(()));
        Self {
            running: Some(running),
            place: Arc::clone(place),
            tail: Tail::of(place.path("syslog.received")),
        }
    }

    /// Starts it after [`Rsyslog::stop`].
    #[track_caller]
    pub fn start_again(&mut self) {
        let (config, pid) = (self.place.path("rsyslog.conf"), self.place.path("rsyslog.pid"));
        let (config, pid) = (config.to_str().expect("a plain path"), pid.to_str().expect("a plain path"));
        // Left by an earlier start; the number may be another process's since, beside which rsyslogd would not start.
        for left in [self.stream(), self.datagram(), self.place.path("rsyslog.pid")] {
            let _ = std::fs::remove_file(left);
        }
        let mut running = self.place.spawn("rsyslogd", ["-n", "-f", config, "-i", pid]);
        eventually("rsyslogd listens", || {
            if running.ended() {
                panic!("rsyslogd ended at once:\n{}", running.stderr());
            }
            (self.place.listens(514) && self.stream().exists() && self.datagram().exists()).then_some(())
        });
        self.running = Some(running);
    }

    /// Stops it; what it received stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Path of the stream socket.
    pub fn stream(&self) -> PathBuf {
        self.place.path("syslog.stream")
    }

    /// Path of the datagram socket.
    pub fn datagram(&self) -> PathBuf {
        self.place.path("syslog.dgram")
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Message> {
        // Whole lines alone: it may be writing another one.
        let mut all = Tail::of(self.place.path("syslog.received"));
        all.news().lines().filter_map(message).collect()
    }

    /// Waits for a message whose text has `part`.
    #[track_caller]
    pub fn wait_for(&self, part: &str) -> Message {
        eventually(&format!("rsyslogd receives {part:?}"), || {
            self.received().into_iter().find(|m| m.text.contains(part))
        })
    }
}

impl Receiver for Rsyslog {
    fn process(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    #[track_caller]
    fn start_again(&mut self) {
        Rsyslog::start_again(self);
    }

    fn news(&mut self) -> Vec<String> {
        self.tail.news().lines().filter_map(message).map(|m| m.text).collect()
    }
}

fn message(line: &str) -> Option<Message> {
    let mut fields = line.splitn(5, '\t');
    Some(Message {
        priority: fields.next()?.parse().ok()?,
        hostname: fields.next()?.to_owned(),
        tag: fields.next()?.to_owned(),
        // rsyslogd keeps the space before the text of the old format.
        text: fields.next().map(|t| t.strip_prefix(' ').unwrap_or(t))?.to_owned(),
        raw: fields.next()?.to_owned(),
    })
}
