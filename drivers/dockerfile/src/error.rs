//! What is wrong with a Dockerfile, in the words of Docker's builder.

use crate::print::quoted;

/// Why a Dockerfile cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is nothing in it.
    #[error("the Dockerfile ({0}) cannot be empty")]
    Empty(String),
    /// A line that is no instruction's form. `name` is the file's.
    #[error("failed to parse {name}: {fault}")]
    Line {
        /// The Dockerfile's name.
        name: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// An instruction that is wrong in itself.
    #[error("dockerfile parse error on line {line}: {fault}")]
    Instruction {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// An instruction before the first `FROM`.
    #[error("no build stage in current context")]
    NoStage {
        /// Line, from 1.
        line: usize,
    },
}

/// What is wrong with a line or an instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("file with no instructions")]
    NoInstructions,
    #[error("dockerfile line greater than max allowed size of {}", crate::lines::LONGEST)]
    LongLine,
    #[error("only one {0} parser directive can be used")]
    RepeatedDirective(String),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    BadEscape(String),
    #[error("unterminated heredoc")]
    OpenHeredoc,
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", quoted(.0))]
    NoEquals(String),
    #[error("unknown instruction: {name}{}", hint(.suggestion.as_deref()))]
    UnknownInstruction { name: String, suggestion: Option<String> },
    #[error("{0} requires at least one argument")]
    AtLeastOne(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOne(&'static str),
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error("invalid name for build stage: {}, name can't start with a number or contain symbols", quoted(.0))]
    StageName(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedTrigger,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    ForbiddenTrigger(String),
    #[error("onbuild trigger should be a single expression")]
    SeveralTriggers,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCommand,
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", quoted(.0))]
    HealthKind(String),
    #[error("Interval {} cannot be less than 1ms", quoted(.0))]
    ShortInterval(&'static str),
    #[error("{0}")]
    Duration(String),
    #[error("strconv.ParseInt: parsing {}: {why}", quoted(.text))]
    Number { text: String, why: &'static str },
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i32),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("{0} requires the arguments to be in JSON form")]
    NotJson(&'static str),
    #[error("unknown flag: --{name}{}", hint(.suggestion.as_deref()))]
    UnknownFlag { name: String, suggestion: Option<String> },
    #[error("duplicate flag specified: --{0}")]
    DuplicateFlag(String),
    #[error("missing a value on flag: --{0}")]
    FlagValue(String),
    #[error("expecting boolean value for flag --{0}, not: {1}")]
    FlagBoolean(String, String),
    #[error("{0} is not a valid change command")]
    NotAChange(String),
    #[error("{0}")]
    Port(String),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("the configuration is larger than {0} bytes")]
    Large(usize),
    #[error("cannot normalize nothing")]
    EmptyFolder,
    #[error(
        "the {0} requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"
    )]
    BuildKit(String),
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// Why variables in a word cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {text}", quoted(.word))]
pub struct ExpandError {
    /// The word whole.
    pub word: String,
    /// What is wrong with it.
    pub text: String,
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|s| format!(" (did you mean {s}?)")).unwrap_or_default()
}
