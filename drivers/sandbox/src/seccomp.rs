//! Docker's default system call policy as classic BPF, generated in microseconds for the container's capabilities: the
//! allowed numbers are folded into intervals and searched by halves, so a call costs some nine comparisons.

mod table;

use crate::error::{LaunchError, Step};
use std::collections::BTreeSet;

/// `struct sock_filter`.
type Filter = libc::sock_filter;

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + index * 8
}

/// Namespace flags of clone(2) that need CAP_SYS_ADMIN.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
const AF_VSOCK: u32 = 40;
/// personality(2) values that are harmless: Linux, the 32-bit persona, address space layout variants, query.
const PERSONALITIES: [u32; 5] = [0x0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

const fn op(code: u16, k: u32) -> Filter {
    Filter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Filter {
    Filter { code, jt, jf, k }
}

const fn deny(errno: i32) -> Filter {
    op(RETURN, ERRNO | errno.cast_unsigned())
}

/// The program for a container holding `capabilities`.
pub fn program(capabilities: &[String]) -> Vec<Filter> {
    let holds = |cap: &str| capabilities.iter().any(|c| c == cap);
    let admin = holds("CAP_SYS_ADMIN");
    let mut allowed: BTreeSet<i64> = table::ALWAYS.iter().copied().collect();
    for (capability, calls) in table::BY_CAPABILITY {
        if holds(capability) {
            allowed.extend(*calls);
        }
    }
    let mut out = vec![
        op(LOAD, ARCH),
        jump(JUMP_EQUAL, AUDIT_ARCH, 1, 0),
        deny(libc::ENOSYS),
        op(LOAD, NUMBER),
        // The x32 numbers of x86-64, and whatever is newer than this table.
        jump(JUMP_GREATER_EQUAL, table::NEWEST + 1, 0, 1),
        deny(libc::ENOSYS),
    ];
    // Calls judged by an argument come first; each block returns or falls through with the number reloaded.
    out.extend([
        jump(JUMP_EQUAL, number(libc::SYS_socket), 0, 4),
        op(LOAD, argument(0)),
        jump(JUMP_EQUAL, AF_VSOCK, 0, 1),
        deny(libc::EPERM),
        op(RETURN, ALLOW),
    ]);
    let count = PERSONALITIES.len();
    out.push(jump(JUMP_EQUAL, number(libc::SYS_personality), 0, u8::try_from(count + 3).unwrap_or(u8::MAX)));
    out.push(op(LOAD, argument(0)));
    for (index, value) in PERSONALITIES.iter().enumerate() {
        out.push(jump(JUMP_EQUAL, *value, u8::try_from(count - index).unwrap_or(0), 0));
    }
    out.extend([deny(libc::EPERM), op(RETURN, ALLOW)]);
    if admin {
        allowed.extend([libc::SYS_clone, libc::SYS_clone3]);
    } else {
        out.extend([
            jump(JUMP_EQUAL, number(libc::SYS_clone), 0, 5),
            op(LOAD, argument(0)),
            op(AND, NEW_NAMESPACES),
            jump(JUMP_EQUAL, 0, 1, 0),
            deny(libc::EPERM),
            op(RETURN, ALLOW),
            // Its flags lie in memory, out of a filter's sight; C libraries fall back to clone.
            jump(JUMP_EQUAL, number(libc::SYS_clone3), 0, 1),
            deny(libc::ENOSYS),
        ]);
    }
    search(&intervals(&allowed), &mut out);
    out
}

fn number(call: i64) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Where the answer changes: ascending numbers with the answer from there on.
fn intervals(allowed: &BTreeSet<i64>) -> Vec<(u32, bool)> {
    let mut out = vec![(0, allowed.contains(&0))];
    for n in 1..=table::NEWEST + 1 {
        let now = allowed.contains(&i64::from(n));
        if out.last().is_none_or(|(_, last)| *last != now) {
            out.push((n, now));
        }
    }
    out
}

/// Emits a binary search over the intervals.
fn search(intervals: &[(u32, bool)], out: &mut Vec<Filter>) {
    let middle = intervals.len() / 2;
    let (low, high) = intervals.split_at(middle);
    let Some((start, answer)) = high.first() else { return };
    if low.is_empty() {
        out.push(if *answer { op(RETURN, ALLOW) } else { deny(libc::EPERM) });
        return;
    }
    let mut below = Vec::new();
    search(low, &mut below);
    // A conditional jump reaches 255 instructions, an unconditional one any number.
    out.push(jump(JUMP_GREATER_EQUAL, *start, 0, 1));
    out.push(op(0x05, u32::try_from(below.len()).unwrap_or(u32::MAX)));
    out.extend(below);
    search(high, out);
}

/// Installs the program on the calling thread; it survives exec.
pub fn install(program: &[Filter]) -> Result<(), LaunchError> {
    let len = u16::try_from(program.len()).map_err(|e| LaunchError::new("install the seccomp filter", e))?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `fprog` and the program live over the call, which only reads them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, 1u32, 0u32, &raw const fprog) };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).step("install the seccomp filter");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program over one call, as the kernel would.
    fn verdict(program: &[Filter], call: i64, arg0: u32) -> u32 {
        let (mut pc, mut acc) = (0, 0);
        loop {
            let f = program[pc];
            pc += 1;
            match f.code {
                LOAD if f.k == ARCH => acc = AUDIT_ARCH,
                LOAD if f.k == NUMBER => acc = number(call),
                LOAD => acc = arg0,
                AND => acc &= f.k,
                RETURN => return f.k,
                0x05 => pc += f.k as usize,
                JUMP_EQUAL => pc += if acc == f.k { f.jt } else { f.jf } as usize,
                JUMP_GREATER_EQUAL => pc += if acc >= f.k { f.jt } else { f.jf } as usize,
                other => panic!("opcode {other}"),
            }
        }
    }

    #[test]
    fn every_call_gets_the_answer_of_the_table() {
        let plain = program(&[]);
        for call in 0..i64::from(table::NEWEST) {
            if [libc::SYS_socket, libc::SYS_personality, libc::SYS_clone, libc::SYS_clone3].contains(&call) {
                continue;
            }
            let expected = if table::ALWAYS.contains(&call) { ALLOW } else { ERRNO | 1 };
            assert_eq!(verdict(&plain, call, 0), expected, "call {call}");
        }
    }

    #[test]
    fn arguments_decide_where_numbers_cannot() {
        let plain = program(&[]);
        assert_eq!(verdict(&plain, libc::SYS_socket, 2), ALLOW);
        assert_eq!(verdict(&plain, libc::SYS_socket, AF_VSOCK), ERRNO | 1);
        assert_eq!(verdict(&plain, libc::SYS_personality, 0xffff_ffff), ALLOW);
        assert_eq!(verdict(&plain, libc::SYS_personality, 0x4000_0000), ERRNO | 1);
        assert_eq!(verdict(&plain, libc::SYS_clone, 17), ALLOW);
        assert_eq!(verdict(&plain, libc::SYS_clone, 0x1000_0000), ERRNO | 1);
        assert_eq!(verdict(&plain, libc::SYS_clone3, 0), ERRNO | 38);
        assert_eq!(verdict(&plain, libc::SYS_mount, 0), ERRNO | 1);
        assert_eq!(verdict(&program(&["CAP_SYS_ADMIN".into()]), libc::SYS_mount, 0), ALLOW);
        assert_eq!(verdict(&plain, 100_000, 0), ERRNO | 38);
    }
}
