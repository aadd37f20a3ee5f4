//! The machine an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system, an architecture and its variant, in the words of Go (`linux/arm64/v8`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system: `linux`.
    pub os: String,
    /// The architecture as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// The variant of the architecture, as `v7` of `arm`; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A text that does not name a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\": cannot parse platform specifier: invalid argument")]
pub struct ParsePlatformError(String);

impl Platform {
    /// Returns the platform this program runs on.
    pub fn host() -> Self {
        Self::normal("linux", std::env::consts::ARCH, "")
    }

    /// Returns the platform in containerd's normal form: `x86_64` is `amd64`, `aarch64` is `arm64`, and
    /// so on, and `arm64`'s `v8` is left out.
    pub fn normal(os: &str, architecture: &str, variant: &str) -> Self {
        let os = os.to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "x86" | "i686", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", if variant == "v1" { "" } else { variant }),
            ("aarch64" | "arm64", variant) => {
                ("arm64", if matches!(variant, "8" | "v8") { "" } else { variant })
            }
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            ("powerpc64" | "powerpc64le", _) => ("ppc64le", ""),
            (architecture, variant) => (architecture, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// Tells whether a program for `other` runs on this platform: the same system and architecture, and a
    /// variant no newer than ours where variants are ordered (`arm`), or 32-bit code on its 64-bit kin.
    pub fn runs(&self, other: &Self) -> bool {
        if self.os != other.os {
            return false;
        }
        if self.architecture == other.architecture {
            return match self.architecture.as_str() {
                "arm" => other.variant <= self.variant,
                _ => other.variant.is_empty() || other.variant == self.variant,
            };
        }
        matches!((self.architecture.as_str(), other.architecture.as_str()), ("amd64", "386"))
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParsePlatformError(text.to_owned());
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || !parts.iter().all(|part| word(part)) {
            return Err(bad());
        }
        let host = Self::host();
        match parts.as_slice() {
            // As containerd reads one word: a system, or else an architecture of this system.
            ["linux"] => Ok(host),
            [one] if matches!(*one, "windows" | "darwin" | "freebsd") => {
                Ok(Self::normal(one, &host.architecture, ""))
            }
            [one] => Ok(Self::normal("linux", one, "")),
            [os, architecture] => Ok(Self::normal(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::normal(os, architecture, variant)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_normalises() {
        let text = |text: &str| text.parse::<Platform>().map(|platform| platform.to_string());
        assert_eq!(text("linux/x86_64").unwrap(), "linux/amd64");
        assert_eq!(text("linux/arm64/v8").unwrap(), "linux/arm64");
        assert_eq!(text("linux/arm").unwrap(), "linux/arm/v7");
        assert_eq!(text("arm64").unwrap(), "linux/arm64");
        assert!(text("linux/").is_err());
        assert!(text("a/b/c/d").is_err());
        assert!(text("").is_err());
    }

    #[test]
    fn knows_what_runs() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/amd64").runs(&platform("linux/386")));
        assert!(platform("linux/arm/v7").runs(&platform("linux/arm/v6")));
        assert!(!platform("linux/arm/v6").runs(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").runs(&platform("linux/arm64")));
    }
}
