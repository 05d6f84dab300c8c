//! `linux.seccomp` (runtime-spec 1.2).

use serde::Deserialize;

/// The policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seccomp {
    /// For calls without a rule that applies.
    pub default_action: String,
    /// Error number for the default.
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_X86_64`, …; the machine's own always counts.
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_…`.
    pub flags: Vec<String>,
    /// Rules.
    pub syscalls: Vec<SeccompCall>,
}

/// One rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeccompCall {
    /// Calls it is about.
    pub names: Vec<String>,
    /// `SCMP_ACT_…`.
    pub action: String,
    /// Error number.
    pub errno_ret: Option<u32>,
    /// Conditions.
    pub args: Vec<SeccompArg>,
}

/// A condition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeccompArg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// Compared with, or the mask.
    pub value: u64,
    /// Compared with after the mask.
    pub value_two: u64,
    /// `SCMP_CMP_…`.
    pub op: String,
}
