//! How large a log may become, and which options it may have.

use anyhow::{Context, Result, bail};

use crate::container::config::{ContainerConfig, LogDriver};

/// The options that add to each line.
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

/// How large a log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct Bounds {
    /// The size at which a file is full, in bytes.
    pub(in crate::container) size: u64,
    /// How many files there are.
    pub(in crate::container) files: u32,
}

impl Bounds {
    /// Reads the options of a container's log, with Docker's complaints.
    pub(in crate::container) fn of(config: &ContainerConfig) -> Result<Self> {
        let name = config.log_word();
        let mut bounds = match config.log {
            LogDriver::Local => Self { size: 20_000_000, files: 5 },
            LogDriver::JsonFile | LogDriver::None => Self { size: u64::MAX, files: 1 },
        };
        let mut mode = "blocking";
        let mut buffer = false;
        for (key, value) in &config.log_options {
            match key.as_str() {
                "max-size" if !config.journald => bounds.size = size(value)?,
                "max-file" if !config.journald => {
                    let files: i64 = value.parse().with_context(|| format!("invalid max-file {value:?}"))?;
                    bounds.files = match u32::try_from(files) {
                        Ok(files) if files > 0 => files,
                        _ => bail!("max-file cannot be less than 1"),
                    };
                }
                // A full file that is packed would be one that `logs` has to unpack first.
                "compress" if value == "false" && !config.journald => {}
                "compress" if !config.journald => {
                    bail!("log opt compress={value} is not supported: files of a log stay as they are")
                }
                "mode" => match value.as_str() {
                    "" | "blocking" => {}
                    "non-blocking" => mode = "non-blocking",
                    _ => bail!("logger: logging mode not supported: {value}"),
                },
                "max-buffer-size" => {
                    size(value).with_context(|| format!("invalid max-buffer-size {value:?}"))?;
                    buffer = true;
                }
                known if ATTRIBUTES.contains(&known) => {
                    if let Some(plain) = known.strip_suffix("-regex") {
                        bail!("log opt {known}={value} is not supported: name them with {plain}");
                    }
                }
                _ => bail!("unknown log opt '{key}' for {name} log driver"),
            }
        }
        // What is written to a file waits for nobody, so nothing has to be buffered, or lost.
        if buffer && mode != "non-blocking" {
            bail!("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
        }
        if bounds.files > 1 && bounds.size == u64::MAX {
            bail!("cannot use max-file without max-size");
        }
        Ok(bounds)
    }
}

/// Reads a size as Docker does here: `10m` is ten million bytes.
fn size(text: &str) -> Result<u64> {
    let bad = || anyhow::anyhow!("invalid size: '{text}'");
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let bare = bare.strip_suffix('i').unwrap_or(bare);
    let power = bare.chars().last().and_then(|unit| "kmgtp".find(unit));
    let (number, factor) = match power {
        Some(power) => (&bare[..bare.len() - 1], 1000_f64.powi(i32::try_from(power).unwrap_or(0) + 1)),
        None => (bare, 1.0),
    };
    let size: f64 = number.trim().parse().map_err(|_| bad())?;
    let bytes = size * factor;
    if !bytes.is_finite() || bytes < 1.0 {
        bail!("max-size must be a positive number");
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive; what is too large is no bound"
    )]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_options() {
        for (text, bytes) in
            [("10m", 10_000_000), ("1k", 1000), ("7", 7), ("1.5kb", 1500), ("2MiB", 2_000_000)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        assert!(size("0").is_err() && size("x").is_err() && size("-1k").is_err());
        let mut config = crate::container::spec::tests::config();
        let mut bounds = |options: &[(&str, &str)]| {
            config.log_options =
                options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Bounds::of(&config).map_err(|error| error.to_string())
        };
        assert_eq!(bounds(&[("max-size", "1k"), ("max-file", "3")]), Ok(Bounds { size: 1000, files: 3 }));
        assert_eq!(bounds(&[("max-file", "0")]).unwrap_err(), "max-file cannot be less than 1");
        assert_eq!(
            bounds(&[("colour", "x")]).unwrap_err(),
            "unknown log opt 'colour' for json-file log driver"
        );
        assert!(bounds(&[("compress", "true")]).is_err() && bounds(&[("compress", "false")]).is_ok());
        assert_eq!(
            bounds(&[("max-buffer-size", "1m")]).unwrap_err(),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        );
        assert!(bounds(&[("max-buffer-size", "1m"), ("mode", "non-blocking")]).is_ok());
        assert_eq!(bounds(&[("mode", "x")]).unwrap_err(), "logger: logging mode not supported: x");
    }
}
