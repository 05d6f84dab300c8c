//! Instructions with their arguments checked.

mod duration;
mod flags;
mod health;

use crate::error::Fault;
use crate::expand::heredoc_word;
use crate::instruction::{Argument, Command, Copying, Expansion, Form, Instruction, Pair, Run};
use crate::syntax::{Arguments, Node};
use flags::{Flags, closest};

const NAMES: [&str; 18] = [
    "add",
    "arg",
    "cmd",
    "copy",
    "entrypoint",
    "env",
    "expose",
    "from",
    "healthcheck",
    "label",
    "maintainer",
    "onbuild",
    "run",
    "shell",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// What a line says.
#[derive(Debug)]
pub(crate) enum Typed {
    From { name: Option<String>, base: String, platform: Option<String> },
    Instruction(Instruction),
}

/// Reads the one instruction of an `ONBUILD` trigger.
///
/// # Errors
/// Several lines, or what [`Dockerfile::parse`](crate::Dockerfile::parse) would refuse.
pub fn trigger(text: &str) -> Result<Instruction, Fault> {
    let read = crate::lines::read(text.as_bytes()).map_err(|(_, fault)| fault)?;
    let [node] = read.nodes.as_slice() else {
        return Err(Fault::SeveralTriggers);
    };
    match typed(node)? {
        Typed::Instruction(instruction) => Ok(instruction),
        Typed::From { .. } => Err(Fault::ForbiddenTrigger("FROM".into())),
    }
}

pub(crate) fn typed(node: &Node) -> Result<Typed, Fault> {
    let instruction = match node.name.to_ascii_lowercase().as_str() {
        "from" => return from(node),
        "add" => Instruction::Add(copying(node, "ADD")?),
        "copy" => Instruction::Copy(copying(node, "COPY")?),
        "arg" => Instruction::Arg(arguments(node)?),
        "cmd" => Instruction::Cmd(command(node)?),
        "entrypoint" => Instruction::Entrypoint(command(node)?),
        "env" => Instruction::Env(pairs(node, "ENV")?),
        "label" => Instruction::Label(pairs(node, "LABEL")?, Expansion::Variables),
        "expose" => {
            let mut ports = at_least_one(node, "EXPOSE")?.to_vec();
            no_flags(node)?;
            ports.sort();
            Instruction::Expose(ports)
        }
        "healthcheck" => Instruction::Healthcheck(health::check(node)?),
        "maintainer" => Instruction::Maintainer(one(node, "MAINTAINER")?),
        "onbuild" => Instruction::Onbuild(onbuild(node)?),
        "run" => Instruction::Run(run(node)?),
        "shell" => Instruction::Shell(shell(node)?),
        // Docker does not look at its flags.
        "stopsignal" => Instruction::Stopsignal(exactly_one(node, "STOPSIGNAL")?),
        "user" => Instruction::User(one(node, "USER")?),
        "volume" => Instruction::Volume(volumes(node)?),
        "workdir" => Instruction::Workdir(one(node, "WORKDIR")?),
        _ => {
            let suggestion = closest(&node.name, &NAMES, true);
            return Err(Fault::UnknownInstruction { name: node.name.clone(), suggestion });
        }
    };
    Ok(Typed::Instruction(instruction))
}

/// Arguments that are words.
fn plain(node: &Node) -> &[String] {
    match &node.arguments {
        Arguments::Words(words) | Arguments::Json(words) => words,
        Arguments::Pairs(_) | Arguments::Nested(_) => &[],
    }
}

fn no_flags(node: &Node) -> Result<(), Fault> {
    Flags::read(&node.flags, &[]).map(drop)
}

fn at_least_one<'a>(node: &'a Node, name: &'static str) -> Result<&'a [String], Fault> {
    Some(plain(node)).filter(|w| !w.is_empty()).ok_or(Fault::AtLeastOne(name))
}

fn exactly_one(node: &Node, name: &'static str) -> Result<String, Fault> {
    match plain(node) {
        [word] => Ok(word.clone()),
        _ => Err(Fault::ExactlyOne(name)),
    }
}

fn one(node: &Node, name: &'static str) -> Result<String, Fault> {
    let word = exactly_one(node, name)?;
    no_flags(node).map(|()| word)
}

fn from(node: &Node) -> Result<Typed, Fault> {
    let (base, name) = match plain(node) {
        [base] => (base, None),
        [base, word, name] if word.eq_ignore_ascii_case("as") => (base, Some(name)),
        _ => return Err(Fault::FromArguments),
    };
    let name = name.map(|given| {
        let name = given.to_lowercase();
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        valid.then_some(name).ok_or_else(|| Fault::StageName(given.clone()))
    });
    let mut flags = Flags::read(&node.flags, &["platform"])?;
    let (base, platform) = (base.clone(), flags.take("platform"));
    Ok(Typed::From { name: name.transpose()?, base, platform })
}

fn copying(node: &Node, name: &'static str) -> Result<Copying, Fault> {
    let words = plain(node);
    let Some((destination, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return Err(Fault::NoDestination(name));
    };
    let known: &[&str] = match name {
        "ADD" => &["chown", "chmod", "link?", "keep-git-dir?", "checksum"],
        _ => &["chown", "from", "chmod", "link?"],
    };
    let mut flags = Flags::read(&node.flags, known)?;
    if heredoc_word(destination).is_some() {
        return Err(Fault::HeredocDestination(name));
    }
    let mut taken = |key: &str| flags.take(key).filter(|v| !v.is_empty());
    Ok(Copying {
        sources: sources.to_vec(),
        destination: destination.clone(),
        from: taken("from"),
        owner: taken("chown"),
        mode: taken("chmod"),
        link: taken("link").as_deref() == Some("true"),
        keep_git: taken("keep-git-dir").as_deref() == Some("true"),
        checksum: taken("checksum"),
        heredocs: sources.iter().any(|s| heredoc_word(s).is_some()),
    })
}

fn arguments(node: &Node) -> Result<Vec<Argument>, Fault> {
    let declared = at_least_one(node, "ARG")?.iter().map(|word| match word.split_once('=') {
        Some(("", _)) => Err(Fault::BlankName("ARG")),
        Some((key, value)) => Ok(Argument { key: key.to_owned(), value: Some(value.to_owned()) }),
        None => Ok(Argument { key: word.clone(), value: None }),
    });
    declared.collect()
}

fn pairs(node: &Node, name: &'static str) -> Result<Vec<Pair>, Fault> {
    no_flags(node)?;
    match &node.arguments {
        Arguments::Pairs(pairs) if pairs.iter().any(|p| p.key.is_empty()) => Err(Fault::BlankName(name)),
        Arguments::Pairs(pairs) if !pairs.is_empty() => Ok(pairs.clone()),
        _ => Err(Fault::AtLeastOne(name)),
    }
}

fn command(node: &Node) -> Result<Command, Fault> {
    no_flags(node)?;
    Ok(command_line(node))
}

fn command_line(node: &Node) -> Command {
    let form = if matches!(node.arguments, Arguments::Json(_)) { Form::Exec } else { Form::Shell };
    Command { form, words: plain(node).to_vec() }
}

fn run(node: &Node) -> Result<Run, Fault> {
    let flags = Flags::read(&node.flags, &["mount*", "network"])?.used();
    Ok(Run { command: command_line(node), flags, heredocs: node.heredocs.clone() })
}

fn shell(node: &Node) -> Result<Vec<String>, Fault> {
    let Command { form, words } = command(node)?;
    match form {
        _ if words.is_empty() => Err(Fault::AtLeastOne("SHELL")),
        Form::Exec => Ok(words),
        Form::Shell => Err(Fault::NotJson("SHELL")),
    }
}

fn volumes(node: &Node) -> Result<Vec<String>, Fault> {
    let words = at_least_one(node, "VOLUME")?;
    no_flags(node)?;
    let paths = words.iter().map(|w| w.trim());
    paths.map(|p| if p.is_empty() { Err(Fault::EmptyVolume) } else { Ok(p.to_owned()) }).collect()
}

fn onbuild(node: &Node) -> Result<String, Fault> {
    let Arguments::Nested(inner) = &node.arguments else {
        return Err(Fault::AtLeastOne("ONBUILD"));
    };
    no_flags(node)?;
    match inner.name.to_uppercase().as_str() {
        "ONBUILD" => return Err(Fault::ChainedTrigger),
        name @ ("MAINTAINER" | "FROM") => return Err(Fault::ForbiddenTrigger(name.to_owned())),
        _ => {}
    }
    let line = node.text.trim_start();
    let mut trigger = line.get(node.name.len()..).unwrap_or_default().trim_start().to_owned();
    for heredoc in &node.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Ok(trigger)
}

#[cfg(test)]
mod tests;
