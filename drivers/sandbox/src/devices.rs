//! Device rules on cgroup v2, where they are an eBPF program on the group (kernel: bpf_cgroup_dev_ctx).

use crate::config::DeviceRule;
use crate::error::{LaunchError, Step};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// One eBPF instruction: opcode, registers (dst low, src high), offset, immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: dst | (src << 4), offset, immediate }
}

// Opcodes of the BPF ISA (RFC 9669).
const LOAD_WORD: u8 = 0x61;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE_IMMEDIATE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const JUMP_NOT_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

/// The program: later rules win, so they are tested last to first. r2 type, r3 access, r4 major, r5 minor.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut out = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(AND_IMMEDIATE, 2, 0, 0, 0xffff),
        instruction(LOAD_WORD, 3, 1, 0, 0),
        instruction(SHIFT_RIGHT, 3, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut tests: Vec<Vec<Instruction>> = Vec::new();
        let jump = |register: u8, value: i32| vec![instruction(JUMP_NOT_EQUAL, register, 0, 0, value)];
        match rule.kind.as_str() {
            "b" => tests.push(jump(2, 1)),
            "c" => tests.push(jump(2, 2)),
            _ => {}
        }
        let mut access = 0;
        for (letter, bit) in [('m', 1), ('r', 2), ('w', 4)] {
            if rule.access.contains(letter) {
                access |= bit;
            }
        }
        if access != 7 {
            // Applies only when nothing beyond the rule's rights is asked for.
            tests.push(vec![
                instruction(MOVE_REGISTER, 0, 3, 0, 0),
                instruction(AND_IMMEDIATE, 0, 0, 0, !access & 7),
                instruction(JUMP_NOT_EQUAL, 0, 0, 0, 0),
            ]);
        }
        for (register, value) in [(4, rule.major), (5, rule.minor)] {
            if let Some(value) = value.filter(|v| *v >= 0).and_then(|v| i32::try_from(v).ok()) {
                tests.push(jump(register, value));
            }
        }
        let mut block: Vec<Instruction> = tests.into_iter().flatten().collect();
        block.push(instruction(MOVE_IMMEDIATE, 0, 0, 0, i32::from(rule.allow)));
        block.push(instruction(EXIT, 0, 0, 0, 0));
        let length = block.len();
        let conditional = block.iter().any(|i| i.code == JUMP_NOT_EQUAL);
        for (index, one) in block.iter_mut().enumerate() {
            if one.code == JUMP_NOT_EQUAL {
                one.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
            }
        }
        out.extend(block);
        if !conditional {
            // It applies always, and the kernel refuses a program with instructions that are never reached.
            return out;
        }
    }
    out.push(instruction(MOVE_IMMEDIATE, 0, 0, 0, 0));
    out.push(instruction(EXIT, 0, 0, 0, 0));
    out
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads the rules as a program and attaches it to the group in `folder`.
pub fn restrict(folder: &Path, rules: &[DeviceRule]) -> Result<(), LaunchError> {
    let code = program(rules);
    let group = File::open(folder).step(format!("open cgroup {}", folder.display()))?;
    let load = LoadAttributes {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(code.len()).unwrap_or(u32::MAX),
        instructions: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: `load` and what it points to (code, license) live over the call; the size is the struct's.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<LoadAttributes>()) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).step("load the device program");
    }
    let fd = i32::try_from(fd).map_err(|e| LaunchError::new("load the device program", e))?;
    // SAFETY: the kernel has just handed this descriptor to us alone.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let attach = AttachAttributes {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: `attach` lives over the call; the size is the struct's.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<AttachAttributes>())
    };
    if done < 0 {
        return Err(std::io::Error::last_os_error()).step("attach the device program");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_does_not_apply_jumps_to_the_next_one() {
        let rule = DeviceRule {
            allow: true,
            kind: "c".into(),
            major: Some(1),
            minor: Some(3),
            access: "rwm".into(),
        };
        let code = program(&[rule]);
        let jumps: Vec<i16> = code.iter().filter(|i| i.code == JUMP_NOT_EQUAL).map(|i| i.offset).collect();
        assert_eq!(jumps, [4, 3, 2]);
        assert_eq!(code.last().map(|i| i.code), Some(EXIT));
    }

    /// A group of its own on the host's cgroup2 mount, removed with it.
    struct Group(std::path::PathBuf);

    impl Group {
        fn new() -> Self {
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
            let unified = mounts.lines().find(|l| l.split(' ').nth(2) == Some("cgroup2")).unwrap();
            let mount = Path::new(unified.split(' ').nth(1).unwrap());
            let folder = mount.join(format!("gantry-devices-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            std::fs::remove_dir(&self.0).unwrap();
        }
    }

    #[test]
    fn the_kernel_takes_the_program_and_keeps_to_it() {
        // Denying everything first left instructions that are never reached: no container started on a v2 host.
        let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
            allow,
            kind: kind.into(),
            major,
            minor,
            access: access.into(),
        };
        let rules = [
            rule(false, "a", None, None, "rwm"),
            rule(true, "c", None, None, "m"),
            rule(true, "c", Some(1), Some(3), "rwm"),
        ];
        let (group, folder) = (Group::new(), tempfile::tempdir().unwrap());
        restrict(&group.0, &rules).unwrap();
        let script = format!(
            "echo 0 > {}/cgroup.procs && cd {} && mknod null c 1 3 && mknod zero c 1 5 && echo > null && echo written
             head -c 1 zero || mknod disk b 8 0 || echo refused",
            group.0.display(),
            folder.path().display()
        );
        let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "written\nrefused\n", "{said:?}");
    }
}
