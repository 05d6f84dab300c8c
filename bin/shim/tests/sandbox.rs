//! What a container can see and do, from inside. Needs root and busybox-static.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod stage;

use serde_json::json;
use stage::Stage;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn nothing_of_the_host_is_mounted_or_open_inside() {
    let stage = Stage::new();
    let text = stage.shell("cat /proc/self/mountinfo; echo fds; ls /proc/self/fd");
    let (mounts, fds) = text.split_once("fds\n").unwrap();
    assert!(!mounts.contains(stage.dir.path().to_str().unwrap()), "{mounts}");
    let at = |point: &str| mounts.lines().find(|l| l.split(' ').nth(4) == Some(point)).unwrap_or_default();
    assert!(at("/proc").contains(" rw,nosuid,nodev,noexec,relatime "), "{mounts}");
    assert!(at("/sys").contains(" ro,nosuid,nodev,relatime "), "{mounts}");
    assert!(at("/dev/pts").contains("gid=5,mode=620,ptmxmode=666"), "{mounts}");
    assert!(at("/proc/sys").contains(" ro,"), "{mounts}");
    // The fourth is the one `ls` reads the folder with.
    assert_eq!(fds.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn capabilities_are_exactly_those_asked_for() {
    let mut stage = Stage::new();
    let caps = "grep -E 'CapInh|CapEff|CapBnd|CapAmb' /proc/self/status | tr -d '\\n\\t'";
    let none = "CapInh:0000000000000000";
    let expected = format!("{none}CapEff:00000000a80425fbCapBnd:00000000a80425fbCapAmb:0000000000000000");
    assert_eq!(stage.shell(caps), expected);
    stage.config["annotations"]["gantry.user"] = "1000".into();
    let expected = format!("{none}CapEff:0000000000000000CapBnd:00000000a80425fbCapAmb:0000000000000000");
    assert_eq!(stage.shell(caps), expected);
}

#[test]
fn the_filter_refuses_calls_that_need_rights_the_container_has_not() {
    let mut stage = Stage::new();
    let script = "grep Seccomp: /proc/self/status; unshare -m true; mount -t tmpfs x /tmp && echo mounted";
    let text = stage.shell(script);
    assert!(text.starts_with("Seccomp:\t2\n"), "{text}");
    assert!(text.contains("unshare") && text.contains("Operation not permitted"), "{text}");
    assert!(!text.contains("mounted"), "{text}");
    stage.allow("CAP_SYS_ADMIN");
    assert!(stage.shell(script).contains("mounted"));
}

/// A 32-bit ELF program: write(1, "32", 2), mount(0, 0, 0, 0, 0), exit(the errno of that).
fn program_of_32_bits() -> Vec<u8> {
    let base = 0x0804_8000_u32;
    let mut code = vec![0xb8, 4, 0, 0, 0, 0xbb, 1, 0, 0, 0, 0xb9];
    let text_at = code.len();
    code.extend([0, 0, 0, 0, 0xba, 2, 0, 0, 0, 0xcd, 0x80]);
    code.extend([0xb8, 21, 0, 0, 0, 0x31, 0xdb, 0x31, 0xc9, 0x31, 0xd2, 0x31, 0xf6, 0x31, 0xff, 0xcd, 0x80]);
    // ebx = -eax
    code.extend([0x89, 0xc3, 0xf7, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
    let text = base + 84 + u32::try_from(code.len()).unwrap();
    code[text_at..text_at + 4].copy_from_slice(&text.to_le_bytes());
    code.extend(b"32");
    let size = 84 + u32::try_from(code.len()).unwrap();
    let mut elf = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0];
    for word in [base + 84, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    for word in [1, 0, base, base, size, size, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// They got ENOSYS for every call and could not even start.
#[test]
fn programs_of_32_bits_run_under_the_same_policy() {
    let stage = Stage::new();
    let file = stage.image("bin/old");
    std::fs::write(&file, program_of_32_bits()).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let ended = stage.run(&["old"]).unwrap();
    match std::process::Command::new(&file).output() {
        Ok(_) => assert_eq!((ended.out.as_str(), ended.code), ("32", libc::EPERM)),
        // This kernel has no 32-bit programs, then a container has none either.
        Err(_) => assert_eq!(ended.code, 255),
    }
}

#[test]
fn hidden_paths_are_empty_and_kernel_settings_cannot_be_written() {
    let stage = Stage::new();
    let text = stage.shell(
        "cat /proc/keys /proc/timer_list | head -c 10; ls -A /sys/firmware; \
         test -e /proc/acpi && ls -A /proc/acpi; echo 1 > /proc/sys/kernel/panic",
    );
    assert!(text.ends_with("can't create /proc/sys/kernel/panic: Read-only file system\n"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn links_of_an_image_lead_no_mount_outside() {
    let mut stage = Stage::new();
    let outside = stage.host("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(stage.host("file"), "bound").unwrap();
    // Absolute, through the image's own root, upwards, and into nowhere.
    symlink(&outside, stage.image("absolute")).unwrap();
    symlink(format!("/../../../..{}", outside.display()), stage.image("tmp/upwards")).unwrap();
    symlink("/run/none", stage.image("nowhere")).unwrap();
    for target in ["/absolute/a", "/tmp/upwards/b", "/nowhere/c"] {
        stage.bind(&stage.host("file"), target, &["rbind"]);
    }
    let text = stage.shell("cat /absolute/a /tmp/upwards/b /nowhere/c /run/none/c");
    assert_eq!(text, "boundboundboundbound");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_volume_cannot_stand_in_for_proc() {
    for target in ["/proc", "/proc/self", "/link/kernel"] {
        let mut stage = Stage::new();
        std::fs::create_dir_all(stage.host("fake/kernel")).unwrap();
        symlink("/proc/sys", stage.image("link")).unwrap();
        stage.bind(&stage.host("fake"), target, &["rbind"]);
        let text = stage.run(&["true"]).unwrap_err();
        assert!(text.ends_with("cannot be mounted: it is inside /proc"), "{text}");
    }
    let mut stage = Stage::new();
    std::fs::write(stage.host("uptime"), "7").unwrap();
    stage.bind(&stage.host("uptime"), "/proc/uptime", &["rbind", "ro"]);
    assert_eq!(stage.shell("cat /proc/uptime"), "7");
}

#[test]
fn a_working_folder_of_the_hosts_is_not_to_be_had() {
    for number in 3..16 {
        let mut stage = Stage::new();
        stage.config["process"]["cwd"] = format!("/proc/self/fd/{number}").into();
        let ended = stage.run(&["sh", "-c", "pwd; ls ../../../../../../.."]);
        assert!(ended.is_err(), "{number}: {ended:?}");
    }
}

#[test]
fn settings_of_the_host_are_refused() {
    let mut stage = Stage::new();
    stage.config["linux"]["sysctl"] = json!({ "kernel.panic": "0" });
    let text = stage.run(&["true"]).unwrap_err();
    assert_eq!(text, "sysctl \"kernel.panic\" is not in a separate kernel namespace");
    stage.config["linux"]["sysctl"] = json!({ "kernel.shmmax": "8192" });
    assert_eq!(stage.shell("cat /proc/sys/kernel/shmmax"), "8192\n");
}

#[test]
fn a_read_only_bind_is_so_down_to_the_last_mount_below() {
    let mut stage = Stage::new();
    let folder = stage.host("volume");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "x"]).arg(folder.join("below")).status();
    assert!(mounted.unwrap().success());
    stage.bind(&folder, "/v", &["rbind", "rro"]);
    let text = stage.shell("touch /v/a; touch /v/below/a; echo $?");
    let unmounted = std::process::Command::new("umount").arg(folder.join("below")).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
}

#[test]
fn a_read_only_root_still_has_its_own_devices() {
    let mut stage = Stage::new();
    stage.config["root"] = json!({ "path": "", "readonly": true });
    let text = stage.shell("touch /a; echo x > /dev/null && touch /dev/b && echo fine");
    assert!(text.starts_with("fine") && text.contains("/a: Read-only file system"), "{text}");
}

#[test]
fn an_image_may_have_as_many_layers_as_docker_allows() {
    let mut stage = Stage::new();
    let mut overlay: serde_json::Value =
        serde_json::from_str(stage.config["annotations"]["gantry.overlay"].as_str().unwrap()).unwrap();
    for number in 0..126 {
        let layer = stage.host(&format!("{number:0>64}:layer"));
        std::fs::create_dir(&layer).unwrap();
        std::fs::write(layer.join(format!("l{number}")), "").unwrap();
        overlay["lower"].as_array_mut().unwrap().push(json!(layer));
    }
    stage.config["annotations"]["gantry.overlay"] = overlay.to_string().into();
    assert_eq!(stage.shell("ls /l0 /l125"), "/l0\n/l125\n");
}

#[test]
fn failures_to_run_a_program_have_dockers_words() {
    let stage = Stage::new();
    for (name, mode) in [("plain", 0o644), ("foreign", 0o755)] {
        std::fs::write(stage.image("bin").join(name), "\x01\x02").unwrap();
        std::fs::set_permissions(stage.image("bin").join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let words = |name: &str| stage.run(&[name]).unwrap_err();
    assert_eq!(words("nosuch"), "exec: \"nosuch\": executable file not found in $PATH");
    assert_eq!(words("/bin"), "exec: \"/bin\": is a directory");
    assert_eq!(words("/bin/plain"), "exec: \"/bin/plain\": permission denied");
    assert_eq!(words("/no/such"), "exec: \"/no/such\": stat /no/such: no such file or directory");
    let ended = stage.run(&["/bin/foreign"]).unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (255, "exec /bin/foreign: exec format error\n"));
}
