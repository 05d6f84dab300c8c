//! `RUN`.

use super::arguments::Arguments;
use super::machine::State;
use super::{BuildFault, Outcome};
use dockerfile::{Config, Fault, Form, Heredoc, Run as Written, shell, strings};
use serde_json::json;

/// A command to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is executed.
    pub argv: Vec<String>,
    /// The container's configuration: no entrypoint, no health check, build arguments in its environment.
    pub container: Config,
    /// The image.
    pub outcome: Outcome,
}

impl Run {
    pub(super) fn new(
        run: &Written,
        state: &State,
        own: &[String],
        arguments: &Arguments,
    ) -> Result<Self, BuildFault> {
        if let Some(flag) = run.flags.first() {
            return Err(Fault::BuildKit(format!("--{flag} option")).into());
        }
        let argv = match run.command.form {
            Form::Exec => run.command.words.clone(),
            Form::Shell => [shell(&state.config), script(run)?].concat(),
        };
        let counted = own.iter().filter(|v| arguments.counts(v.split('=').next().unwrap_or_default()));
        let mut counted: Vec<String> = counted.cloned().collect();
        counted.sort();
        // No command begins with a bar, so this cannot be taken for one.
        let prefix =
            if own.is_empty() { Vec::new() } else { [vec![format!("|{}", counted.len())], counted].concat() };
        let mut outcome = state.outcome_of([prefix, argv.clone()].concat());
        let mut container = state.config.clone();
        container.insert("Env".into(), json!([&strings(&state.config, "Env"), own].concat()));
        container.insert("Cmd".into(), json!(argv));
        container.insert("Healthcheck".into(), json!({ "Test": ["NONE"] }));
        if !argv.is_empty() {
            container.insert("Entrypoint".into(), json!([""]));
            outcome.container_config.shift_remove("Entrypoint");
        }
        Ok(Self { argv, container, outcome })
    }
}

/// The shell's line; here-documents are its own matter, but one that is all there is is the script.
fn script(run: &Written) -> Result<Vec<String>, BuildFault> {
    let line = run.command.words.first().cloned().unwrap_or_default();
    match run.heredocs.as_slice() {
        [] => Ok(run.command.words.clone()),
        [lone] if line.starts_with("<<") && !line.contains(char::is_whitespace) => {
            if lone.content.starts_with("#!") {
                return Err(Fault::BuildKit("heredoc with an interpreter of its own".into()).into());
            }
            Ok(vec![if lone.chomp { chomped(&lone.content) } else { lone.content.clone() }])
        }
        all => Ok(vec![
            all.iter().fold(line, |line, Heredoc { name, content, .. }| format!("{line}\n{content}{name}")),
        ]),
    }
}

fn chomped(content: &str) -> String {
    content.split_inclusive('\n').map(|l| l.trim_start_matches('\t')).collect()
}
