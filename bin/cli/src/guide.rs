//! Help that teaches: usage lines, groups of commands, where to read on.

use clap::{Arg, ArgAction, Command};

use crate::completion;

const EXAMPLES: &str = "\
Examples:
  gantry run --rm -it busybox sh        a shell in a new container
  gantry run -d --name web -p 8080:80 nginx
  gantry logs -f web                    follow what it prints
  gantry exec -it web sh                look inside
  gantry stop web && gantry rm web
  gantry top                            where lines go, live
  gantry actors                         what goes on inside the daemon

'gantry COMMAND --help' explains a command.";

/// What most people need on most days.
const COMMON: &[&str] =
    &["run", "exec", "ps", "logs", "stop", "rm", "build", "pull", "images", "info", "version"];

/// Where to read on.
const SEE_ALSO: &[(&str, &str)] = &[
    ("run", "create, start, exec, logs, stop, rm, update"),
    ("create", "run, start, rm"),
    ("start", "stop, restart, attach"),
    ("stop", "kill, rm, wait"),
    ("restart", "stop, start, update"),
    ("kill", "stop, pause"),
    ("pause", "unpause, stop"),
    ("unpause", "pause"),
    ("rm", "stop, container prune"),
    ("ps", "inspect, stats, top, container prune"),
    ("logs", "attach, events"),
    ("exec", "attach, top, cp"),
    ("attach", "exec, logs"),
    ("inspect", "ps, port, volume inspect, network inspect"),
    ("wait", "stop, events"),
    ("top", "stats, exec, logs status, actors"),
    ("port", "ps, inspect"),
    ("rename", "ps"),
    ("update", "run, stats"),
    ("stats", "top, update, system df"),
    ("cp", "exec, diff, export"),
    ("diff", "commit, cp"),
    ("commit", "diff, export, history"),
    ("export", "import, commit, cp"),
    ("import", "export, load"),
    ("load", "import, pull, save"),
    ("pull", "images, load, push, login"),
    ("push", "login, tag, pull"),
    ("build", "images, history, builder prune, run"),
    ("save", "load, export, push"),
    ("login", "logout, pull, push"),
    ("logout", "login"),
    ("search", "pull, login"),
    ("images", "history, rmi, image prune"),
    ("rmi", "images, image prune"),
    ("tag", "images"),
    ("history", "images, inspect"),
    ("events", "logs, actors"),
    ("info", "version, system df"),
    ("version", "info"),
    ("actors", "events, info"),
];

fn placeholder(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let name = name.unwrap_or_else(|| arg.get_id().to_string().to_uppercase());
    let many = matches!(arg.get_action(), ArgAction::Append);
    match (arg.is_required_set(), many) {
        (true, true) => format!("{name} [{name}...]"),
        (true, false) => name,
        (false, true) => format!("[{name}...]"),
        (false, false) => format!("[{name}]"),
    }
}

/// Whether a command is nothing without one of those below it.
fn is_group(command: &Command) -> bool {
    command.has_subcommands() && command.get_positionals().next().is_none()
}

/// The usage line of `command`, which is reached by `path`.
fn usage(command: &Command, path: &str) -> String {
    if is_group(command) {
        return format!("{path} COMMAND");
    }
    let switches = command.get_arguments().any(|arg| !arg.is_positional() && arg.get_id() != "help");
    let mut line = if switches { format!("{path} [OPTIONS]") } else { path.to_owned() };
    for arg in command.get_positionals() {
        line.push(' ');
        match arg.get_value_names().unwrap_or_default() {
            // The arguments of a command of the container's own.
            [first, second] => {
                let both = arg.get_num_args().is_some_and(|count| count.min_values() > 1);
                match (second.as_str(), both) {
                    ("COMMAND", true) => line.push_str(&format!("{first} COMMAND [ARG...]")),
                    ("COMMAND", false) => line.push_str(&format!("{first} [COMMAND] [ARG...]")),
                    _ if arg.is_required_set() => line.push_str(&format!("{first} [{second}]")),
                    _ => line.push_str(&format!("[{first} [{second}]]")),
                }
            }
            _ => line.push_str(&placeholder(arg)),
        }
    }
    line
}

/// Gives `command` and all below it Docker's usage lines and habits: the last of a flag given twice counts, and what
/// follows a flag is its value even when it begins with a hyphen.
pub fn shape(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = command.args_override_self(true).mut_args(|arg| {
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
        let arg = match takes_value && !optional && !arg.is_positional() {
            true => arg.allow_hyphen_values(true),
            false => arg,
        };
        completion::with_names(arg)
    });
    for name in &names {
        command = command.mut_subcommand(name, |sub| shape(sub, &format!("{path} {name}")));
    }
    let line = usage(&command, path);
    let see = SEE_ALSO.iter().find(|(name, _)| path == format!("gantry {name}"));
    let help = command.get_after_help().map(ToString::to_string);
    let see = see.map(|(_, others)| format!("See also: {others}"));
    let help: Vec<String> = help.into_iter().chain(see).collect();
    if !help.is_empty() {
        command = command.after_help(help.join("\n\n"));
    }
    // A group's own commands are listed; the usage tells the rest.
    if is_group(&command) {
        command = command.subcommand_required(true).arg_required_else_help(true);
    }
    command.override_usage(line)
}

fn section(title: &str, commands: &[&Command]) -> String {
    let width = commands.iter().map(|command| command.get_name().len()).max().unwrap_or_default() + 2;
    let mut text = format!("\n{title}:\n");
    for command in commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<width$}{about}\n", command.get_name()));
    }
    text
}

/// The help of the whole, with its commands in groups.
pub fn top(command: Command) -> Command {
    let all: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    let common: Vec<&Command> =
        COMMON.iter().filter_map(|name| all.iter().find(|sub| sub.get_name() == *name).copied()).collect();
    let (groups, others): (Vec<&Command>, Vec<&Command>) =
        all.iter().filter(|sub| !COMMON.contains(&sub.get_name())).partition(|sub| is_group(sub));
    let text = format!(
        "{{about}}\n\nUsage:  gantry [OPTIONS] COMMAND\n{}{}{}\n{{options}}\n\n{EXAMPLES}\n",
        section("Common Commands", &common),
        section("Management Commands", &groups),
        section("Commands", &others),
    );
    command.help_template(text)
}
