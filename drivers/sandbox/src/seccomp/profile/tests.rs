use super::*;
use crate::config::SeccompCall;

/// Runs the program over one call, as the kernel would.
fn verdict(code: &[Filter], arch: u32, call: u32, arguments: [u64; 2]) -> u32 {
    let (mut at, mut value) = (0, 0_u32);
    loop {
        let f = code[at];
        at += 1;
        match f.code {
            LOAD if f.k == ARCH => value = arch,
            LOAD if f.k == NUMBER => value = call,
            LOAD => {
                let word = arguments[(f.k as usize - 16) / 8];
                value = if f.k.is_multiple_of(8) { word as u32 } else { (word >> 32) as u32 };
            }
            AND => value &= f.k,
            RETURN => return f.k,
            JUMP => at += f.k as usize,
            JUMP_EQUAL => at += if value == f.k { f.jt } else { f.jf } as usize,
            JUMP_GREATER_EQUAL => at += if value >= f.k { f.jt } else { f.jf } as usize,
            0x25 => at += if value > f.k { f.jt } else { f.jf } as usize,
            other => panic!("opcode {other}"),
        }
    }
}

fn call(names: &[&str], action: &str, args: Vec<SeccompArg>) -> SeccompCall {
    SeccompCall {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        action: action.into(),
        args,
        ..Default::default()
    }
}

fn arg(index: u32, op: &str, value: u64, value_two: u64) -> SeccompArg {
    SeccompArg { index, op: op.into(), value, value_two }
}

fn profile(default: &str, syscalls: Vec<SeccompCall>) -> Seccomp {
    let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"].map(str::to_owned).to_vec();
    Seccomp { default_action: default.into(), architectures, syscalls, ..Seccomp::default() }
}

const EPERM: u32 = ERRNO | 1;
const MKDIR: u32 = 83;

#[test]
fn names_are_sorted_so_that_they_are_found() {
    assert!(names::CALLS.is_sorted_by_key(|c| c.0));
    for (name, native, _) in [("read", 0, 3), ("mseal", 462, 462), ("keyctl", 250, 288)] {
        assert_eq!(Numbers::Native.of(name), [native], "{name}");
    }
}

#[test]
fn what_is_not_named_gets_the_default_and_what_is_newer_enosys() {
    let code = compile(&profile(
        "SCMP_ACT_ERRNO",
        vec![call(&["read", "mkdir", "fchmodat2"], "SCMP_ACT_ALLOW", vec![])],
    ))
    .unwrap()
    .code;
    let native = |n| verdict(&code, NATIVE_ARCH, n, [0, 0]);
    assert_eq!([native(0), native(MKDIR), native(1), native(84)], [ALLOW, ALLOW, EPERM, EPERM]);
    assert_eq!(native(453), ERRNO | 38, "newer than all that the policy knows");
    assert_eq!(verdict(&code, COMPAT_ARCH, 39, [0, 0]), ALLOW, "mkdir of a 32-bit program");
    assert_eq!(verdict(&code, COMPAT_ARCH, MKDIR, [0, 0]), EPERM);
    assert_eq!(verdict(&code, 0xc000_00b7, 0, [0, 0]), KILL, "another architecture");
    assert_eq!(verdict(&code, NATIVE_ARCH, X32, [0, 0]), KILL, "x32 was not listed");
}

#[test]
fn arguments_are_compared_whole_in_every_way() {
    let big = 0x1_0000_0005_u64;
    for (op, below, same, above) in [
        ("SCMP_CMP_NE", true, false, true),
        ("SCMP_CMP_LT", true, false, false),
        ("SCMP_CMP_LE", true, true, false),
        ("SCMP_CMP_EQ", false, true, false),
        ("SCMP_CMP_GE", false, true, true),
        ("SCMP_CMP_GT", false, false, true),
    ] {
        let rule = call(&["mkdir"], "SCMP_ACT_ERRNO", vec![arg(1, op, big, 0)]);
        let code = compile(&profile("SCMP_ACT_ALLOW", vec![rule])).unwrap().code;
        let holds = |value| verdict(&code, NATIVE_ARCH, MKDIR, [9, value]) == EPERM;
        assert_eq!([holds(big - 1), holds(big), holds(big + 1)], [below, same, above], "{op}");
        assert_eq!(holds(5), below, "{op}: only the upper half differs");
    }
}

