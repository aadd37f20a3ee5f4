//! The flags of `run`, `create` and `update` that limit what a container may use.

use anyhow::{Result, anyhow};
use clap::Args;

use crate::cli::format::template::print::quote;
use crate::cli::format::units;
use crate::cli::grammar::integer;
use crate::cli::report::response;
use crate::cli::session::Session;
use crate::container::{DeviceRate, Limits};

/// Limits that can be changed later, too.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct LimitFlags {
    /// Share of disks that several want (10 to 1000, or 0 for none)
    #[arg(long, value_name = "uint16", value_parser = parse_weight)]
    blkio_weight: Option<u16>,
    /// The same for one disk (device:weight)
    #[arg(long, value_name = "list", value_parser = parse_device_weight)]
    blkio_weight_device: Vec<DeviceRate>,
    /// Period of the quota of processor time, in microseconds
    #[arg(long, value_name = "int", value_parser = integer)]
    cpu_period: Option<i64>,
    /// Quota of processor time in each period, in microseconds
    #[arg(long, value_name = "int", value_parser = integer)]
    cpu_quota: Option<i64>,
    /// Refused: cgroup v2 has no real-time scheduling
    #[arg(long, value_name = "int", value_parser = integer)]
    cpu_rt_period: Option<i64>,
    /// Refused: cgroup v2 has no real-time scheduling
    #[arg(long, value_name = "int", value_parser = integer)]
    cpu_rt_runtime: Option<i64>,
    /// Share of processors that several want (1024 is everybody's)
    #[arg(long, short = 'c', value_name = "int", value_parser = integer)]
    cpu_shares: Option<i64>,
    /// Number of processors
    #[arg(long, value_name = "decimal", value_parser = parse_cpus)]
    cpus: Option<i64>,
    /// Processors to run on (0-3, 0,1)
    #[arg(long, value_name = "string")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use (0-3, 0,1)
    #[arg(long, value_name = "string")]
    cpuset_mems: Option<String>,
    /// Bytes a second that may be read from a disk (device:rate)
    #[arg(long, value_name = "list", value_parser = parse_device_bytes)]
    device_read_bps: Vec<DeviceRate>,
    /// Reads a second from a disk (device:rate)
    #[arg(long, value_name = "list", value_parser = parse_device_requests)]
    device_read_iops: Vec<DeviceRate>,
    /// Bytes a second that may be written to a disk (device:rate)
    #[arg(long, value_name = "list", value_parser = parse_device_bytes)]
    device_write_bps: Vec<DeviceRate>,
    /// Writes a second to a disk (device:rate)
    #[arg(long, value_name = "list", value_parser = parse_device_requests)]
    device_write_iops: Vec<DeviceRate>,
    /// Accepted; the kernel has no such limit any more
    #[arg(long, value_name = "bytes", value_parser = units::memory, hide = true)]
    kernel_memory: Option<i64>,
    /// Memory limit
    #[arg(long, short, value_name = "bytes", value_parser = units::memory)]
    memory: Option<i64>,
    /// Memory that is left to the container when others are short of some
    #[arg(long, value_name = "bytes", value_parser = units::memory)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together: -1 for as much swap as there is
    #[arg(long, value_name = "bytes", value_parser = parse_swap, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Most processes and threads (-1 for any number)
    #[arg(long, value_name = "int", value_parser = integer)]
    pids_limit: Option<i64>,
}

/// Limits that are set once.
#[derive(Debug, Default, Args)]
pub(super) struct FixedLimitFlags {
    /// Control group or slice that the container's own one is to be in
    #[arg(long, value_name = "string")]
    pub(super) cgroup_parent: Option<String>,
    /// Accepted; the kernel has no such setting any more
    #[arg(long, value_name = "int", value_parser = integer, hide = true)]
    memory_swappiness: Option<i64>,
    /// Accepted; the kernel has no such setting any more
    #[arg(long, hide = true)]
    oom_kill_disable: bool,
}

