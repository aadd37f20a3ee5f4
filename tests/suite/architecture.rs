//! The source keeps to its own rules: who may import whom, sizes, where `unsafe` may stand, and that what is
//! generated is up to date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    imports_keep_to_the_table,
    files_stay_small,
    unsafe_stays_in_sys,
    every_file_says_what_it_is,
    nothing_is_left_unfinished,
    no_path_of_a_machine_is_committed,
    manual_and_completions_are_up_to_date,
    the_program_is_one_static_file,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    assert!(found.len() > 20);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
}

/// The table in the header of `src/lib.rs`: module to what it may import.
fn table() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let lines = text.lines().skip_while(|line| !line.contains("```text")).skip(1);
    let mut table = BTreeMap::new();
    for line in lines.take_while(|line| !line.contains("```")) {
        // Two entries may share a line: each begins where a word stands before an arrow.
        let words: Vec<_> = line.trim_start_matches("//!").split_whitespace().collect();
        let mut importers: Vec<String> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let arrow = words[at..].iter().position(|word| *word == "→");
            let Some(arrow) = arrow else { break };
            importers =
                words[at..at + arrow].iter().map(|word| word.trim_end_matches(',').to_owned()).collect();
            let after = at + arrow + 1;
            let next = words[after..].iter().position(|word| *word == "→").map_or(words.len(), |next| {
                // The importers of the next entry stand right before its arrow.
                let mut start = after + next - 1;
                while words[start - 1].ends_with(',') {
                    start -= 1;
                }
                start
            });
            for importer in &importers {
                let imports =
                    words[after..next].iter().map(|word| word.trim_end_matches(',').to_owned()).collect();
                table.insert(importer.clone(), imports);
            }
            at = next;
        }
        assert!(!importers.is_empty(), "no entry in {line:?}");
    }
    table
}

fn imports_keep_to_the_table() {
    let table = table();
    for module in
        ["cli", "container", "image", "runtime", "store", "registry", "oci", "sys", "idmap", "volume"]
    {
        assert!(table.contains_key(module), "{module} in {table:#?}");
    }
    let mut seen = 0;
    for (path, text) in sources() {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let allowed = table.get(&module);
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for part in code.split("crate::").skip(1) {
                let names = match part.strip_prefix('{') {
                    Some(list) => list.split(',').map(first_word).collect(),
                    None => vec![first_word(part)],
                };
                for name in names.into_iter().filter(|name| table.contains_key(*name) || *name == "sys") {
                    seen += 1;
                    let may =
                        name == module || allowed.is_some_and(|allowed| allowed.iter().any(|a| a == name));
                    assert!(may, "src/{path}:{}: {module} imports {name}: {line}", number + 1);
                }
            }
        }
    }
    assert!(seen > 50, "the reader of imports found only {seen}");
}

fn first_word(text: &str) -> &str {
    let text = text.trim();
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Lines of a source without its unit tests.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

fn files_stay_small() {
    let big: Vec<_> = sources()
        .iter()
        .filter(|(_, text)| code_lines(text) > 800)
        .map(|(path, text)| format!("src/{path}: {} lines", code_lines(text)))
        .collect();
    assert!(big.is_empty(), "{big:#?}");
}

fn unsafe_stays_in_sys() {
    for (path, text) in sources() {
        let allows = text.contains("#![allow(unsafe_code)]");
        if path.starts_with("sys/") {
            assert!(!text.contains("unsafe {") || allows, "src/{path} has unsafe code and does not say so");
        } else {
            // A program of another world, with no standard library, is not part of this one.
            let freestanding = text.contains("#![no_std]");
            assert!(freestanding || !text.contains("allow(unsafe_code)"), "src/{path} allows unsafe code");
        }
    }
}

fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "src/{path} has no header");
    }
}

fn nothing_is_left_unfinished() {
    // Written in two parts, so that this file does not find itself.
    let marks =
        [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("FIX", "ME"), concat!("TO", "DO")];
    for (path, text) in sources() {
        for mark in marks {
            assert!(!text.contains(mark), "src/{path}: {mark}");
        }
    }
}

fn no_path_of_a_machine_is_committed() {
    let home = std::env::home_dir().unwrap();
    let paths = [env!("CARGO_MANIFEST_DIR").to_owned(), format!("{}/.", home.display())];
    let mut files = Vec::new();
    for dir in ["src", "tests"] {
        walk(&root().join(dir), &mut files);
    }
    files.extend(
        ["README.md", "Cargo.toml", ".cargo/config.toml", ".ci/run", ".ci/setup"].map(|f| root().join(f)),
    );
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for path in &paths {
            assert!(!text.contains(path.as_str()), "{}: {path}", file.display());
        }
    }
}

fn manual_and_completions_are_up_to_date() {
    let sandbox = Sandbox::new();
    let made = sandbox.directory("made");
    let mut compared = 0;
    for dir in ["man", "completions"] {
        let into = sandbox.directory(&format!("made/{dir}"));
        sandbox.run(["__generate", dir, &into]).success();
        let (fresh, kept) = (Path::new(&made).join(dir), root().join(dir));
        let names = |dir: &Path| {
            let mut names: Vec<_> = fs::read_dir(dir)
                .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&fresh), names(&kept), "files of {dir}/: run `coracle __generate {dir} {dir}`");
        for name in names(&fresh) {
            let same = fs::read(fresh.join(&name)).unwrap() == fs::read(kept.join(&name)).unwrap();
            assert!(same, "{dir}/{} is out of date: run `coracle __generate {dir} {dir}`", name.display());
            compared += 1;
        }
    }
    assert!(compared > 3);
}

fn the_program_is_one_static_file() {
    let bytes = fs::read(crate::support::sandbox::programs().join("coracle")).unwrap();
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    assert_eq!(&bytes[..5], b"\x7fELF\x02");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    // PT_INTERP would name a dynamic loader.
    let interpreted = (0..count).any(|n| number(table + n * size, 4) == 3);
    assert!(count > 0 && !interpreted);
}
