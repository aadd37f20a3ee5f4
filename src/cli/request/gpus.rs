//! `--gpus`, and names of CDI files in `--device`.

use std::collections::BTreeMap;

use super::mount::split_csv;
use crate::container::DeviceRequest;

/// Reads `--gpus`: `all`, a number, or fields like `device=0,count=1,capabilities=video`.
pub(super) fn parse_gpus(text: &str) -> Result<DeviceRequest, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    for field in split_csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), value),
            None => ("count".to_owned(), field.as_str()),
        };
        if seen.contains(&key) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        match key.as_str() {
            "driver" => value.clone_into(&mut request.driver),
            "count" => request.count = count(value)?,
            "device" => request.device_ids = words(value),
            "capabilities" => {
                let mut list = words(value);
                list.push("gpu".to_owned());
                request.capabilities = vec![list];
            }
            "options" => {
                let pair = |text: String| match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None => (text, String::new()),
                };
                request.options = split_csv(value)?.into_iter().map(pair).collect::<BTreeMap<_, _>>();
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        seen.push(key);
    }
    let has = |key: &str| seen.iter().any(|seen| seen == key);
    if !has("count") && request.device_ids.is_empty() {
        request.count = 1;
    }
    if !has("capabilities") {
        request.capabilities = vec![vec!["gpu".to_owned()]];
    }
    Ok(request)
}

fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    text.parse().map_err(|_| {
        format!("invalid count ({text}): value must be either \"all\" or an integer: invalid syntax")
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests_as_docker_does() {
        let gpu = |count, ids: &[&str]| DeviceRequest {
            count,
            device_ids: ids.iter().map(ToString::to_string).collect(),
            capabilities: vec![vec!["gpu".to_owned()]],
            ..DeviceRequest::default()
        };
        assert_eq!(parse_gpus("all").unwrap(), gpu(-1, &[]));
        assert_eq!(parse_gpus("2").unwrap(), gpu(2, &[]));
        assert_eq!(parse_gpus("device=GPU-1").unwrap(), gpu(0, &["GPU-1"]));
        assert_eq!(parse_gpus("\"device=0,2\"").unwrap(), gpu(0, &["0", "2"]));
        let all = parse_gpus("driver=nvidia,count=all,\"capabilities=video,compute\"").unwrap();
        assert_eq!((all.driver.as_str(), all.count), ("nvidia", -1));
        assert_eq!(all.capabilities, [["video", "compute", "gpu"]]);
        for (text, error) in [
            ("x", "invalid count (x): value must be either \"all\" or an integer: invalid syntax"),
            ("count=1,count=2", "gpu request key 'count' can be specified only once"),
            ("colour=red", "unexpected key 'colour' in 'colour=red'"),
        ] {
            assert_eq!(parse_gpus(text).unwrap_err(), error);
        }
    }
}