impl LimitFlags {
    /// Tells whether any of them is given.
    pub(in crate::cli) fn any(&self) -> bool {
        [self.cpu_period, self.cpu_quota, self.cpu_rt_period, self.cpu_rt_runtime, self.cpu_shares, self.cpus]
            .iter()
            .chain(&[
                self.kernel_memory,
                self.memory,
                self.memory_reservation,
                self.memory_swap,
                self.pids_limit,
            ])
            .any(Option::is_some)
            || self.blkio_weight.is_some()
            || self.cpuset_cpus.is_some()
            || self.cpuset_mems.is_some()
            || self.rates().iter().any(|rates| !rates.is_empty())
    }

    fn rates(&self) -> [&Vec<DeviceRate>; 5] {
        [
            &self.blkio_weight_device,
            &self.device_read_bps,
            &self.device_write_bps,
            &self.device_read_iops,
            &self.device_write_iops,
        ]
    }

    /// Puts the limits together.
    pub(in crate::cli) fn read(&self) -> Result<Limits> {
        if self.kernel_memory.is_some() {
            Session::note("Flag --kernel-memory has been deprecated, and no longer supported by the kernel");
        }
        for (flag, value) in [("period", self.cpu_rt_period), ("runtime", self.cpu_rt_runtime)] {
            if value.is_some_and(|value| value != 0) {
                return Err(response(anyhow!("Your kernel does not support cgroup cpu real-time {flag}")));
            }
        }
        let [weights, read_bps, write_bps, read_iops, write_iops] = self.rates().map(Clone::clone);
        Ok(Limits {
            memory: self.memory.unwrap_or(0),
            memory_swap: self.memory_swap.unwrap_or(0),
            memory_reservation: self.memory_reservation.unwrap_or(0),
            memory_swappiness: None,
            oom_kill_disable: None,
            pids: self.pids_limit.filter(|pids| *pids != 0),
            nano_cpus: self.cpus.unwrap_or(0),
            cpu_period: self.cpu_period.unwrap_or(0),
            cpu_quota: self.cpu_quota.unwrap_or(0),
            cpu_shares: self.cpu_shares.unwrap_or(0),
            cpuset_cpus: self.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: self.cpuset_mems.clone().unwrap_or_default(),
            blkio_weight: self.blkio_weight.unwrap_or(0),
            blkio_weight_device: weights,
            device_read_bps: read_bps,
            device_write_bps: write_bps,
            device_read_iops: read_iops,
            device_write_iops: write_iops,
        })
    }
}

impl FixedLimitFlags {
    /// Refuses what Docker's client refuses.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.memory_swappiness {
            Some(value) if value != -1 && !(0..=100).contains(&value) => {
                anyhow::bail!("invalid value: {value}. Valid memory swappiness range is 0-100")
            }
            _ => Ok(()),
        }
    }

    /// Adds what is only said when a container is made.
    pub(super) fn add_to(&self, limits: Limits) -> Limits {
        let disable = self.oom_kill_disable.then_some(true);
        Limits { memory_swappiness: self.memory_swappiness, oom_kill_disable: disable, ..limits }
    }
}

/// Reads `--memory-swap`.
fn parse_swap(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { units::memory(text) }
}

