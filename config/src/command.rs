//! The command line, made of the sections' keys.

use crate::key::{HIDDEN, Key, Kind, Section};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;

const ABOUT: &str = "gantryd: a container engine that Docker's clients drive";

const LONG: &str = "gantryd: a container engine that Docker's clients drive.

Every option is a flag here and a key of /etc/gantry/daemon.json; given in both places it is refused. \
Flags keep Docker's names, and so do keys: the key of a repeatable flag is mostly its plural (--label, \"labels\").";

const AFTER: &str = "Examples:
  gantryd                                          serve unix:///run/gantry.sock, as docker's CLI finds it by
                                                   DOCKER_HOST=unix:///run/gantry.sock
  gantryd --validate --config-file ./daemon.json   check a configuration, touch nothing
  gantryd -H fd:// -H tcp://0.0.0.0:2376 --tlsverify --tlscacert ca.pem --tlscert cert.pem --tlskey key.pem
                                                   a socket of systemd's, and remote clients with certificates

Signals: SIGHUP reads daemon.json again; SIGTERM and SIGINT end the daemon, the third of them at once. Containers live
on, unless live-restore is false.

What else Docker's daemon takes is refused by name, with the reason; nothing is ignored.";

/// The command with all flags.
pub(crate) fn command(sections: &[&Section]) -> Command {
    let own = [
        Arg::new("config-file")
            .long("config-file")
            .value_name("FILE")
            .help("Configuration file [default: /etc/gantry/daemon.json]"),
        Arg::new("validate")
            .long("validate")
            .action(ArgAction::SetTrue)
            .help("Check the configuration and exit"),
    ];
    let flags = sections.iter().flat_map(|s| s.keys.iter().map(|k| (s.heading, k)));
    let flags = flags.filter(|(_, key)| !key.flag.is_empty()).map(|(heading, key)| match heading {
        HIDDEN => arg(key).hide(true),
        shown => arg(key).help_heading(shown),
    });
    Command::new("gantryd")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version and exit"),
        )
        .about(ABOUT)
        .long_about(LONG)
        .after_help(AFTER)
        .args(own)
        .args(flags)
}

fn arg(key: &Key) -> Arg {
    let mut arg = Arg::new(key.name).long(key.flag).help(key.help).action(ArgAction::Append);
    if let Some(short) = key.short {
        arg = arg.short(short);
    }
    if key.kind == Kind::Switch {
        return arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL");
    }
    let value = if key.value.is_empty() { "TEXT" } else { key.value };
    // Numbers may be negative: what they mean is told better where they are read.
    arg.num_args(1).value_name(value).allow_hyphen_values(matches!(key.kind, Kind::Number | Kind::Size))
}

/// The values given for each key.
pub(crate) fn given(sections: &[&Section], matches: &ArgMatches) -> BTreeMap<&'static str, Vec<String>> {
    let keys = sections.iter().flat_map(|s| s.keys).filter(|k| !k.flag.is_empty());
    keys.filter_map(|key| {
        let values: Vec<String> = matches.get_many::<String>(key.name)?.cloned().collect();
        Some((key.name, values))
    })
    .collect()
}
