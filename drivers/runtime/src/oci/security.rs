//! `--security-opt`, in Docker's forms.

use contract::record::ContainerSpec;

/// What the options say; later ones win.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Security<'a> {
    /// Programs gain no rights by being executed.
    pub no_new_privileges: bool,
    /// The container may write to its control groups; when not said, privileged ones may.
    pub writable_cgroups: Option<bool>,
    /// `unconfined`, `builtin`, or a profile's text.
    pub seccomp: Option<&'a str>,
    /// An AppArmor profile's name.
    pub apparmor: Option<&'a str>,
    /// Whether SELinux labels other than `disable` were asked for.
    pub labelled: bool,
}

/// Go's `strconv.ParseBool`.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

impl<'a> Security<'a> {
    /// Reads them; the error is Docker's text.
    pub fn read(options: &'a [String]) -> Result<Self, String> {
        let mut out = Self::default();
        for option in options {
            let wrong = |step: u8| format!("invalid --security-opt {step}: {option:?}");
            match option.as_str() {
                "no-new-privileges" => out.no_new_privileges = true,
                "writable-cgroups" => out.writable_cgroups = Some(true),
                "disable" => out.labelled = false,
                _ => {
                    // A colon is the older form, for options without an equals sign.
                    let parted = option.split_once('=').or_else(|| option.split_once(':'));
                    let (key, value) = parted.ok_or_else(|| wrong(1))?;
                    match key {
                        "label" => out.labelled = value != "disable",
                        "apparmor" => out.apparmor = Some(value),
                        "seccomp" => out.seccomp = Some(value),
                        "no-new-privileges" => {
                            out.no_new_privileges = truth(value).ok_or_else(|| wrong(2))?;
                        }
                        "writable-cgroups" => {
                            out.writable_cgroups = Some(truth(value).ok_or_else(|| wrong(2))?);
                        }
                        _ => return Err(wrong(2)),
                    }
                }
            }
        }
        Ok(out)
    }

    /// Those of a container, which were checked when it was made.
    pub fn of(spec: &'a ContainerSpec) -> Self {
        Self::read(&spec.security_opt).unwrap_or_default()
    }
}

/// Which system call policy a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy<'a> {
    /// None.
    Unconfined,
    /// The engine's.
    Default,
    /// A profile of the user's.
    Profile(&'a str),
}

/// A container's policy. A privileged one has none unless it brings its own.
pub fn policy(spec: &ContainerSpec) -> Policy<'_> {
    match Security::of(spec).seccomp {
        Some("unconfined") => Policy::Unconfined,
        None | Some("builtin" | "") if spec.privileged => Policy::Unconfined,
        None | Some("builtin" | "") => Policy::Default,
        Some(text) => Policy::Profile(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> Result<(bool, Option<bool>, Option<String>), String> {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let read = Security::read(&options)?;
        Ok((read.no_new_privileges, read.writable_cgroups, read.seccomp.map(str::to_owned)))
    }

    #[test]
    fn the_last_word_on_a_matter_counts() {
        assert_eq!(read(&["no-new-privileges", "no-new-privileges=false"]), Ok((false, None, None)));
        assert_eq!(read(&["no-new-privileges:true", "label=disable"]), Ok((true, None, None)));
        let both = ["seccomp=unconfined", "writable-cgroups=true", "apparmor=unconfined"];
        assert_eq!(read(&both), Ok((false, Some(true), Some("unconfined".into()))));
    }

    #[test]
    fn what_docker_does_not_know_is_refused_in_its_words() {
        assert_eq!(read(&["nonsense"]), Err("invalid --security-opt 1: \"nonsense\"".into()));
        assert_eq!(read(&["color=red"]), Err("invalid --security-opt 2: \"color=red\"".into()));
        let maybe = "no-new-privileges=maybe";
        assert_eq!(read(&[maybe]), Err(format!("invalid --security-opt 2: {maybe:?}")));
    }
}
