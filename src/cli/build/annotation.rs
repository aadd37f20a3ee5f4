//! `--annotation [LEVEL[,LEVEL][[PLATFORM]]:]KEY=VALUE`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::image::Style;

/// What manifests and indexes say besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    /// The manifests of images.
    pub(super) manifest: BTreeMap<String, String>,
    index: BTreeMap<String, String>,
    /// The index, of each image.
    descriptor: BTreeMap<String, String>,
}

impl Annotations {
    /// Reads the flags.
    pub(super) fn read(texts: &[String]) -> Result<Self> {
        let mut all = Self::default();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                bail!("ERROR: invalid annotation {text:?}, expected key=value");
            };
            let (levels, key) = match key.split_once(':') {
                Some((levels, key)) if levels.split(',').all(is_level) => (levels, key),
                _ => ("manifest", key),
            };
            if key.is_empty() {
                bail!("ERROR: invalid annotation {text:?}: the key is empty");
            }
            for level in levels.split(',') {
                let map = match level {
                    "manifest" => &mut all.manifest,
                    "index" => &mut all.index,
                    "manifest-descriptor" => &mut all.descriptor,
                    other => bail!("ERROR: annotations of level {other} are not supported: {text:?}"),
                };
                map.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(all)
    }

    /// Tells whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how manifests are written.
    pub(super) fn style(&self, docker_types: bool, has_index: bool) -> Result<Style> {
        let of_index = self.index.len() + self.descriptor.len();
        if of_index > 0 && !has_index {
            bail!("ERROR: failed to solve: index annotations not supported for single platform export");
        }
        Ok(Style { docker_types, index: self.index.clone(), descriptor: self.descriptor.clone() })
    }
}

/// Tells levels from the start of a key: one may be followed by a platform.
fn is_level(text: &str) -> bool {
    let word = text.split('[').next().unwrap_or_default();
    matches!(word, "manifest" | "index" | "manifest-descriptor" | "index-descriptor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_levels() {
        let read = |texts: &[&str]| {
            Annotations::read(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let all = read(&["a=b=c", "index,manifest:x=y", "org:z=1", "manifest-descriptor:d=e"]).unwrap();
        let keys: Vec<_> = all.manifest.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(keys, ["a=b=c", "org:z=1", "x=y"]);
        assert!(all.style(false, false).is_err());
        let style = all.style(false, true).unwrap();
        assert_eq!((style.index["x"].as_str(), style.descriptor["d"].as_str()), ("y", "e"));
        assert!(Annotations::default().style(true, false).unwrap().docker_types);
        for bad in ["a", "=b", "index-descriptor:a=b", "manifest[linux/amd64]:a=b"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }
}