#[test]
fn a_masked_comparison_takes_its_datum_from_the_second_value() {
    let rule = call(&["clone"], "SCMP_ACT_ALLOW", vec![arg(0, "SCMP_CMP_MASKED_EQ", 0x7e02_0000, 0)]);
    let code = compile(&profile("SCMP_ACT_ERRNO", vec![rule])).unwrap().code;
    let clone = |flags| verdict(&code, NATIVE_ARCH, 56, [flags, 0]);
    assert_eq!([clone(17), clone(0x1000_0000)], [ALLOW, EPERM]);
}

#[test]
fn all_conditions_of_a_rule_must_hold_and_those_on_one_argument_are_alternatives() {
    let both =
        call(&["mkdir"], "SCMP_ACT_ALLOW", vec![arg(0, "SCMP_CMP_EQ", 1, 0), arg(1, "SCMP_CMP_EQ", 2, 0)]);
    let code = compile(&profile("SCMP_ACT_ERRNO", vec![both])).unwrap().code;
    let mkdir = |a, b| verdict(&code, NATIVE_ARCH, MKDIR, [a, b]);
    assert_eq!([mkdir(1, 2), mkdir(1, 3), mkdir(3, 2)], [ALLOW, EPERM, EPERM]);
    let either =
        call(&["mkdir"], "SCMP_ACT_ALLOW", vec![arg(0, "SCMP_CMP_EQ", 1, 0), arg(0, "SCMP_CMP_EQ", 2, 0)]);
    let code = compile(&profile("SCMP_ACT_ERRNO", vec![either])).unwrap().code;
    let mkdir = |a| verdict(&code, NATIVE_ARCH, MKDIR, [a, 0]);
    assert_eq!([mkdir(1), mkdir(2), mkdir(3)], [ALLOW, ALLOW, EPERM]);
}

#[test]
fn a_rule_without_conditions_counts_more_than_those_with_them() {
    let some = call(&["mkdir"], "SCMP_ACT_KILL_PROCESS", vec![arg(0, "SCMP_CMP_EQ", 1, 0)]);
    let all = SeccompCall { errno_ret: Some(99), ..call(&["mkdir"], "SCMP_ACT_ERRNO", vec![]) };
    let code = compile(&profile("SCMP_ACT_ALLOW", vec![some, all])).unwrap().code;
    assert_eq!(verdict(&code, NATIVE_ARCH, MKDIR, [1, 0]), ERRNO | 99);
}

#[test]
fn a_socket_refused_to_64_bit_programs_is_refused_to_32_bit_ones_too() {
    let code =
        compile(&profile("SCMP_ACT_ALLOW", vec![call(&["socket"], "SCMP_ACT_ERRNO", vec![])])).unwrap().code;
    assert_eq!(verdict(&code, NATIVE_ARCH, 41, [0, 0]), EPERM);
    assert_eq!(verdict(&code, COMPAT_ARCH, 102, [1, 0]), EPERM, "socketcall(SYS_SOCKET)");
    assert_eq!(verdict(&code, COMPAT_ARCH, 102, [3, 0]), ALLOW, "socketcall(SYS_CONNECT)");
}

#[test]
fn unknown_words_are_named() {
    for (wrong, text) in [
        (profile("SCMP_ACT_MAYBE", vec![]), "SCMP_ACT_MAYBE"),
        (profile("SCMP_ACT_ALLOW", vec![call(&["read"], "SCMP_ACT_NOTIFY", vec![])]), "SCMP_ACT_NOTIFY"),
        (
            profile("SCMP_ACT_ALLOW", vec![call(&["read"], "SCMP_ACT_LOG", vec![arg(0, "<", 0, 0)])]),
            "string < is",
        ),
    ] {
        assert!(compile(&wrong).unwrap_err().to_string().contains(text));
    }
}
