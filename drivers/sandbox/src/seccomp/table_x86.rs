//! Numbers of 32-bit x86 (arch/x86/entry/syscalls/syscall_32.tbl) for the calls of Docker's default policy, data only.

/// A call's number and, for the reader and the tests, its name.
pub type Call = (u32, &'static str);

/// Allowed to every container.
#[rustfmt::skip]
pub const ALWAYS: &[Call] = &[
    (0, "restart_syscall"), (1, "exit"), (2, "fork"), (3, "read"), (4, "write"), (5, "open"), (6, "close"),
    (7, "waitpid"), (8, "creat"), (9, "link"), (10, "unlink"), (11, "execve"), (12, "chdir"), (13, "time"),
    (14, "mknod"), (15, "chmod"), (16, "lchown"), (19, "lseek"), (20, "getpid"), (23, "setuid"), (24, "getuid"),
    (26, "ptrace"), (27, "alarm"), (29, "pause"), (30, "utime"), (33, "access"), (36, "sync"), (37, "kill"),
    (38, "rename"), (39, "mkdir"), (40, "rmdir"), (41, "dup"), (42, "pipe"), (43, "times"), (45, "brk"),
    (46, "setgid"), (47, "getgid"), (49, "geteuid"), (50, "getegid"), (54, "ioctl"), (55, "fcntl"), (57, "setpgid"),
    (60, "umask"), (63, "dup2"), (64, "getppid"), (65, "getpgrp"), (66, "setsid"), (70, "setreuid"), (71, "setregid"),
    (75, "setrlimit"), (76, "getrlimit"), (77, "getrusage"), (78, "gettimeofday"), (80, "getgroups"),
    (81, "setgroups"), (82, "select"), (83, "symlink"), (85, "readlink"), (90, "mmap"), (91, "munmap"),
    (92, "truncate"), (93, "ftruncate"), (94, "fchmod"), (95, "fchown"), (96, "getpriority"), (97, "setpriority"),
    (99, "statfs"), (100, "fstatfs"), (102, "socketcall"), (104, "setitimer"), (105, "getitimer"), (106, "stat"),
    (107, "lstat"), (108, "fstat"), (114, "wait4"), (116, "sysinfo"), (117, "ipc"), (118, "fsync"),
    (119, "sigreturn"), (122, "uname"), (123, "modify_ldt"), (124, "adjtimex"), (125, "mprotect"),
    (126, "sigprocmask"), (132, "getpgid"), (133, "fchdir"), (138, "setfsuid"), (139, "setfsgid"), (140, "_llseek"),
    (141, "getdents"), (142, "_newselect"), (143, "flock"), (144, "msync"), (145, "readv"), (146, "writev"),
    (147, "getsid"), (148, "fdatasync"), (150, "mlock"), (151, "munlock"), (152, "mlockall"), (153, "munlockall"),
    (154, "sched_setparam"), (155, "sched_getparam"), (156, "sched_setscheduler"), (157, "sched_getscheduler"),
    (158, "sched_yield"), (159, "sched_get_priority_max"), (160, "sched_get_priority_min"),
    (161, "sched_rr_get_interval"), (162, "nanosleep"), (163, "mremap"), (164, "setresuid"), (165, "getresuid"),
    (168, "poll"), (170, "setresgid"), (171, "getresgid"), (172, "prctl"), (173, "rt_sigreturn"),
    (174, "rt_sigaction"), (175, "rt_sigprocmask"), (176, "rt_sigpending"), (177, "rt_sigtimedwait"),
    (178, "rt_sigqueueinfo"), (179, "rt_sigsuspend"), (180, "pread64"), (181, "pwrite64"), (182, "chown"),
    (183, "getcwd"), (184, "capget"), (185, "capset"), (186, "sigaltstack"), (187, "sendfile"), (190, "vfork"),
    (191, "ugetrlimit"), (192, "mmap2"), (193, "truncate64"), (194, "ftruncate64"), (195, "stat64"), (196, "lstat64"),
    (197, "fstat64"), (198, "lchown32"), (199, "getuid32"), (200, "getgid32"), (201, "geteuid32"), (202, "getegid32"),
    (203, "setreuid32"), (204, "setregid32"), (205, "getgroups32"), (206, "setgroups32"), (207, "fchown32"),
    (208, "setresuid32"), (209, "getresuid32"), (210, "setresgid32"), (211, "getresgid32"), (212, "chown32"),
    (213, "setuid32"), (214, "setgid32"), (215, "setfsuid32"), (216, "setfsgid32"), (218, "mincore"),
    (219, "madvise"), (220, "getdents64"), (221, "fcntl64"), (224, "gettid"), (225, "readahead"), (226, "setxattr"),
    (227, "lsetxattr"), (228, "fsetxattr"), (229, "getxattr"), (230, "lgetxattr"), (231, "fgetxattr"),
    (232, "listxattr"), (233, "llistxattr"), (234, "flistxattr"), (235, "removexattr"), (236, "lremovexattr"),
    (237, "fremovexattr"), (238, "tkill"), (239, "sendfile64"), (240, "futex"), (241, "sched_setaffinity"),
    (242, "sched_getaffinity"), (243, "set_thread_area"), (244, "get_thread_area"), (245, "io_setup"),
    (246, "io_destroy"), (247, "io_getevents"), (248, "io_submit"), (249, "io_cancel"), (250, "fadvise64"),
    (252, "exit_group"), (254, "epoll_create"), (255, "epoll_ctl"), (256, "epoll_wait"), (257, "remap_file_pages"),
    (258, "set_tid_address"), (259, "timer_create"), (260, "timer_settime"), (261, "timer_gettime"),
    (262, "timer_getoverrun"), (263, "timer_delete"), (265, "clock_gettime"), (266, "clock_getres"),
    (267, "clock_nanosleep"), (268, "statfs64"), (269, "fstatfs64"), (270, "tgkill"), (271, "utimes"),
    (272, "fadvise64_64"), (277, "mq_open"), (278, "mq_unlink"), (279, "mq_timedsend"), (280, "mq_timedreceive"),
    (281, "mq_notify"), (282, "mq_getsetattr"), (284, "waitid"), (289, "ioprio_set"), (290, "ioprio_get"),
    (291, "inotify_init"), (292, "inotify_add_watch"), (293, "inotify_rm_watch"), (295, "openat"), (296, "mkdirat"),
    (297, "mknodat"), (298, "fchownat"), (299, "futimesat"), (300, "fstatat64"), (301, "unlinkat"), (302, "renameat"),
    (303, "linkat"), (304, "symlinkat"), (305, "readlinkat"), (306, "fchmodat"), (307, "faccessat"),
    (308, "pselect6"), (309, "ppoll"), (311, "set_robust_list"), (312, "get_robust_list"), (313, "splice"),
    (314, "sync_file_range"), (315, "tee"), (316, "vmsplice"), (318, "getcpu"), (319, "epoll_pwait"),
    (320, "utimensat"), (321, "signalfd"), (322, "timerfd_create"), (323, "eventfd"), (324, "fallocate"),
    (325, "timerfd_settime"), (326, "timerfd_gettime"), (327, "signalfd4"), (328, "eventfd2"), (329, "epoll_create1"),
    (330, "dup3"), (331, "pipe2"), (332, "inotify_init1"), (333, "preadv"), (334, "pwritev"),
    (335, "rt_tgsigqueueinfo"), (337, "recvmmsg"), (339, "fanotify_mark"), (340, "prlimit64"),
    (341, "name_to_handle_at"), (343, "clock_adjtime"), (344, "syncfs"), (345, "sendmmsg"), (347, "process_vm_readv"),
    (348, "process_vm_writev"), (351, "sched_setattr"), (352, "sched_getattr"), (353, "renameat2"), (354, "seccomp"),
    (355, "getrandom"), (356, "memfd_create"), (358, "execveat"), (360, "socketpair"), (361, "bind"),
    (362, "connect"), (363, "listen"), (364, "accept4"), (365, "getsockopt"), (366, "setsockopt"),
    (367, "getsockname"), (368, "getpeername"), (369, "sendto"), (370, "sendmsg"), (371, "recvfrom"),
    (372, "recvmsg"), (373, "shutdown"), (375, "membarrier"), (376, "mlock2"), (377, "copy_file_range"),
    (378, "preadv2"), (379, "pwritev2"), (380, "pkey_mprotect"), (381, "pkey_alloc"), (382, "pkey_free"),
    (383, "statx"), (384, "arch_prctl"), (385, "io_pgetevents"), (386, "rseq"), (393, "semget"), (394, "semctl"),
    (395, "shmget"), (396, "shmctl"), (397, "shmat"), (398, "shmdt"), (399, "msgget"), (400, "msgsnd"),
    (401, "msgrcv"), (402, "msgctl"), (403, "clock_gettime64"), (405, "clock_adjtime64"),
    (406, "clock_getres_time64"), (407, "clock_nanosleep_time64"), (408, "timer_gettime64"), (409, "timer_settime64"),
    (410, "timerfd_gettime64"), (411, "timerfd_settime64"), (412, "utimensat_time64"), (413, "pselect6_time64"),
    (414, "ppoll_time64"), (416, "io_pgetevents_time64"), (417, "recvmmsg_time64"), (418, "mq_timedsend_time64"),
    (419, "mq_timedreceive_time64"), (420, "semtimedop_time64"), (421, "rt_sigtimedwait_time64"),
    (422, "futex_time64"), (423, "sched_rr_get_interval_time64"), (424, "pidfd_send_signal"), (434, "pidfd_open"),
    (436, "close_range"), (437, "openat2"), (439, "faccessat2"), (441, "epoll_pwait2"),
    (444, "landlock_create_ruleset"), (445, "landlock_add_rule"), (446, "landlock_restrict_self"),
    (447, "memfd_secret"), (448, "process_mrelease"), (449, "futex_waitv"), (451, "cachestat"), (452, "fchmodat2"),
    (453, "map_shadow_stack"), (454, "futex_wake"), (455, "futex_wait"), (456, "futex_requeue"),
];

/// Allowed to holders of a capability, by its number.
#[rustfmt::skip]
pub const BY_CAPABILITY: &[(u32, &[Call])] = &[
    // CAP_DAC_READ_SEARCH
    (2, &[
        (342, "open_by_handle_at"),
    ]),
    // CAP_SYS_ADMIN
    (21, &[
        (21, "mount"), (22, "umount"), (52, "umount2"), (74, "sethostname"), (103, "syslog"), (121, "setdomainname"),
        (131, "quotactl"), (253, "lookup_dcookie"), (310, "unshare"), (336, "perf_event_open"),
        (338, "fanotify_init"), (346, "setns"), (357, "bpf"), (428, "open_tree"), (429, "move_mount"),
        (430, "fsopen"), (431, "fsconfig"), (432, "fsmount"), (433, "fspick"), (442, "mount_setattr"),
        (443, "quotactl_fd"),
    ]),
    // CAP_SYS_BOOT
    (22, &[
        (88, "reboot"),
    ]),
    // CAP_SYS_CHROOT
    (18, &[
        (61, "chroot"),
    ]),
    // CAP_SYS_MODULE
    (16, &[
        (128, "init_module"), (129, "delete_module"), (350, "finit_module"),
    ]),
    // CAP_SYS_PACCT
    (20, &[
        (51, "acct"),
    ]),
    // CAP_SYS_PTRACE
    (19, &[
        (349, "kcmp"), (438, "pidfd_getfd"), (440, "process_madvise"),
    ]),
    // CAP_SYS_RAWIO
    (17, &[
        (101, "ioperm"), (110, "iopl"),
    ]),
    // CAP_SYS_TIME
    (25, &[
        (25, "stime"), (79, "settimeofday"), (264, "clock_settime"), (404, "clock_settime64"),
    ]),
    // CAP_SYS_TTY_CONFIG
    (26, &[
        (111, "vhangup"),
    ]),
    // CAP_SYS_NICE
    (23, &[
        (274, "mbind"), (275, "get_mempolicy"), (276, "set_mempolicy"), (450, "set_mempolicy_home_node"),
    ]),
    // CAP_SYSLOG
    (34, &[
        (103, "syslog"),
    ]),
    // CAP_BPF
    (39, &[
        (357, "bpf"),
    ]),
    // CAP_PERFMON
    (38, &[
        (336, "perf_event_open"),
    ]),
];

/// Judged by its first argument, as the next two.
pub const SOCKET: u32 = 359;
/// See [`SOCKET`].
pub const PERSONALITY: u32 = 136;
/// See [`SOCKET`].
pub const CLONE: u32 = 120;
/// Its flags lie in memory.
pub const CLONE3: u32 = 435;
