//! Docker's default system call policy as classic BPF, for x86-64 with its 32-bit and x32 programs. The program for Docker's default capabilities is made when this is
//! built, those for others by the same code when they are needed. Allowed numbers are folded into intervals and
//! searched by halves, so a call costs some nine comparisons (and after its first time none: the kernel remembers).

mod assemble;
mod compile;
mod names;
mod profile;
mod table;
mod table_x86;

pub use profile::{Policy, compile as compile_profile};

use crate::error::{LaunchError, Step};
use compile::Program;

/// Docker's default capabilities by number, as far as the policy asks for them: of all it does only SYS_CHROOT.
const DEFAULT: u64 = 1 << 18;
static DEFAULT_PROGRAM: Program = Program::new(DEFAULT);

/// What a process may ask of the kernel.
#[derive(Debug, Clone, Copy)]
pub enum Filter<'a> {
    /// Everything.
    None,
    /// What the default policy allows.
    Default,
    /// What a policy of the user's allows.
    Own(&'a Policy),
}

impl Filter<'_> {
    /// Puts it over the calling thread, a holder of `capabilities` (a mask of their numbers); it survives exec.
    pub fn install(self, capabilities: u64) -> Result<(), LaunchError> {
        let asked_for = capabilities & compile::relevant();
        match self {
            Self::None => Ok(()),
            Self::Default if asked_for == DEFAULT => load(DEFAULT_PROGRAM.code(), 0),
            Self::Default => load(Program::new(asked_for).code(), 0),
            Self::Own(policy) => load(&policy.code, policy.flags),
        }
    }
}

fn load(code: &[compile::Filter], flags: u32) -> Result<(), LaunchError> {
    let len = u16::try_from(code.len()).map_err(|e| LaunchError::new("install the seccomp filter", e))?;
    let fprog = libc::sock_fprog { len, filter: code.as_ptr().cast_mut() };
    // SAFETY: `fprog` and the program live over the call, which only reads them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("install the seccomp filter");
    }
    Ok(())
}

/// Names of the calls that the default policy allows to holders of `capabilities` whatever their arguments, for runtimes
/// that compile it themselves.
pub fn default_names(capabilities: u64) -> Vec<&'static str> {
    let held = |capability: u32| capabilities & (1 << capability) != 0;
    let mut native: Vec<i64> = table::ALWAYS.to_vec();
    native.extend(table::BY_CAPABILITY.iter().filter(|(c, _)| held(*c)).flat_map(|(_, calls)| *calls));
    let mut compat: Vec<u32> = table_x86::ALWAYS.iter().map(|(number, _)| *number).collect();
    let by = table_x86::BY_CAPABILITY.iter().filter(|(c, _)| held(*c));
    compat.extend(by.flat_map(|(_, calls)| calls.iter().map(|(number, _)| *number)));
    let allowed = names::CALLS.iter().filter(|(_, one, other)| {
        native.contains(&i64::from(*one)) || u32::try_from(*other).is_ok_and(|n| compat.contains(&n))
    });
    allowed.map(|(name, _, _)| *name).collect()
}
