//! From the tables to a program, in `const` functions so that the usual one is ready when the shim starts.

#![expect(
    clippy::indexing_slicing,
    reason = "const functions have no iterators; bounds are the arrays' own, and the build runs them"
)]

use super::table;
use super::table_x86 as compat;

/// `struct sock_filter`.
pub type Filter = libc::sock_filter;

pub const LOAD: u16 = 0x20;
pub const JUMP: u16 = 0x05;
pub const JUMP_EQUAL: u16 = 0x15;
pub const JUMP_GREATER_EQUAL: u16 = 0x35;
pub const AND: u16 = 0x54;
pub const RETURN: u16 = 0x06;

pub const ALLOW: u32 = 0x7fff_0000;
pub const ERRNO: u32 = 0x0005_0000;
pub const KILL: u32 = 0x8000_0000;

pub const NATIVE_ARCH: u32 = 0xc000_003e;
pub const COMPAT_ARCH: u32 = 0x4000_0003;

/// Offsets in `struct seccomp_data`.
pub const NUMBER: u32 = 0;
pub const ARCH: u32 = 4;
/// Low half of the first argument.
pub const ARGUMENT: u32 = 16;

/// Namespace flags of clone(2) that need CAP_SYS_ADMIN.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
pub const AF_VSOCK: u32 = 40;
/// personality(2) values that are harmless: Linux, the 32-bit persona, address space layout variants, query.
const PERSONALITIES: [u32; 5] = [0x0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];
const CAP_SYS_ADMIN: u32 = 21;

/// x32 calls have the numbers of x86-64 with this bit, and a block of their own for those with 32-bit structures.
pub const X32: u32 = 0x4000_0000;
const X32_BLOCK: [u32; 2] = [512, 547];
/// In that block what is not for containers: kexec_load, move_pages.
const X32_DENIED: [u32; 2] = [528, 533];

/// Highest number looked up; all above answer ENOSYS.
const TOP: u32 = 575;

/// A set of call numbers up to [`TOP`].
#[derive(Clone, Copy)]
struct Numbers([u64; 9]);

impl Numbers {
    const fn with(mut self, number: u32) -> Self {
        if number <= TOP {
            self.0[(number / 64) as usize] |= 1 << (number % 64);
        }
        self
    }

    const fn has(&self, number: u32) -> bool {
        number <= TOP && self.0[(number / 64) as usize] & (1 << (number % 64)) != 0
    }
}

/// What a call is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allow,
    /// EPERM: known and not for containers.
    Refuse,
    /// ENOSYS: newer than the table, so that programs fall back.
    Unknown,
}

const fn same(a: Answer, b: Answer) -> bool {
    a as u8 == b as u8
}

/// The calls judged by their first argument, and clone3, whose flags lie in memory out of a filter's sight.
struct Judged {
    socket: u32,
    personality: u32,
    clone: u32,
    clone3: u32,
}

/// Where the answer changes: ascending numbers with the answer from there on.
struct Intervals {
    starts: [(u32, Answer); 256],
    count: usize,
}

/// A filter program.
pub struct Program {
    code: [Filter; 1024],
    length: usize,
}

/// The capabilities that the policy asks for.
pub const fn relevant() -> u64 {
    let (mut mask, mut i) = (1 << CAP_SYS_ADMIN, 0);
    while i < table::BY_CAPABILITY.len() {
        mask |= 1 << table::BY_CAPABILITY[i].0;
        i += 1;
    }
    mask
}

const fn native(capabilities: u64) -> Numbers {
    let mut out = Numbers([0; 9]);
    let mut i = 0;
    while i < table::ALWAYS.len() {
        out = out.with(table::ALWAYS[i] as u32);
        i += 1;
    }
    i = 0;
    while i < table::BY_CAPABILITY.len() {
        let (capability, calls) = table::BY_CAPABILITY[i];
        let mut k = 0;
        while capabilities & (1 << capability) != 0 && k < calls.len() {
            out = out.with(calls[k] as u32);
            k += 1;
        }
        i += 1;
    }
    if capabilities & (1 << CAP_SYS_ADMIN) != 0 {
        out = out.with(libc::SYS_clone as u32).with(libc::SYS_clone3 as u32);
    }
    let mut n = X32_BLOCK[0];
    while n <= X32_BLOCK[1] {
        if n != X32_DENIED[0] && n != X32_DENIED[1] {
            out = out.with(n);
        }
        n += 1;
    }
    out
}

const fn compat(capabilities: u64) -> Numbers {
    let mut out = Numbers([0; 9]);
    let mut i = 0;
    while i < compat::ALWAYS.len() {
        out = out.with(compat::ALWAYS[i].0);
        i += 1;
    }
    i = 0;
    while i < compat::BY_CAPABILITY.len() {
        let (capability, calls) = compat::BY_CAPABILITY[i];
        let mut k = 0;
        while capabilities & (1 << capability) != 0 && k < calls.len() {
            out = out.with(calls[k].0);
            k += 1;
        }
        i += 1;
    }
    if capabilities & (1 << CAP_SYS_ADMIN) != 0 {
        out = out.with(compat::CLONE).with(compat::CLONE3);
    }
    out
}

