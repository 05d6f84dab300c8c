//! Instructions as they are written, variables not yet replaced.

/// One instruction; `FROM` begins a [`Stage`](crate::Stage) instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`: files, archives that are unpacked, URLs.
    Add(Copying),
    /// `ARG`: names of build arguments, with defaults.
    Arg(Vec<Argument>),
    /// `CMD`.
    Cmd(Command),
    /// `COPY`.
    Copy(Copying),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `ENV`.
    Env(Vec<Pair>),
    /// `EXPOSE`: ports, ranges and words that become such.
    Expose(Vec<String>),
    /// `HEALTHCHECK`.
    Healthcheck(Health),
    /// `LABEL`.
    Label(Vec<Pair>, Expansion),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `ONBUILD`: the instruction's text.
    Onbuild(String),
    /// `RUN`.
    Run(Run),
    /// `SHELL`: never empty.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    Stopsignal(String),
    /// `USER`.
    User(String),
    /// `VOLUME`: paths, none of them empty as written.
    Volume(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
}

/// Whether variables are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expansion {
    /// They are.
    Variables,
    /// The text is meant as it is (`--label` of the command line).
    Verbatim,
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key, never empty as written.
    pub key: String,
    /// The value.
    pub value: String,
}

/// A build argument's declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub key: String,
    /// Its default.
    pub value: Option<String>,
}

/// How a command is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line for the shell.
    Shell,
    /// A JSON array, executed as it is.
    Exec,
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// How it is written.
    pub form: Form,
    /// In shell form at most one.
    pub words: Vec<String>,
}

/// `RUN`'s command and what stands with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub command: Command,
    /// Names of the flags that are used (`mount`), in their order.
    pub flags: Vec<String>,
    /// Here-documents that follow the line.
    pub heredocs: Vec<Heredoc>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its delimiter.
    pub name: String,
    /// Its lines with their ends.
    pub content: String,
    /// `<<-`: tabs at the beginnings of lines go.
    pub chomp: bool,
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copying {
    /// Paths, patterns and URLs.
    pub sources: Vec<String>,
    /// Where to.
    pub destination: String,
    /// `--from`: a stage's name or number, or an image; never of `ADD`.
    pub from: Option<String>,
    /// `--chown`.
    pub owner: Option<String>,
    /// `--chmod`.
    pub mode: Option<String>,
    /// `--link`: a hint about layers; the files are the same.
    pub link: bool,
    /// `--keep-git-dir`, of `ADD`.
    pub keep_git: bool,
    /// `--checksum`, of `ADD`.
    pub checksum: Option<String>,
    /// Whether some sources are here-documents.
    pub heredocs: bool,
}

/// `HEALTHCHECK`. Durations in ns, 0 = the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// `NONE`, or `CMD` and words, or `CMD-SHELL` and a line.
    pub test: Vec<String>,
    /// Between checks.
    pub interval: i64,
    /// For one check.
    pub timeout: i64,
    /// In which failures do not count.
    pub start_period: i64,
    /// Between checks in the start period.
    pub start_interval: i64,
    /// Failures in a row until unhealthy, 0 = the default.
    pub retries: i32,
}
