//! What the command line got wrong, in Docker's words and with Docker's statuses.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command};

/// Text for standard error, and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What to print.
    pub text: String,
    /// 125 for flags, 1 for the rest.
    pub code: u8,
}

/// Flags that are on or off also take `=true` and `=false`.
pub fn with_explicit_booleans(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = command.mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .value_parser(truth),
        _ => arg,
    });
    for name in names {
        command = command.mut_subcommand(name, with_explicit_booleans);
    }
    command
}

/// A truth value as Go reads one (`strconv.ParseBool`).
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// The command `arguments` lead to, and the words on the way.
fn reached<'a>(root: &'a Command, arguments: &[OsString]) -> (&'a Command, String) {
    let (mut at, mut path) = (root, root.get_name().to_owned());
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(next) = at.find_subcommand(argument) {
            path = format!("{path} {}", next.get_name());
            at = next;
            if !at.has_subcommands() {
                break;
            }
        }
    }
    (at, path)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}

/// `-m, --memory` for clap's `--memory <BYTES>`.
fn flag_name(command: &Command, shown: &str) -> String {
    let bare = shown.split([' ', '=', '[', '<']).next().unwrap_or(shown);
    let long = bare.trim_start_matches('-');
    let known = command.get_arguments().find(|arg| {
        arg.get_long() == Some(long) || arg.get_short().is_some_and(|short| short.to_string() == long)
    });
    match known.map(|arg| (arg.get_short(), arg.get_long())) {
        Some((Some(short), Some(long))) => format!("-{short}, --{long}"),
        _ => bare.to_owned(),
    }
}

/// How many arguments `command` wants, as Docker says it.
fn wanted(command: &Command) -> String {
    let positionals: Vec<_> = command.get_positionals().collect();
    let least: usize = positionals
        .iter()
        .filter(|arg| arg.is_required_set())
        .map(|arg| arg.get_num_args().map_or(1, |count| count.min_values().max(1)))
        .sum();
    let most: usize = positionals
        .iter()
        .map(|arg| match arg.get_action() {
            ArgAction::Append => usize::MAX / 16,
            _ => 1,
        })
        .sum();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match (least, most) {
        _ if positionals.is_empty() => "accepts no arguments".to_owned(),
        (least, most) if least == most => format!("requires {least} argument{}", plural(least)),
        (0, most) => format!("requires at most {most} argument{}", plural(most)),
        (least, most) if most > 1000 => format!("requires at least {least} argument{}", plural(least)),
        (least, most) => format!("requires at least {least} and at most {most} arguments"),
    }
}

/// Puts clap's complaint about `arguments` into Docker's words.
pub fn describe(root: &Command, arguments: &[OsString], error: &clap::Error) -> Mistake {
    let (command, path) = reached(root, arguments);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).trim().to_owned();
    let tail = format!("Usage:  {usage}\n\nRun '{path} --help' for more information");
    let flag = |text: String| Mistake { text: format!("{text}\n\n{tail}"), code: 125 };
    let argument = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--") => {
            let near =
                context(error, ContextKind::SuggestedArg).map(|near| format!("\nDid you mean {near}?"));
            flag(format!("unknown flag: {argument}{}", near.unwrap_or_default()))
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let letter = argument.chars().nth(1).unwrap_or('-');
            let cluster = arguments
                .iter()
                .filter_map(|given| given.to_str())
                .find(|given| given.starts_with('-') && !given.starts_with("--") && given.contains(letter))
                .unwrap_or(&argument);
            flag(format!("unknown shorthand flag: '{letter}' in {cluster}"))
        }
        // An argument too many, which might have been one of the commands below.
        ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict
            if command.has_subcommands() && command.get_positionals().next().is_some() =>
        {
            Mistake { text: format!("gantry: '{path}' {}\n\n{tail}", wanted(command)), code: 1 }
        }
        ErrorKind::InvalidSubcommand => unknown_command(command, &path, error),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if !value.is_empty() || !why.is_empty() => {
            let why = if why.is_empty() { "invalid value".to_owned() } else { why };
            flag(format!("invalid argument {value:?} for {:?} flag: {why}", flag_name(command, &argument)))
        }
        ErrorKind::InvalidValue => {
            let bare = argument.split([' ', '=', '<']).next().unwrap_or_default();
            flag(format!("flag needs an argument: {bare}"))
        }
        ErrorKind::UnknownArgument
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::TooFewValues
        | ErrorKind::TooManyValues
        | ErrorKind::WrongNumberOfValues => {
            Mistake { text: format!("gantry: '{path}' {}\n\n{tail}", wanted(command)), code: 1 }
        }
        _ => {
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            flag(text.strip_prefix("error: ").unwrap_or(text).to_owned())
        }
    }
}

