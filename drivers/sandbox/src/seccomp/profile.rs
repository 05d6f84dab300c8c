//! A policy of the user's, in the runtime-spec's form (`linux.seccomp`), as classic BPF. It answers what libseccomp's would
//! with runc: the first rule without conditions decides a call, else the first whose conditions hold, else the default;
//! calls newer than all that the policy names answer ENOSYS where the default refuses.

use super::assemble::{Block, Comparison, Condition, Leaf, search};
use super::compile::{
    ALLOW, AND, ARCH, COMPAT_ARCH, ERRNO, Filter, JUMP, JUMP_EQUAL, JUMP_GREATER_EQUAL, KILL, LOAD,
    NATIVE_ARCH, NUMBER, RETURN, X32,
};
use super::names;
use crate::config::{Seccomp, SeccompArg};
use crate::error::LaunchError;
use std::collections::BTreeMap;

/// include/uapi/linux/seccomp.h
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
/// The kernel's limit on a program (BPF_MAXINSNS).
const MOST: usize = 4096;

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its program.
    pub code: Vec<Filter>,
    /// For seccomp(2).
    pub flags: u32,
}

fn wrong(text: String) -> LaunchError {
    LaunchError::new("read the seccomp profile", text)
}

fn action(name: &str, errno: Option<u32>) -> Result<u32, LaunchError> {
    let data = errno.unwrap_or(libc::EPERM.cast_unsigned()) & 0xffff;
    Ok(match name {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => ERRNO | data,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => KILL,
        "SCMP_ACT_TRAP" => TRAP,
        "SCMP_ACT_TRACE" => TRACE | data,
        "SCMP_ACT_LOG" => LOG,
        "SCMP_ACT_NOTIFY" => {
            return Err(wrong("SCMP_ACT_NOTIFY needs a listener, which there is none for".into()));
        }
        other => return Err(wrong(format!("string {other} is not a valid action for seccomp"))),
    })
}

fn condition(arg: &SeccompArg) -> Result<Condition, LaunchError> {
    if arg.index > 5 {
        return Err(wrong(format!("system calls have no argument {}", arg.index)));
    }
    let comparison = match arg.op.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual,
        "SCMP_CMP_LT" => Comparison::Less,
        "SCMP_CMP_LE" => Comparison::AtMost,
        "SCMP_CMP_EQ" => Comparison::Equal,
        "SCMP_CMP_GE" => Comparison::AtLeast,
        "SCMP_CMP_GT" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" => Comparison::Masked(arg.value),
        other => return Err(wrong(format!("string {other} is not a valid operator for seccomp"))),
    };
    let value = if matches!(comparison, Comparison::Masked(_)) { arg.value_two } else { arg.value };
    Ok(Condition { argument: arg.index, comparison, value })
}

/// What is said of one call.
#[derive(Debug, Default)]
struct Rules {
    conditional: Vec<(Vec<Condition>, u32)>,
    always: Option<u32>,
}

impl Rules {
    fn add(&mut self, conditions: &[Condition], answer: u32) {
        if self.always.is_some() {
            return;
        }
        if conditions.is_empty() {
            self.conditional.clear();
            self.always = Some(answer);
            return;
        }
        let twice = conditions
            .iter()
            .enumerate()
            .any(|(n, c)| conditions.iter().skip(n + 1).any(|other| other.argument == c.argument));
        if twice {
            // Two conditions on one argument are alternatives, as in runc.
            self.conditional.extend(conditions.iter().map(|c| (vec![c.clone()], answer)));
        } else {
            self.conditional.push((conditions.to_vec(), answer));
        }
    }
}

/// Which numbers a name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Native,
    /// Native, with x32 programs' own.
    WithX32,
    Compat,
}

impl Numbers {
    fn of(self, name: &str) -> Vec<u32> {
        let found = names::CALLS.binary_search_by_key(&name, |c| c.0).ok().and_then(|n| names::CALLS.get(n));
        let number = found.map(|(_, native, compat)| if self == Self::Compat { *compat } else { *native });
        let mut out: Vec<u32> = number.and_then(|n| u32::try_from(n).ok()).into_iter().collect();
        if self == Self::WithX32 {
            out.extend(names::X32.iter().filter(|(n, _)| *n == name).map(|(_, number)| *number));
        }
        out
    }
}

