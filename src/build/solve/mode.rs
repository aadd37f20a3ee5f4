//! Modes as chmod(1) reads them.

use anyhow::{Result, bail};

use crate::build::graph::Mode;

/// Returns what a mode becomes. A directory counts as executable for `X`.
pub(super) fn apply(mode: &Mode, old: u32, is_directory: bool) -> Result<u32> {
    match mode {
        Mode::Absolute(mode) => Ok(mode & 0o7777),
        Mode::Symbolic(text) => {
            let mut new = old & 0o7777;
            for clause in text.split(',') {
                new = change(clause, new, is_directory)
                    .ok_or(())
                    .or_else(|()| bail!("invalid chmod parameter: {text:?}"))?;
            }
            Ok(new)
        }
    }
}

fn change(clause: &str, mut mode: u32, is_directory: bool) -> Option<u32> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(start);
    let mut classes = 0_u32;
    for letter in who.chars() {
        classes |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who.is_empty() {
        classes = 0o7777;
    }
    while !rest.is_empty() {
        let (operator, after) = rest.split_at(1);
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at(end);
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_directory || mode & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                'u' => (mode >> 6 & 7) * 0o111,
                'g' => (mode >> 3 & 7) * 0o111,
                'o' => (mode & 7) * 0o111,
                _ => return None,
            };
        }
        let bits = bits & classes;
        mode = match operator {
            "+" => mode | bits,
            "-" => mode & !bits,
            // Special bits of a directory are kept unless named, as GNU chmod does.
            "=" => mode & !(classes & 0o777) | bits,
            _ => return None,
        };
        rest = next;
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_chmod_does() {
        for (text, old, directory, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("u+s,g-r", 0o755, false, 0o4715),
            ("g=u", 0o740, false, 0o770),
            ("o+t", 0o755, true, 0o1755),
            ("u+r-w", 0o200, false, 0o400),
        ] {
            let mode = Mode::Symbolic(text.to_owned());
            assert_eq!(apply(&mode, old, directory).unwrap(), expected, "{text}");
        }
        assert_eq!(apply(&Mode::Absolute(0o4755), 0, false).unwrap(), 0o4755);
        for bad in ["", "u", "z+x", "u+q", "u=rw,"] {
            assert!(apply(&Mode::Symbolic(bad.to_owned()), 0, false).is_err(), "{bad}");
        }
    }
}