const fn intervals(allowed: &Numbers) -> Intervals {
    let mut out = Intervals { starts: [(0, Answer::Refuse); 256], count: 0 };
    let mut n = 0;
    while n <= TOP + 1 {
        let answer = if allowed.has(n) {
            Answer::Allow
        } else if n <= table::NEWEST || in_x32_block(n) {
            Answer::Refuse
        } else {
            Answer::Unknown
        };
        if out.count == 0 || !same(out.starts[out.count - 1].1, answer) {
            out.starts[out.count] = (n, answer);
            out.count += 1;
        }
        n += 1;
    }
    out
}

const fn in_x32_block(number: u32) -> bool {
    number >= X32_BLOCK[0] && number <= X32_BLOCK[1]
}

const fn op(code: u16, k: u32) -> Filter {
    Filter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Filter {
    Filter { code, jt, jf, k }
}

const fn deny(errno: i32) -> Filter {
    op(RETURN, ERRNO | errno.cast_unsigned())
}

impl Program {
    /// The program for holders of `capabilities`, a mask of their numbers.
    pub const fn new(capabilities: u64) -> Self {
        let mut this = Self { code: [op(RETURN, KILL); 1024], length: 0 };
        let judged = Judged {
            socket: libc::SYS_socket as u32,
            personality: libc::SYS_personality as u32,
            clone: libc::SYS_clone as u32,
            clone3: libc::SYS_clone3 as u32,
        };
        this.push(op(LOAD, ARCH));
        let skip_native = this.length + 1;
        this.push(jump(JUMP_EQUAL, NATIVE_ARCH, 1, 0));
        this.push(op(JUMP, 0));
        this.push(op(LOAD, NUMBER));
        this.push(op(AND, !X32));
        this.section(&judged, &native(capabilities), capabilities);
        this.code[skip_native].k = (this.length - skip_native - 1) as u32;
        let judged = Judged {
            socket: compat::SOCKET,
            personality: compat::PERSONALITY,
            clone: compat::CLONE,
            clone3: compat::CLONE3,
        };
        this.push(jump(JUMP_EQUAL, COMPAT_ARCH, 1, 0));
        // Another architecture's numbers mean other calls.
        this.push(op(RETURN, KILL));
        this.push(op(LOAD, NUMBER));
        this.section(&judged, &compat(capabilities), capabilities);
        this
    }

    /// Its instructions.
    pub fn code(&self) -> &[Filter] {
        self.code.get(..self.length).unwrap_or_default()
    }

    const fn push(&mut self, filter: Filter) {
        self.code[self.length] = filter;
        self.length += 1;
    }

    /// Judges a call whose number is loaded; every way through it ends in an answer.
    const fn section(&mut self, judged: &Judged, allowed: &Numbers, capabilities: u64) {
        self.push(jump(JUMP_EQUAL, judged.socket, 0, 4));
        self.push(op(LOAD, ARGUMENT));
        self.push(jump(JUMP_EQUAL, AF_VSOCK, 0, 1));
        self.push(deny(libc::EPERM));
        self.push(op(RETURN, ALLOW));
        let count = PERSONALITIES.len();
        self.push(jump(JUMP_EQUAL, judged.personality, 0, count as u8 + 3));
        self.push(op(LOAD, ARGUMENT));
        let mut i = 0;
        while i < count {
            self.push(jump(JUMP_EQUAL, PERSONALITIES[i], (count - i) as u8, 0));
            i += 1;
        }
        self.push(deny(libc::EPERM));
        self.push(op(RETURN, ALLOW));
        if capabilities & (1 << CAP_SYS_ADMIN) == 0 {
            self.push(jump(JUMP_EQUAL, judged.clone, 0, 5));
            self.push(op(LOAD, ARGUMENT));
            self.push(op(AND, NEW_NAMESPACES));
            self.push(jump(JUMP_EQUAL, 0, 1, 0));
            self.push(deny(libc::EPERM));
            self.push(op(RETURN, ALLOW));
            // C libraries fall back to clone.
            self.push(jump(JUMP_EQUAL, judged.clone3, 0, 1));
            self.push(deny(libc::ENOSYS));
        }
        let intervals = intervals(allowed);
        self.search(&intervals, 0, intervals.count);
    }

    /// A binary search over some of the intervals.
    const fn search(&mut self, intervals: &Intervals, from: usize, to: usize) {
        if to - from == 1 {
            self.push(match intervals.starts[from].1 {
                Answer::Allow => op(RETURN, ALLOW),
                Answer::Refuse => deny(libc::EPERM),
                Answer::Unknown => deny(libc::ENOSYS),
            });
            return;
        }
        let middle = from + (to - from) / 2;
        // A search over n intervals has n answers and n - 1 comparisons of two instructions: a conditional jump
        // reaches 255 instructions, an unconditional one any number.
        let below = 3 * (middle - from) - 2;
        self.push(jump(JUMP_GREATER_EQUAL, intervals.starts[middle].0, 0, 1));
        self.push(op(JUMP, below as u32));
        self.search(intervals, from, middle);
        self.search(intervals, middle, to);
    }
}

#[cfg(test)]
mod tests;
