use super::*;

/// Runs the program over one call, as the kernel would.
fn verdict(program: &Program, arch: u32, call: u32, argument: u32) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let f = program.code()[at];
        at += 1;
        match f.code {
            LOAD if f.k == ARCH => value = arch,
            LOAD if f.k == NUMBER => value = call,
            LOAD => value = argument,
            AND => value &= f.k,
            RETURN => return f.k,
            JUMP => at += f.k as usize,
            JUMP_EQUAL => at += if value == f.k { f.jt } else { f.jf } as usize,
            JUMP_GREATER_EQUAL => at += if value >= f.k { f.jt } else { f.jf } as usize,
            other => panic!("opcode {other}"),
        }
    }
}

fn native(program: &Program, call: i64, argument: u32) -> u32 {
    verdict(program, NATIVE_ARCH, u32::try_from(call).unwrap(), argument)
}

const EPERM: u32 = ERRNO | 1;
const ENOSYS: u32 = ERRNO | 38;

#[test]
fn every_call_gets_the_answer_of_the_table() {
    let plain = Program::new(0);
    for call in 0..i64::from(table::NEWEST) {
        if [libc::SYS_socket, libc::SYS_personality, libc::SYS_clone, libc::SYS_clone3].contains(&call) {
            continue;
        }
        let expected = if table::ALWAYS.contains(&call) { ALLOW } else { EPERM };
        assert_eq!(native(&plain, call, 0), expected, "call {call}");
    }
}

#[test]
fn arguments_decide_where_numbers_cannot() {
    let plain = Program::new(0);
    assert_eq!(native(&plain, libc::SYS_socket, 2), ALLOW);
    assert_eq!(native(&plain, libc::SYS_socket, AF_VSOCK), EPERM);
    assert_eq!(native(&plain, libc::SYS_personality, 0xffff_ffff), ALLOW);
    assert_eq!(native(&plain, libc::SYS_personality, 0x4000_0000), EPERM);
    assert_eq!(native(&plain, libc::SYS_clone, 17), ALLOW);
    assert_eq!(native(&plain, libc::SYS_clone, 0x1000_0000), EPERM);
    assert_eq!(native(&plain, libc::SYS_clone3, 0), ENOSYS);
}

#[test]
fn capabilities_open_their_calls_and_no_others() {
    let admin = Program::new(1 << 21);
    assert_eq!(native(&Program::new(0), libc::SYS_mount, 0), EPERM);
    assert_eq!(native(&admin, libc::SYS_mount, 0), ALLOW);
    assert_eq!(native(&admin, libc::SYS_clone, 0x1000_0000), ALLOW);
    assert_eq!(native(&admin, libc::SYS_init_module, 0), EPERM);
}

#[test]
fn calls_newer_than_the_table_do_not_exist() {
    let plain = Program::new(0);
    assert_eq!(native(&plain, i64::from(table::NEWEST) + 1, 0), ENOSYS);
    assert_eq!(native(&plain, 100_000, 0), ENOSYS);
}

/// 32-bit programs once got ENOSYS for every call: they could not even start.
#[test]
fn programs_of_32_bits_are_judged_by_their_own_numbers() {
    let plain = Program::new(0);
    for (call, name) in compat::ALWAYS {
        if *call != compat::CLONE && *call != compat::CLONE3 {
            assert_eq!(verdict(&plain, COMPAT_ARCH, *call, 0), ALLOW, "{name}");
        }
    }
    // mount, umount2, pivot_root, keyctl, unshare, bpf, setns, kexec_load
    for call in [21, 52, 217, 288, 310, 357, 346, 283] {
        assert_eq!(verdict(&plain, COMPAT_ARCH, call, 0), EPERM, "{call}");
    }
    assert_eq!(verdict(&plain, COMPAT_ARCH, compat::SOCKET, AF_VSOCK), EPERM);
    assert_eq!(verdict(&plain, COMPAT_ARCH, compat::CLONE, 0x1000_0000), EPERM);
    assert_eq!(verdict(&plain, COMPAT_ARCH, compat::CLONE, 17), ALLOW);
    assert_eq!(verdict(&Program::new(1 << 21), COMPAT_ARCH, 21, 0), ALLOW);
}

#[test]
fn x32_calls_are_no_way_around_the_policy() {
    let plain = Program::new(0);
    let x32 = |call: i64| X32 | u32::try_from(call).unwrap();
    assert_eq!(verdict(&plain, NATIVE_ARCH, x32(libc::SYS_read), 0), ALLOW);
    assert_eq!(verdict(&plain, NATIVE_ARCH, x32(libc::SYS_mount), 0), EPERM);
    assert_eq!(verdict(&plain, NATIVE_ARCH, x32(libc::SYS_clone), 0x1000_0000), EPERM);
    assert_eq!(verdict(&plain, NATIVE_ARCH, x32(520), 0), ALLOW);
    assert_eq!(verdict(&plain, NATIVE_ARCH, x32(528), 0), EPERM);
}

#[test]
fn the_numbers_of_another_machine_kill() {
    assert_eq!(verdict(&Program::new(0), 0xc000_00b7, 0, 0), KILL);
}