fn unknown_command(command: &Command, path: &str, error: &clap::Error) -> Mistake {
    let given = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    let near = context(error, ContextKind::SuggestedSubcommand)
        .map(|near| format!("\n\nDid you mean this?\n  {path} {near}"));
    let mut text = format!("gantry: unknown command: {path} {given}{}\n\n", near.unwrap_or_default());
    if command.get_name() != "gantry" {
        text.push_str(&format!("Usage:  {path}\n\n"));
    }
    text.push_str(&format!("Run '{path} --help' for more information"));
    Mistake { text, code: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Mistake {
        let root = crate::cli::command();
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = root.clone().try_get_matches_from(&arguments).unwrap_err();
        let mut root = root;
        root.build();
        describe(&root, &arguments, &error)
    }

    fn first(line: &str) -> (String, u8) {
        let mistake = said(line);
        (mistake.text.lines().next().unwrap_or_default().to_owned(), mistake.code)
    }

    #[test]
    fn each_mistake_is_told_as_docker_tells_it() {
        for (line, text, code) in [
            ("gantry run --foo b", "unknown flag: --foo", 125),
            ("gantry ps -xz", "unknown shorthand flag: 'x' in -xz", 125),
            (
                "gantry create -m x b",
                "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'",
                125,
            ),
            (
                "gantry create --cpus x b",
                "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number",
                125,
            ),
            ("gantry create --memory", "flag needs an argument: --memory", 125),
            ("gantry rm", "gantry: 'gantry rm' requires at least 1 argument", 1),
            ("gantry run", "gantry: 'gantry run' requires at least 1 argument", 1),
            ("gantry exec a", "gantry: 'gantry exec' requires at least 2 arguments", 1),
            ("gantry logs a b", "gantry: 'gantry logs' requires 1 argument", 1),
            ("gantry rename a", "gantry: 'gantry rename' requires 2 arguments", 1),
            ("gantry info x", "gantry: 'gantry info' accepts no arguments", 1),
            ("gantry nosuch", "gantry: unknown command: gantry nosuch", 1),
            ("gantry container nosuch", "gantry: unknown command: gantry container nosuch", 1),
        ] {
            assert_eq!(first(line), (text.to_owned(), code), "{line}: {}", said(line).text);
        }
        assert_eq!(
            said("gantry rm").text,
            "gantry: 'gantry rm' requires at least 1 argument\n\nUsage:  gantry rm [OPTIONS] CONTAINER [CONTAINER...]\n\nRun 'gantry rm --help' for more information"
        );
    }

    #[test]
    fn the_nearest_command_and_flag_are_suggested() {
        assert!(said("gantry lgos x").text.contains("Did you mean this?\n  gantry logs"));
        assert!(said("gantry run --memry 1m x").text.contains("Did you mean --memory?"));
    }

    #[test]
    fn switches_can_be_turned_off_by_name() {
        let root = with_explicit_booleans(crate::cli::command());
        let found =
            root.try_get_matches_from(["gantry", "run", "--rm=false", "-it", "-P=true", "img"]).unwrap();
        let (_, run) = found.subcommand().unwrap();
        let flag = |name: &str| run.get_one::<bool>(name).copied().unwrap();
        assert_eq!(
            (flag("rm"), flag("interactive"), flag("tty"), flag("publish_all"), flag("privileged")),
            (false, true, true, true, false)
        );
    }
}