fn rules(
    profile: &Seccomp,
    default: u32,
    numbers: Numbers,
) -> Result<(BTreeMap<u32, Rules>, u32), LaunchError> {
    let mut all: BTreeMap<u32, Rules> = BTreeMap::new();
    let mut newest = 0;
    for call in &profile.syscalls {
        let answer = action(&call.action, call.errno_ret)?;
        let conditions = call.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        for name in &call.names {
            for number in numbers.of(name) {
                newest = newest.max(number);
                // Saying what holds anyway does not stand in the way of other rules.
                if answer != default {
                    all.entry(number).or_default().add(&conditions, answer);
                }
            }
            if numbers == Numbers::Compat && conditions.is_empty() && answer != default {
                for (number, which) in names::MULTIPLEXED {
                    for (_, value) in which.iter().filter(|(n, _)| n == name) {
                        let one =
                            Condition { argument: 0, comparison: Comparison::Masked(0xffff), value: *value };
                        all.entry(number).or_default().add(&[one], answer);
                    }
                }
            }
        }
    }
    Ok((all, newest))
}

/// The answers by number, ascending, each from its number on.
fn leaves(all: BTreeMap<u32, Rules>, default: u32, newest: u32) -> Vec<(u32, Leaf)> {
    let refuses = !matches!(default & 0xffff_0000, ALLOW | LOG | TRACE);
    let beyond = if refuses { ERRNO | libc::ENOSYS.cast_unsigned() } else { default };
    let mut out: Vec<(u32, Leaf)> = vec![(0, Leaf::Answer(default))];
    let mut put = |from: u32, leaf: Leaf| match out.last_mut() {
        Some((_, last)) if *last == leaf => {}
        Some((at, last)) if *at == from => *last = leaf,
        _ => out.push((from, leaf)),
    };
    for (number, rules) in all {
        let leaf = match rules.always {
            Some(answer) => Leaf::Answer(answer),
            None => Leaf::Judge(
                rules
                    .conditional
                    .into_iter()
                    .map(|(conditions, answer)| Block { conditions, answer })
                    .collect(),
                default,
            ),
        };
        put(number, leaf);
        put(number + 1, Leaf::Answer(default));
    }
    put(newest + 1, Leaf::Answer(beyond));
    out
}

const fn op(code: u16, k: u32) -> Filter {
    Filter { code, jt: 0, jf: 0, k }
}

/// Compiles it.
pub fn compile(profile: &Seccomp) -> Result<Policy, LaunchError> {
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut flags = 0;
    for flag in &profile.flags {
        flags |= match flag.as_str() {
            // The process has one thread.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => 2,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
            other => return Err(wrong(format!("seccomp flag {other} is not supported"))),
        };
    }
    let has = |name: &str| profile.architectures.iter().any(|a| a == name);
    if let Some(other) = profile.architectures.iter().find(|a| !a.starts_with("SCMP_ARCH_")) {
        return Err(wrong(format!("string {other} is not a valid arch for seccomp")));
    }
    let section = |numbers| -> Result<Vec<Filter>, LaunchError> {
        let (all, newest) = rules(profile, default, numbers)?;
        Ok(search(&leaves(all, default, newest)))
    };
    let native = section(if has("SCMP_ARCH_X32") { Numbers::WithX32 } else { Numbers::Native })?;
    let mut code = vec![op(LOAD, NUMBER)];
    if has("SCMP_ARCH_X32") {
        code.push(op(AND, !X32));
    } else {
        code.push(Filter { code: JUMP_GREATER_EQUAL, jt: 0, jf: 1, k: X32 });
        code.push(op(RETURN, KILL));
    }
    code.extend(native);
    let mut whole = vec![
        op(LOAD, ARCH),
        Filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: NATIVE_ARCH },
        op(JUMP, u32::try_from(code.len()).unwrap_or(u32::MAX)),
    ];
    whole.extend(code);
    if has("SCMP_ARCH_X86") {
        whole.push(Filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: COMPAT_ARCH });
        whole.push(op(RETURN, KILL));
        whole.push(op(LOAD, NUMBER));
        whole.extend(section(Numbers::Compat)?);
    } else {
        whole.push(op(RETURN, KILL));
    }
    if whole.len() > MOST {
        return Err(wrong(format!("it takes {} instructions, and the kernel at most {MOST}", whole.len())));
    }
    Ok(Policy { code: whole, flags })
}

#[cfg(test)]
mod tests;
