//! System call policies of the user's.

use gantry_tests::{Daemon, Output, image};
use serde_json::{Value, json};

#[track_caller]
fn inside(gantry: &Daemon, options: &str, text: &str) -> Output {
    let mut args = vec!["run", "--rm"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", text]);
    gantry.docker(args)
}

/// A file with a profile.
fn profile(gantry: &Daemon, name: &str, content: &Value) -> String {
    format!("--security-opt seccomp={}", gantry.write(name, content.to_string()).display())
}

#[test]
fn a_profile_of_the_users_decides_which_calls_are_refused_and_how() {
    let gantry = Daemon::start();
    let rule = |names: Value, more: Value| {
        let mut rule = json!({"names": names, "action": "SCMP_ACT_ERRNO"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let options = profile(
        &gantry,
        "deny.json",
        &json!({"defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
        "syscalls": [
            rule(json!(["mkdir", "mkdirat"]), json!({"errnoRet": 98})),
            rule(json!(["chmod", "fchmodat"]), json!({"args": [{"index": 1, "value": 0o700, "op": "SCMP_CMP_EQ"}],
                "includes": {"arches": ["amd64"]}})),
            rule(json!(["fchmodat"]), json!({"args": [{"index": 2, "value": 0o700, "op": "SCMP_CMP_EQ"}]})),
            rule(json!(["chown", "fchownat", "lchown"]), json!({"includes": {"caps": ["CAP_SYS_ADMIN"]}})),
            rule(json!(["unlink", "unlinkat"]), json!({"excludes": {"caps": ["CAP_CHOWN"]}})),
            rule(json!(["no_such_call"]), json!({})),
        ]}),
    );
    let text = "mkdir /tmp/x; touch /tmp/f; chmod 600 /tmp/f && echo mode; chmod 700 /tmp/f; chown 5 /tmp/f && echo owner; rm /tmp/f && echo gone";
    let said = inside(&gantry, &options, text);
    assert_eq!(said.stdout, "mode\nowner\ngone\n", "{said}");
    assert!(
        said.stderr.contains("Address in use") || said.stderr.contains("Address already in use"),
        "{said}"
    );
    assert!(said.stderr.contains("/tmp/f: Operation not permitted"), "{said}");
    let admin = inside(
        &gantry,
        &format!("{options} --cap-add SYS_ADMIN --cap-drop CHOWN"),
        "touch /tmp/f; chown 0 /tmp/f; rm -f /tmp/f",
    );
    assert_eq!(admin.stderr.matches("not permitted").count(), 2, "{admin}");
    // An exec is under the same, and so is a privileged container that brings one.
    let mut args = vec!["run", "-d", "--name", "under"];
    args.extend(options.split(' '));
    gantry.docker(args.into_iter().chain(["busybox", "sleep", "1000"])).ok();
    assert!(gantry.docker(["exec", "under", "mkdir", "/tmp/x"]).fails(1).contains("ddress"));
    assert!(inside(&gantry, &format!("{options} --privileged"), "mkdir /tmp/x").fails(1).contains("ddress"));
}

/// What starting a container, busybox and the probe need.
const ALLOWED: &str = "access arch_prctl brk capget capset chdir close close_range dup dup2 dup3 execve exit exit_group \
    faccessat faccessat2 fchown fcntl fork fstat futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid \
    getrandom gettid getuid ioctl kill lseek lstat madvise mkdir mmap mprotect munmap newfstatat open openat pipe pipe2 \
    poll ppoll prctl prlimit64 read readlink readv recvmsg rseq rt_sigaction rt_sigprocmask rt_sigreturn \
    sched_getaffinity sendmsg set_robust_list set_tid_address setgid setgroups setpgid setresgid setresuid setsid setuid \
    sigaltstack stat statx tgkill umask uname vfork wait4 write writev";

#[test]
fn dockers_own_profile_in_a_file_is_as_good_as_the_built_in_one() {
    let gantry = Daemon::start();
    // The shape of moby's default: an allow list, conditions, and calls by capability.
    let allowed: Vec<&str> = ALLOWED.split_whitespace().collect();
    let options = profile(
        &gantry,
        "allow.json",
        &json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
        "syscalls": [
            {"names": allowed, "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
             "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["mount", "unshare"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        ]}),
    );
    let probe = format!("{options} -v {}:/probe:ro", image::probe().display());
    let said = inside(&gantry, &probe, "/probe mount unshare clone-newuser clone3 keyctl mkdir");
    assert_eq!(said.ok(), "mount 1\nunshare 1\nclone-newuser 1\nclone3 38\nkeyctl 1\nmkdir ok");
    let said = inside(&gantry, &format!("{probe} --cap-add SYS_ADMIN"), "/probe mount unshare");
    assert!(!said.ok().lines().any(|l| l.ends_with(" 1")), "{said}");
}
