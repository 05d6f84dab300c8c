//! The instructions that `--change` of `import` and `commit` takes.

use crate::config::{Config, apply, strings};
use crate::error::Fault;
use crate::expand::Variables;
use crate::instruction::Instruction;
use crate::lines;
use crate::typed::{Typed, typed};

const ALLOWED: [&str; 11] = [
    "cmd",
    "entrypoint",
    "healthcheck",
    "env",
    "expose",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// A `config` object changed by instructions, which are joined as the lines of one Dockerfile.
///
/// # Errors
/// The first mistake, in the words of Docker's builder; other instructions than those that change a configuration.
pub fn amend(mut config: Config, changes: &[String]) -> Result<Config, Fault> {
    if changes.is_empty() {
        return Ok(config);
    }
    let read = lines::read(changes.join("\n").as_bytes()).map_err(|(_, fault)| fault)?;
    let refused = |name: &&str| !ALLOWED.iter().any(|a| a.eq_ignore_ascii_case(name));
    if let Some(name) = read.nodes.iter().map(|n| n.name.as_str()).find(refused) {
        return Err(Fault::NotAChange(name.to_owned()));
    }
    let mut instructions = Vec::new();
    for node in &read.nodes {
        if let Typed::Instruction(instruction) = typed(node)? {
            instructions.push(instruction);
        }
    }
    let mut commanded = false;
    for instruction in &instructions {
        let variables = Variables::new(strings(&config, "Env"));
        apply(&mut config, instruction, read.directives.escape, &variables)?;
        match instruction {
            Instruction::Cmd(command) => commanded |= !command.words.is_empty(),
            // The command was the old entrypoint's.
            Instruction::Entrypoint(_) if !commanded => drop(config.shift_remove("Cmd")),
            _ => {}
        }
    }
    Ok(config)
}
