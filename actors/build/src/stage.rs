//! A stage on its way: what its image says so far. Decisions only.

use crate::arguments::Arguments;
use contract::build::Found;
use contract::image::ImageSummary;
use contract::{ImageId, Kind, PortError};
use dockerfile::{Config, Copying, Form, Run, shell, strings};
use serde_json::{Value, json};

/// Docker's for images that set none (moby `oci.DefaultPathEnv`).
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    /// Its name.
    pub name: Option<String>,
    /// What it stands on; `None` = nothing yet.
    pub image: Option<ImageId>,
    /// The image's configuration.
    pub config: Config,
    /// `MAINTAINER`.
    pub author: String,
    /// It has a `CMD` of its own.
    pub commanded: bool,
    /// Build arguments.
    pub arguments: Arguments,
}

impl Stage {
    /// Begins on an image (`None` = from scratch); the image's triggers are taken out of it.
    pub fn begin(
        name: Option<String>,
        base: Option<&ImageSummary>,
        arguments: Arguments,
    ) -> (Self, Vec<String>) {
        let config = base.and_then(|b| b.config.get("config")).and_then(Value::as_object);
        let mut config = config.cloned().unwrap_or_default();
        let triggers = strings(&config, "OnBuild");
        config.shift_remove("OnBuild");
        for key in ["OpenStdin", "StdinOnce"] {
            config.shift_remove(key);
        }
        let mut env = strings(&config, "Env");
        if !env.iter().any(|e| e.starts_with("PATH=")) {
            env.push(PATH.to_owned());
        }
        config.insert("Env".into(), json!(env));
        let image = base.map(|b| ImageId::new(b.id.clone()));
        let mut stage = Self { name, image, config, author: String::new(), commanded: false, arguments };
        stage.settle();
        (stage, triggers)
    }

    /// Its image has changed.
    pub fn settle(&mut self) {
        let image = self.image.as_ref().map(ToString::to_string).unwrap_or_default();
        self.config.insert("Image".into(), image.into());
    }

    /// The image as steps show it.
    pub fn short(&self) -> String {
        self.image.as_ref().map(|id| short(id.as_str())).unwrap_or_default()
    }

    /// `key=value` that an instruction sees.
    pub fn variables(&self) -> Vec<String> {
        let mut env = strings(&self.config, "Env");
        env.extend(self.arguments.beside(&env));
        env
    }

    /// The configuration with which a step that only says something is carried out.
    pub fn noting(&self, text: &str) -> Config {
        let mut words = shell(&self.config);
        words.extend(["#(nop) ".to_owned(), text.to_owned()]);
        self.with_command(&words)
    }

    /// The same of a step that changes files; moby gives these one word.
    pub fn changing(&self, text: &str) -> Config {
        let mut words = shell(&self.config);
        words.push(format!("#(nop) {text}"));
        self.with_command(&words)
    }

    fn with_command(&self, words: &[String]) -> Config {
        let mut config = self.config.clone();
        config.insert("Cmd".into(), json!(words));
        config
    }

    /// What a `RUN` is to the cache, and what its container is made of.
    pub fn running(&self, words: &[String]) -> (Config, Config) {
        let env = strings(&self.config, "Env");
        let beside = self.arguments.beside(&env);
        let mut probed = self.with_command(&self.arguments.before(&beside, words));
        probed.insert("Entrypoint".into(), Value::Null);
        let mut carried = self.with_command(words);
        carried.insert("Env".into(), json!([env, beside].concat()));
        carried.insert("Entrypoint".into(), json!([""]));
        carried.insert("Healthcheck".into(), json!({ "Test": ["NONE"] }));
        (probed, carried)
    }

    /// A `RUN`'s command line.
    pub fn command_line(&self, run: &Run) -> Result<Vec<String>, PortError> {
        if let Some(flag) = run.flags.first() {
            return Err(needs_buildkit(&format!("--{flag} option")));
        }
        let words = run.command.words.clone();
        if run.command.form == Form::Exec {
            return Ok(words);
        }
        let line = words.first().cloned().unwrap_or_default();
        Ok([shell(&self.config), vec![with_documents(line, run)?]].concat())
    }
}

