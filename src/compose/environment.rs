//! Where a project is, and what its variables are: flags, the environment, `.env`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::error::{Problem, problem};
use super::shape::clean;

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// The names of files that are looked for, the first is the best.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The names of files that lie over them.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What the user says of the project: flags, before the environment is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `--file`
    pub files: Vec<String>,
    /// `--project-directory`
    pub directory: Option<String>,
    /// `--project-name`
    pub name: Option<String>,
    /// `--profile`
    pub profiles: Vec<String>,
    /// `--env-file`
    pub env_files: Vec<String>,
    /// `--compatibility`
    pub compatibility: bool,
}

/// Where the project is.
#[derive(Debug)]
pub(crate) struct Found {
    /// The files; `-` is standard input. Empty: there is none.
    pub(crate) files: Vec<String>,
    /// What relative paths are relative to.
    pub(crate) directory: PathBuf,
    /// The variables: those of the process over those of the files.
    pub(crate) variables: Variables,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// Finds the project's files and variables.
pub(crate) fn find(asked: &Asked) -> Result<Found, Problem> {
    let here =
        std::env::current_dir().map_err(|error| problem(format!("find the current directory: {error}")))?;
    let process: Variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let start = asked.directory.as_ref().map_or(here.clone(), |directory| here.join(directory));
    let mut variables = process.clone();
    let env_files: Vec<PathBuf> = if asked.env_files.is_empty() {
        let listed = process.get("COMPOSE_ENV_FILES").map(String::as_str).unwrap_or_default();
        listed.split(',').filter(|name| !name.is_empty()).map(|name| here.join(name)).collect()
    } else {
        asked.env_files.iter().map(|name| here.join(name)).collect()
    };
    if env_files.is_empty() {
        // It may say where the files are.
        read_default(&start, &mut variables)?;
    } else {
        read_listed(&env_files, &mut variables)?;
    }
    let mut warnings = Vec::new();
    let mut files = asked.files.clone();
    if files.is_empty() {
        let separator = variables.get("COMPOSE_PATH_SEPARATOR").cloned().unwrap_or_default();
        let separator = if separator.is_empty() { ":" } else { &separator };
        let listed = variables.get("COMPOSE_FILE").map(String::as_str).unwrap_or_default();
        files = listed.split(separator).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    let files: Vec<String> = if files.is_empty() {
        search(&start, &mut warnings)
    } else {
        let whole = |file: &String| if file == "-" { file.clone() } else { clean(&here.join(file)) };
        files.iter().map(whole).collect()
    };
    let directory = match (&asked.directory, files.first().map(String::as_str)) {
        (Some(_), _) | (None, None) => PathBuf::from(clean(&start)),
        (None, Some("-")) => here.clone(),
        (None, Some(first)) => Path::new(first).parent().unwrap_or(&here).to_owned(),
    };
    if env_files.is_empty() && directory != start {
        read_default(&directory, &mut variables)?;
    }
    Ok(Found { files, directory, variables, warnings })
}

/// Looks for files with the usual names, here and in the directories above.
fn search(start: &Path, warnings: &mut Vec<String>) -> Vec<String> {
    for dir in start.ancestors() {
        let there = |names: [&'static str; 4]| {
            names.into_iter().map(|name| dir.join(name)).filter(|path| path.is_file()).collect::<Vec<_>>()
        };
        let found = there(NAMES);
        let Some(first) = found.first() else { continue };
        let list = |paths: &[PathBuf]| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        if found.len() > 1 {
            warnings.push(format!("Found multiple config files with supported names: {}", list(&found)));
            warnings.push(format!("Using {}", first.display()));
        }
        let mut files = vec![clean(first)];
        let overrides = there(OVERRIDES);
        if let Some(first) = overrides.first() {
            if overrides.len() > 1 {
                warnings.push(format!(
                    "Found multiple override files with supported names: {}",
                    list(&overrides)
                ));
                warnings.push(format!("Using {}", first.display()));
            }
            files.push(clean(first));
        }
        return files;
    }
    Vec::new()
}

/// Reads `.env` in a directory, if it is there; what is set already stays.
pub(super) fn read_default(dir: &Path, variables: &mut Variables) -> Result<(), Problem> {
    let path = dir.join(".env");
    if path.is_file() { read_listed(&[path], variables) } else { Ok(()) }
}

/// Reads files of variables, later ones over earlier ones; what is set already stays.
pub(super) fn read_listed(paths: &[PathBuf], variables: &mut Variables) -> Result<(), Problem> {
    let mut read = Variables::new();
    for path in paths {
        let shown = clean(path);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(problem(format!("couldn't find env file: {shown}")));
            }
            Err(error) => return Err(problem(format!("read {shown}: {error}"))),
        };
        let lookup = |name: &str| variables.get(name).or_else(|| read.get(name)).cloned();
        let more = dotenv::parse(&text, &lookup)
            .map_err(|message| problem(format!("failed to read {shown}: {message}")))?;
        read.extend(more);
    }
    for (name, value) in read {
        variables.entry(name).or_insert(value);
    }
    Ok(())
}

/// Makes a name of a project out of a directory's: lower case, without what cannot stand there.
pub(super) fn normal_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let good = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = lower.chars().filter(good).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}

/// Refuses a name that no project can have.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(problem("project name must not be empty"));
    }
    if normal_name(name) != name {
        return Err(problem(format!(
            "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and \
             underscores as well as start with a letter or number"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_names_of_directories() {
        assert_eq!(normal_name("My App.v2"), "myappv2");
        assert_eq!(normal_name("__x-y_"), "x-y_");
        assert!(check_name("Web").is_err() && check_name("").is_err() && check_name("web-1_x").is_ok());
    }
}
