//! `--blkio-weight-device` and `--device-{read,write}-{bps,iops}`.

use bollard::models::{ResourcesBlkioWeightDevice, ThrottleDevice};

use crate::units;

fn split(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, value)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

/// Reads `DEVICE:WEIGHT`.
pub fn weight(text: &str) -> Result<ResourcesBlkioWeightDevice, String> {
    let (path, value) = split(text)?;
    let weight = value.parse().ok().filter(|weight| *weight == 0 || (10..=1000usize).contains(weight));
    let weight = weight.ok_or_else(|| format!("invalid weight for device: {text}"))?;
    Ok(ResourcesBlkioWeightDevice { path: Some(path.to_owned()), weight: Some(weight) })
}

/// Reads `DEVICE:SIZE`.
pub fn bytes(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = split(text)?;
    let rate = units::ram_in_bytes(value).map_err(|_| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
    })?;
    Ok(ThrottleDevice { path: Some(path.to_owned()), rate: Some(rate) })
}

/// Reads `DEVICE:COUNT`.
pub fn operations(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = split(text)?;
    let rate = value.parse().ok().filter(|rate| *rate >= 0).ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
    })?;
    Ok(ThrottleDevice { path: Some(path.to_owned()), rate: Some(rate) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_weights_belong_to_a_device() {
        assert_eq!(bytes("/dev/sda:1mb").unwrap().rate, Some(1 << 20));
        assert_eq!(operations("/dev/sda:100").unwrap().rate, Some(100));
        assert_eq!(weight("/dev/sda:500").unwrap().weight, Some(500));
        assert!(
            bytes("sda:1").is_err() && operations("/dev/sda:1k").is_err() && weight("/dev/sda:5").is_err()
        );
    }
}
