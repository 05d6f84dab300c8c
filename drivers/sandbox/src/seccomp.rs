//! Docker's default system call policy as classic BPF, for x86-64 with its 32-bit and x32 programs. The program for Docker's default capabilities is made when this is
//! built, those for others by the same code when they are needed. Allowed numbers are folded into intervals and
//! searched by halves, so a call costs some nine comparisons (and after its first time none: the kernel remembers).

mod compile;
mod table;
mod table_x86;

use crate::error::{LaunchError, Step};
use compile::Program;

/// Docker's default capabilities by number, as far as the policy asks for them: of all it does only SYS_CHROOT.
const DEFAULT: u64 = 1 << 18;
static DEFAULT_PROGRAM: Program = Program::new(DEFAULT);

/// Installs the policy for holders of `capabilities` (a mask of their numbers) on the calling thread; it survives exec.
pub fn install(capabilities: u64) -> Result<(), LaunchError> {
    let asked_for = capabilities & compile::relevant();
    if asked_for == DEFAULT { load(&DEFAULT_PROGRAM) } else { load(&Program::new(asked_for)) }
}

fn load(program: &Program) -> Result<(), LaunchError> {
    let code = program.code();
    let len = u16::try_from(code.len()).map_err(|e| LaunchError::new("install the seccomp filter", e))?;
    let fprog = libc::sock_fprog { len, filter: code.as_ptr().cast_mut() };
    // SAFETY: `fprog` and the program live over the call, which only reads them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0u32, &raw const fprog) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("install the seccomp filter");
    }
    Ok(())
}
