//! One option: its key in daemon.json, its flag, and how its value is written.

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// True or false; as a flag, true when nothing follows.
    Switch,
    /// A whole number.
    Number,
    /// Bytes, as a number or with a unit (`64m`).
    Size,
    /// Texts; the flag is given once for each.
    List,
    /// Texts by name, `name=text` on the command line.
    Map,
    /// An object or list whose own reader knows its form.
    Own,
}

/// One option.
#[derive(Debug)]
pub(crate) struct Key {
    /// In daemon.json.
    pub name: &'static str,
    /// On the command line; empty = only in the file.
    pub flag: &'static str,
    /// One letter for it.
    pub short: Option<char>,
    /// How it is written.
    pub kind: Kind,
    /// What stands for the value in the help.
    pub value: &'static str,
    /// One line for the help.
    pub help: &'static str,
    /// A running daemon takes a new value over.
    pub reloads: bool,
}

impl Key {
    /// An option whose flag is named as its key.
    pub const fn new(name: &'static str, kind: Kind, value: &'static str, help: &'static str) -> Self {
        Self { name, flag: name, short: None, kind, value, help, reloads: false }
    }

    /// With a flag of another name; empty = without a flag.
    pub const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = flag;
        self
    }

    /// With a letter.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// SIGHUP takes a new value over.
    pub const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }
}

/// Options about one thing.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its heading in the help.
    pub heading: &'static str,
    /// They.
    pub keys: &'static [Key],
}

/// Heading of options that the help leaves out.
pub(crate) const HIDDEN: &str = "";
