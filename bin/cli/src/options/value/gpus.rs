//! `--gpus`.

use bollard::models::DeviceRequest;

use super::{csv, map};

fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    super::int(text).map_err(|error| {
        let why = error.rsplit(": ").next().unwrap_or_default().to_owned();
        format!("invalid count ({text}): value must be either \"all\" or an integer: {why}")
    })
}

/// Reads `all`, a count, or `driver=…,device=…,capabilities=…,options=…`.
pub fn request(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    for field in csv::fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some(pair) => pair,
            None => ("count", field.as_str()),
        };
        if seen.iter().any(|known| known == key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match key {
            "driver" => request.driver = Some(value.to_owned()),
            "count" => request.count = Some(count(value)?),
            "device" => request.device_ids = Some(list()),
            "capabilities" => {
                request.capabilities = Some(vec![list().into_iter().chain(["gpu".to_owned()]).collect()]);
            }
            "options" => {
                let fields =
                    csv::fields(value).map_err(|error| format!("failed to read gpu options: {error}"))?;
                request.options = Some(map(&fields));
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if request.count.is_none() && request.device_ids.is_none() {
        request.count = Some(1);
    }
    request.capabilities.get_or_insert_with(|| vec![vec!["gpu".to_owned()]]);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_or_named() {
        assert_eq!(request("all").unwrap().count, Some(-1));
        assert_eq!(request("\"device=0,1\"").unwrap().device_ids.unwrap(), ["0", "1"]);
        assert_eq!(request("2,capabilities=compute").unwrap().capabilities.unwrap(), [["compute", "gpu"]]);
        assert!(request("some").is_err() && request("1,count=2").is_err() && request("x=1").is_err());
    }
}
