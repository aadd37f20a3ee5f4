//! Man pages and completions, written from the definitions: `__generate man|completions DIR`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_complete::Shell;

use super::report::Words;
use super::tree::{COMMANDS, GROUPS};

/// The hidden role's name on the command line.
pub(super) const ROLE: &str = "__generate";

/// What the page of the program says of files.
const FILES: &str = r".SH FILES
.TP
\fI~/.local/share/coracle\fR
Images, containers, volumes and networks: the store. \fB$XDG_DATA_HOME\fR, the setting \fBroot\fR and, above all,
\fB$CORACLE_ROOT\fR move it.
.TP
\fI~/.config/coracle/config.toml\fR
Settings, which need not be there:
.IP
\fBroot\fR = \(dq\fIDIR\fR\(dq: where the store is.
.IP
\fBadditional_stores\fR = [\(dq\fIDIR\fR\(dq, ...]: stores to borrow images from, the first one first. They are read
and never written. An image that is not in the own store is looked for there before it is pulled; its compressed
layers are used where they lie, and its unpacked ones too if they were unpacked under the same ids (the same user
with the same subordinate ids, or root). To make such a store, make its directory with the permissions that others
are to have, before anything is in it (\fBinstall -d -m 755 /srv/images\fR for all, \fB-m 2750 -g GROUP\fR for a
group), and fill it: \fBCORACLE_ROOT=/srv/images coracle pull NAME\fR. Its owner alone can remove images from it,
and should not while they are in use. A store that cannot be read is passed over with a warning.
.IP
\fBdebug\fR = true: says what is being done.
.IP
[\fBregistries\fR.\(dq\fIHOST\fR\(dq] \fBmirrors\fR = [\(dq\fIURL\fR\(dq, ...], \fBinsecure\fR = true: how a registry is
reached.
.TP
\fI~/.docker/config.json\fR
Credentials, proxies and formats, in Docker's form.
";

/// The entry point of the role.
pub(super) fn main(words: &[String]) -> Words {
    let done = match words {
        [what, dir] if what == "man" => pages(Path::new(dir)),
        [what, dir] if what == "completions" => completions(Path::new(dir)),
        _ => Err(anyhow::anyhow!("want man or completions, and a directory")),
    };
    match done {
        Ok(()) => Words { text: String::new(), code: 0 },
        Err(error) => Words { text: format!("{error:#}"), code: 1 },
    }
}

/// Builds the whole tree.
fn tree() -> Command {
    let mut root = super::global().disable_help_subcommand(true);
    for group in GROUPS {
        let name = group.name.rsplit(' ').next().unwrap_or(group.name);
        let command = if name == super::compose::GROUP {
            super::compose::global().about(group.about)
        } else {
            Command::new(name).about(group.about).disable_help_flag(true)
        };
        let above = group.name.rsplit_once(' ').map(|(above, _)| above);
        root = within(root, above, Box::new(|parent| parent.subcommand(command)));
    }
    for spec in COMMANDS {
        let mut main: Option<&str> = None;
        for path in spec.paths {
            let (group, name) =
                path.rsplit_once(' ').map_or((None, *path), |(group, name)| (Some(group), name));
            let aliases = spec.paths.iter().filter_map(|other| {
                let (parent, alias) = other.rsplit_once(' ').map_or((None, *other), |(p, a)| (Some(p), a));
                (parent == group && alias != name).then_some(alias)
            });
            if main == Some(group.unwrap_or_default()) {
                // An alias of what is there.
                continue;
            }
            main = Some(group.unwrap_or_default());
            let command = spec.command().name(name).visible_aliases(aliases);
            root = within(root, group, Box::new(|parent| parent.subcommand(command)));
        }
    }
    root
}

/// What is done to a command.
type Change<'a> = Box<dyn FnOnce(Command) -> Command + 'a>;

/// Changes the command that a path leads to, below `root`.
fn within(root: Command, path: Option<&str>, change: Change<'_>) -> Command {
    let Some(path) = path else { return change(root) };
    let (name, rest) = path.split_once(' ').map_or((path, None), |(name, rest)| (name, Some(rest)));
    root.mut_subcommand(name, |inner| within(inner, rest, change))
}

/// Writes one page for the program, one for each group and each command.
fn pages(dir: &Path) -> Result<()> {
    pages_below(dir, "coracle", &tree())
}

/// Writes the pages of the command that the words `shown` call, and of those in it.
fn pages_below(dir: &Path, shown: &str, command: &Command) -> Result<()> {
    page(dir, shown, command)?;
    for inner in command.get_subcommands() {
        pages_below(dir, &format!("{shown} {}", inner.get_name()), inner)?;
    }
    Ok(())
}

fn page(dir: &Path, shown: &str, command: &Command) -> Result<()> {
    let name = shown.replace(' ', "-");
    // clap wants names that last; these few are made once.
    let lasting: &'static str = name.clone().leak();
    let command = command.clone().name(lasting).bin_name(shown).disable_help_subcommand(true);
    let mut bytes = Vec::new();
    // No date and no version in the foot: the pages change when the definitions do.
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .date("")
        .source("coracle")
        .manual("coracle");
    man.render(&mut bytes).context("write a man page")?;
    if shown == "coracle" {
        bytes.extend_from_slice(FILES.as_bytes());
    }
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
}

fn completions(dir: &Path) -> Result<()> {
    for (shell, file) in
        [(Shell::Bash, "coracle.bash"), (Shell::Zsh, "_coracle"), (Shell::Fish, "coracle.fish")]
    {
        let mut bytes = Vec::new();
        clap_complete::generate(shell, &mut tree(), "coracle", &mut bytes);
        if bytes.is_empty() {
            bail!("write completions for {shell}: there are none");
        }
        let path = dir.join(file);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_holds_together() {
        let root = tree();
        root.clone().debug_assert();
        let image = root.find_subcommand("image").unwrap();
        assert!(image.find_subcommand("ls").unwrap().get_visible_aliases().any(|alias| alias == "list"));
        assert!(root.find_subcommand("images").is_some() && root.find_subcommand("list").is_none());
    }
}
