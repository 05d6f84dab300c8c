//! The controllers that limit or count something for containers, as one hierarchy of the library's. Its own hierarchies
//! also bring in huge pages, perf and network classes, and with them a regular expression engine as big as the shim.

use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::devices::DevicesController;
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::hierarchies::{UNIFIED_MOUNTPOINT, V1, is_cgroup2_unified_mode};
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, Controllers, Hierarchy, Subsystem};
use std::path::{Path, PathBuf};

/// The host's hierarchies, v1 (also beside an idle v2 mount) or v2 alone.
#[derive(Debug, Clone)]
pub(super) enum Host {
    V1(V1),
    V2,
}

impl Host {
    /// Looks at what is mounted.
    pub(super) fn find() -> Self {
        if is_cgroup2_unified_mode() { Self::V2 } else { Self::V1(V1::new()) }
    }

    fn mount(&self, controller: Controllers, v2: &str) -> Option<PathBuf> {
        match (self, controller) {
            (Self::V1(v1), controller) => v1.get_mount_point(controller),
            // On v2 freezing is no controller but always there.
            (Self::V2, Controllers::Freezer) => Some(UNIFIED_MOUNTPOINT.into()),
            (Self::V2, Controllers::BlkIo) => has(v2, "io").then(|| UNIFIED_MOUNTPOINT.into()),
            (Self::V2, other) => has(v2, &other.to_string()).then(|| UNIFIED_MOUNTPOINT.into()),
        }
    }
}

fn has(controllers: &str, name: &str) -> bool {
    controllers.split_whitespace().any(|c| c == name)
}

impl Hierarchy for Host {
    fn subsystems(&self) -> Vec<Subsystem> {
        let v2 = self.v2();
        let controllers =
            if v2 { std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") } else { Ok(String::new()) };
        // An unreadable list is an empty one: a limit that needs a controller then says that it is not there.
        let controllers = controllers.unwrap_or_default();
        let mut out = Vec::new();
        let mut add = |controller, make: &dyn Fn(PathBuf) -> Subsystem| {
            out.extend(self.mount(controller, &controllers).map(make));
        };
        // The writeback of a page is charged to the group that blkio knew first, so that one is joined before memory.
        add(Controllers::BlkIo, &|at| Subsystem::BlkIo(BlkIoController::new(at, v2)));
        add(Controllers::Mem, &|at| Subsystem::Mem(MemController::new(at, v2)));
        add(Controllers::Pids, &|at| Subsystem::Pid(PidController::new(at, v2)));
        add(Controllers::CpuSet, &|at| Subsystem::CpuSet(CpuSetController::new(at, v2)));
        add(Controllers::Cpu, &|at| Subsystem::Cpu(CpuController::new(at, v2)));
        add(Controllers::Freezer, &|at| Subsystem::Freezer(FreezerController::new(at, v2)));
        if !v2 {
            add(Controllers::CpuAcct, &|at| Subsystem::CpuAcct(CpuAcctController::new(at)));
            add(Controllers::Devices, &|at| Subsystem::Devices(DevicesController::new(at)));
        }
        out
    }

    fn root(&self) -> PathBuf {
        UNIFIED_MOUNTPOINT.into()
    }

    fn root_control_group(&self) -> Cgroup {
        Cgroup::load(Box::new(self.clone()), "")
    }

    fn parent_control_group(&self, path: &str) -> Cgroup {
        Cgroup::load(Box::new(self.clone()), Path::new(path).parent().unwrap_or(Path::new("")))
    }

    fn v2(&self) -> bool {
        matches!(self, Self::V2)
    }
}