/// Reads `--cpus`: a decimal number of at most nine decimals, or a fraction.
fn parse_cpus(text: &str) -> Result<i64, String> {
    let bad = || format!("failed to parse {text} as a rational number");
    let imprecise = || "value is too precise".to_owned();
    if let Some((part, whole)) = text.split_once('/') {
        let (part, whole) =
            (part.parse::<i64>().map_err(|_| bad())?, whole.parse::<i64>().map_err(|_| bad())?);
        let nano = i128::from(part) * 1_000_000_000;
        if whole == 0 {
            return Err(bad());
        }
        let whole = i128::from(whole);
        return if nano % whole == 0 {
            i64::try_from(nano / whole).map_err(|_| bad())
        } else {
            Err(imprecise())
        };
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + decimals.len() == 0 || !is_number(whole) || !is_number(decimals) {
        return Err(bad());
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 9 {
        return Err(imprecise());
    }
    let nano: i64 = format!("{whole}{decimals:0<9}").parse().map_err(|_| bad())?;
    Ok(if negative { -nano } else { nano })
}

/// Reads `--blkio-weight`.
fn parse_weight(text: &str) -> Result<u16, String> {
    let bad = |why| format!("strconv.ParseUint: parsing {}: {why}", quote(text));
    match text.parse::<u64>() {
        Ok(weight) => u16::try_from(weight).map_err(|_| bad("value out of range")),
        Err(_) => Err(bad("invalid syntax")),
    }
}

/// Parts a device and its number, which stand with a colon between them.
fn part(text: &str) -> Result<(String, &str), String> {
    match text.split_once(':') {
        Some((path, _)) if !path.starts_with("/dev/") => Err(format!("bad format for device path: {text}")),
        Some((path, number)) if !path.is_empty() => Ok((path.to_owned(), number)),
        _ => Err(format!("bad format: {text}")),
    }
}

/// Reads `--blkio-weight-device`.
fn parse_device_weight(text: &str) -> Result<DeviceRate, String> {
    let (path, number) = part(text)?;
    match number.parse() {
        Ok(rate @ (0 | 10..=1000)) => Ok(DeviceRate { path, rate }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

/// Reads `--device-read-bps` and its like.
fn parse_device_bytes(text: &str) -> Result<DeviceRate, String> {
    let (path, number) = part(text)?;
    let rate = units::memory(number).ok().and_then(|rate| u64::try_from(rate).ok());
    rate.map(|rate| DeviceRate { path, rate }).ok_or_else(|| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a \
             positive integer. Unit is optional and can be kb, mb, or gb"
        )
    })
}

/// Reads `--device-read-iops` and its like.
fn parse_device_requests(text: &str) -> Result<DeviceRate, String> {
    let (path, number) = part(text)?;
    number.parse().map(|rate| DeviceRate { path, rate }).map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive \
             integer"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_processors() {
        for (text, nano) in [
            ("1.5", 1_500_000_000),
            (".25", 250_000_000),
            ("2", 2_000_000_000),
            ("1/2", 500_000_000),
            ("0.0", 0),
        ] {
            assert_eq!(parse_cpus(text), Ok(nano), "{text}");
        }
        assert_eq!(parse_cpus("-1"), Ok(-1_000_000_000));
        assert_eq!(parse_cpus("0.0000000001"), Err("value is too precise".into()));
        assert_eq!(parse_cpus("1/3"), Err("value is too precise".into()));
        for bad in ["", "x", "1.2.3", "1/0", "."] {
            assert_eq!(parse_cpus(bad), Err(format!("failed to parse {bad} as a rational number")));
        }
    }

    #[test]
    fn reads_devices_and_swap() {
        let rate = |rate| DeviceRate { path: "/dev/sda".into(), rate };
        assert_eq!(parse_device_bytes("/dev/sda:1mb"), Ok(rate(1 << 20)));
        assert_eq!(parse_device_requests("/dev/sda:1000"), Ok(rate(1000)));
        assert_eq!(parse_device_weight("/dev/sda:500"), Ok(rate(500)));
        assert_eq!(parse_device_weight("/dev/sda:5"), Err("invalid weight for device: /dev/sda:5".into()));
        assert_eq!(parse_device_bytes("sda:1"), Err("bad format for device path: sda:1".into()));
        assert_eq!(parse_device_requests("/dev/sda"), Err("bad format: /dev/sda".into()));
        assert!(
            parse_device_bytes("/dev/sda:x").unwrap_err().starts_with("invalid rate for device: /dev/sda:x.")
        );
        assert_eq!((parse_swap("-1"), parse_swap("1k")), (Ok(-1), Ok(1024)));
        assert_eq!(
            parse_weight("70000"),
            Err("strconv.ParseUint: parsing \"70000\": value out of range".into())
        );
    }

    #[test]
    fn refuses_what_the_kernel_lacks() {
        let flags = LimitFlags { cpu_rt_runtime: Some(10), ..LimitFlags::default() };
        assert!(flags.any() && flags.read().unwrap_err().to_string().contains("real-time runtime"));
        assert!(!LimitFlags::default().any());
        assert_eq!(LimitFlags::default().read().unwrap(), Limits::default());
    }
}
