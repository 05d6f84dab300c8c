//! Limits of block devices.

use super::Cgroup;
use crate::config::{BlockIo, ThrottleDevice};
use crate::error::{LaunchError, Step};
use cgroups_rs::Controller;
use cgroups_rs::blkio::BlkIoController;

/// Sets one device's rate.
type Throttle = fn(&BlkIoController, u64, u64, u64) -> cgroups_rs::error::Result<()>;

impl Cgroup {
    pub(super) fn limit_block_io(&self, wish: &BlockIo) -> Result<(), LaunchError> {
        let throttles: [(&str, &[ThrottleDevice], Throttle); 4] = [
            ("read rate", &wish.throttle_read_bps_device, BlkIoController::throttle_read_bps_for_device),
            ("write rate", &wish.throttle_write_bps_device, BlkIoController::throttle_write_bps_for_device),
            (
                "read operations",
                &wish.throttle_read_iops_device,
                BlkIoController::throttle_read_iops_for_device,
            ),
            (
                "write operations",
                &wish.throttle_write_iops_device,
                BlkIoController::throttle_write_iops_for_device,
            ),
        ];
        let idle = wish.weight.is_none() && wish.weight_device.is_empty();
        if idle && throttles.iter().all(|(_, list, _)| list.is_empty()) {
            return Ok(());
        }
        let block: &BlkIoController = self.controller("blkio")?;
        if let Some(weight) = wish.weight {
            let step = || format!("set the block I/O weight to {weight}");
            if self.group.v2() && !block.path().join("io.bfq.weight").exists() {
                // The library knows the weights of the BFQ scheduler alone.
                std::fs::write(block.path().join("io.weight"), io_weight(weight).to_string()).step(step())?;
            } else {
                block.set_weight(weight.into()).step(step())?;
            }
        }
        for device in &wish.weight_device {
            let (major, minor, weight) = (device.major, device.minor, device.weight);
            // Without BFQ there is none by device; runc leaves it at that too.
            if !self.group.v2() || block.path().join("io.bfq.weight").exists() {
                block
                    .set_weight_for_device(major, minor, weight.into())
                    .step(format!("set the block I/O weight of {major}:{minor} to {weight}"))?;
            }
        }
        for (what, list, set) in throttles {
            // 0 is no limit, which v2 does not take for a number.
            for ThrottleDevice { major, minor, rate } in list.iter().filter(|d| d.rate > 0) {
                set(block, *major, *minor, *rate)
                    .step(format!("set the {what} of device {major}:{minor} to {rate}"))?;
            }
        }
        Ok(())
    }
}

/// BFQ's weights (10 to 1000) as those of `io.weight` (1 to 10000), the conversion of runc.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    #[test]
    fn weights_span_the_whole_range() {
        assert_eq!([10, 500, 1000].map(super::io_weight), [1, 4950, 10_000]);
    }
}
