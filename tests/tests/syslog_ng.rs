//! The syslog driver, into a real syslog-ng.

use gantry_tests::{Builder, Daemon, Place, SyslogNg};

fn run(gantry: &Daemon, name: &str, options: &[&str]) {
    let root = gantry.place().root().to_string_lossy().into_owned();
    let options = options.iter().map(|o| o.replace("ROOT", &root));
    let mut args: Vec<String> =
        ["run", "-d", "--name", name, "--log-driver=syslog"].map(str::to_owned).to_vec();
    args.extend(options.flat_map(|o| ["--log-opt".to_owned(), o]));
    args.extend(["busybox", "sh", "-c"].map(str::to_owned));
    args.push(format!("echo out of {name}; echo err of {name} >&2"));
    gantry.docker(args).ok();
}

const OURS: [&str; 3] =
    ["syslog-tls-ca-cert=ROOT/ca.pem", "syslog-tls-cert=ROOT/client.pem", "syslog-tls-key=ROOT/client.key"];

#[test]
fn lines_are_understood_over_every_transport_in_every_format() {
    let place = Place::new();
    let syslog_ng = SyslogNg::start(&place);
    let gantry = Builder::at(&place).start();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let ways = [
        ("udp", "syslog-address=udp://127.0.0.1:514"),
        ("tcp", "syslog-address=tcp://127.0.0.1:514"),
        ("tls", "syslog-address=tcp+tls://localhost:6514"),
    ];
    for (way, address) in ways {
        for format in ["", "rfc3164", "rfc5424", "rfc5424micro"] {
            let counted = way == "tls" && format.starts_with("rfc5424");
            let address = if counted { address.replace("6514", "6515") } else { address.to_owned() };
            let name = format!("{way}{format}");
            let form = format!("syslog-format={format}");
            let mut options =
                vec![address.as_str(), form.as_str(), "tag={{.Name}}", "syslog-facility=local3"];
            if way == "tls" {
                options.extend(OURS);
            }
            run(&gantry, &name, &options);
            let out = syslog_ng.wait_for(&format!("out of {name}"));
            let err = syslog_ng.wait_for(&format!("err of {name}"));
            assert_eq!((out.priority, err.priority), (19 * 8 + 6, 19 * 8 + 3), "{name}");
            assert_eq!(out.program, name);
            assert_eq!(out.pid, gantry.pid().to_string(), "{name}");
            if !format.is_empty() {
                assert_eq!(out.host, host.trim(), "{name}");
            }
            let finer = !out.time.contains(".000000");
            assert_eq!(finer, format == "rfc5424micro", "{name}: {}", out.time);
        }
    }
}