/// A shell line with its here-documents behind it; one that consists of them is what they hold.
fn with_documents(line: String, run: &Run) -> Result<String, PortError> {
    if run.heredocs.is_empty() {
        return Ok(line);
    }
    let bare = |text: &str| {
        text.trim().trim_start_matches("<<").trim_start_matches('-').trim_matches(['"', '\''])
            == run.heredocs.first().map_or("", |h| &h.name)
    };
    if let [only] = run.heredocs.as_slice()
        && bare(&line)
    {
        if only.content.starts_with("#!") {
            return Err(needs_buildkit("heredoc with an interpreter of its own"));
        }
        let cut = |line| if only.chomp { str::trim_start_matches(line, '\t') } else { line };
        return Ok(only.content.split_inclusive('\n').map(cut).collect());
    }
    let mut out = line;
    for document in &run.heredocs {
        out.push('\n');
        out.push_str(&document.content);
        out.push_str(&document.name);
    }
    Ok(out)
}

/// What the classic builder lacks, as it says so.
pub fn needs_buildkit(what: &str) -> PortError {
    let text = format!(
        "the {what} requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"
    );
    PortError::new(Kind::Bug, text)
}

/// What a `COPY` or `ADD` is in the history and to the cache.
pub fn copying(verb: &str, copying: &Copying, found: &Found) -> String {
    let owner = copying.owner.as_ref().map(|o| format!("--chown={o} ")).unwrap_or_default();
    let mode = copying.mode.as_ref().map(|m| format!("--chmod={m} ")).unwrap_or_default();
    format!("{verb} {owner}{mode}{} in {} ", found.digest, copying.destination)
}

/// `--chmod`: an octal number.
pub fn mode(text: &str) -> Result<u32, PortError> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777);
    mode.ok_or_else(|| {
        let text =
            format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777");
        PortError::new(Kind::Invalid, text)
    })
}

/// Twelve digits of an id.
pub fn short(id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex).to_owned()
}

/// An absolute destination; its slash at the end stays.
pub fn destination(working_dir: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{working_dir}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|p| !p.is_empty() && *p != ".") {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let folder = path.ends_with('/') || path.ends_with("/.") || path == "." || path.is_empty();
    let slash = if folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dockerfile::{Command, Heredoc};

    #[test]
    fn destinations_stand_in_the_working_folder_and_keep_their_slash() {
        for (below, path, whole) in [
            ("/w", "a", "/w/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", ".", "/w/"),
            ("", "a", "/a"),
            ("/w", "/", "/"),
            ("/w", "../../x", "/x"),
        ] {
            assert_eq!(destination(below, path), whole, "{below} {path}");
        }
    }

    #[test]
    fn a_run_is_told_apart_by_the_arguments_it_sees_and_runs_without_entrypoint() {
        let config = json!({ "Entrypoint": ["e"], "Env": ["A=1"], "Healthcheck": { "Test": ["CMD", "x"] } });
        let base = ImageSummary { config: json!({ "config": config }), ..ImageSummary::default() };
        let (mut stage, _) = Stage::begin(None, Some(&base), Arguments::default());
        stage.arguments.declare(&dockerfile::Argument { key: "B".into(), value: Some("2".into()) });
        let (probed, carried) = stage.running(&["x".to_owned()]);
        assert_eq!((&probed["Cmd"], &probed["Entrypoint"]), (&json!(["|1", "B=2", "x"]), &Value::Null));
        assert_eq!(carried["Cmd"], json!(["x"]));
        assert_eq!(carried["Env"], json!(["A=1", PATH, "B=2"]));
        assert_eq!(carried["Entrypoint"], json!([""]));
        assert_eq!(probed["Healthcheck"], json!({ "Test": ["CMD", "x"] }));
    }

    #[test]
    fn here_documents_follow_their_line_or_are_it() {
        let run = |line: &str| Run {
            command: Command { form: Form::Shell, words: vec![line.to_owned()] },
            heredocs: vec![Heredoc { name: "EOF".into(), content: "echo x\n".into(), chomp: false }],
            ..Run { command: Command { form: Form::Shell, words: vec![] }, flags: vec![], heredocs: vec![] }
        };
        let line = |text: &str| Stage::default().command_line(&run(text)).unwrap().pop().unwrap();
        assert_eq!(line("<<EOF"), "echo x\n");
        let documents = |content: &str, chomp| Run {
            heredocs: vec![Heredoc { name: "EOF".into(), content: content.into(), chomp }],
            ..run("<<-EOF")
        };
        let chomped = Stage::default().command_line(&documents("\ta\n\t\tb\n", true)).unwrap();
        assert_eq!(chomped.last().unwrap(), "a\nb\n");
        // The shell would read a script of another interpreter.
        assert!(Stage::default().command_line(&documents("#!/bin/x\n", false)).is_err());
        assert_eq!(line("cat <<EOF"), "cat <<EOF\necho x\nEOF");
    }
}
