//! Makes the system calls named on its command line and tells what the kernel answered: `NAME ok` or `NAME ERRNO`.
//! Arguments are chosen so that a call that is let through changes nothing that outlives this program, and fails in another
//! way than one that a policy refuses (EPERM).

use std::ffi::{c_char, c_int, c_long};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn umask(mask: c_int) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const EMPTY: *const c_char = c"".as_ptr();

/// Number on x86-64 and arguments.
fn call(name: &str) -> Option<(c_long, [c_long; 6])> {
    let none = EMPTY as c_long;
    Some(match name {
        "mkdir" => (83, [c"/tmp/made".as_ptr() as c_long, 0o755, 0, 0, 0, 0]),
        "chroot" => (161, [c"/".as_ptr() as c_long, 0, 0, 0, 0, 0]),
        "clone" => (56, [-1, 0, 0, 0, 0, 0]),
        "ptrace" => (101, [16, 1 << 22, 0, 0, 0, 0]),
        "personality" => (135, [0xffff_ffff, 0, 0, 0, 0, 0]),
        "mount" => (165, [none, none, none, 0, 0, 0]),
        "umount2" => (166, [none, 0, 0, 0, 0, 0]),
        "unshare" => (272, [0x1000_0000, 0, 0, 0, 0, 0]),
        "clone-newuser" => (56, [0x1000_0000 | 17, 0, 0, 0, 0, 0]),
        "clone3" => (435, [0, 0, 0, 0, 0, 0]),
        "setns" => (308, [-1, 0, 0, 0, 0, 0]),
        "keyctl" => (250, [0, -3, 0, 0, 0, 0]),
        "add_key" => (248, [none, none, none, 0, -3, 0]),
        "request_key" => (249, [none, none, none, -3, 0, 0]),
        "kexec_load" => (246, [0, 0, 0, 0, 0, 0]),
        "kexec_file_load" => (320, [-1, -1, 0, 0, 0, 0]),
        "init_module" => (175, [none, 0, none, 0, 0, 0]),
        "finit_module" => (313, [-1, none, 0, 0, 0, 0]),
        "delete_module" => (176, [none, 0, 0, 0, 0, 0]),
        "bpf" => (321, [-1, 0, 0, 0, 0, 0]),
        "perf_event_open" => (298, [0, 0, -1, -1, 0, 0]),
        "reboot" => (169, [0, 0, 0, 0, 0, 0]),
        "swapon" => (167, [none, 0, 0, 0, 0, 0]),
        "open_by_handle_at" => (304, [-1, 0, 0, 0, 0, 0]),
        "userfaultfd" => (323, [-1, 0, 0, 0, 0, 0]),
        "io_uring_setup" => (425, [0, 0, 0, 0, 0, 0]),
        "pivot_root" => (155, [none, none, 0, 0, 0, 0]),
        "settimeofday" => (164, [0, 0, 0, 0, 0, 0]),
        "iopl" => (172, [0, 0, 0, 0, 0, 0]),
        "vsock" => (41, [40, 1, 0, 0, 0, 0]),
        "inet" => (41, [2, 1, 0, 0, 0, 0]),
        "quotactl" => (179, [-1, none, 0, 0, 0, 0]),
        "fsopen" => (430, [none, 0, 0, 0, 0, 0]),
        _ => return None,
    })
}

fn main() {
    for name in std::env::args().skip(1) {
        if name == "umask" {
            // SAFETY: takes and gives numbers.
            println!("umask {:03o}", unsafe { umask(0) });
            continue;
        }
        let (number, a) = call(&name).unwrap_or_else(|| panic!("probe: unknown call {name}"));
        // SAFETY: every pointer among the arguments is null, invalid on purpose, or of a static string.
        let result = unsafe { syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
        if result == 0 && name == "clone-newuser" {
            // The copy has nothing to tell.
            std::process::exit(0);
        }
        // SAFETY: this thread's own errno.
        let errno = unsafe { *__errno_location() };
        if result >= 0 { println!("{name} ok") } else { println!("{name} {errno}") }
    }
}
