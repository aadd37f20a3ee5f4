//! `top`

use std::collections::HashSet;
use std::process::Command;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::format::table::lay_out_wide;
use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container;

/// `top`
pub(super) const SPEC: Spec = Spec {
    paths: &["container top", "top"],
    about: "Display the running processes of a container",
    usage: "CONTAINER [ps OPTIONS]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: false, absent: &[] },
    define: TopArgs::augment_args,
    run: |matches, session| run(&TopArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct TopArgs {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Options of ps, which need to leave the column PID in; -ef by default
    #[arg(value_name = "ps OPTIONS", allow_hyphen_values = true)]
    options: Vec<String>,
}

fn run(args: &TopArgs, session: &Session) -> Result<u8> {
    let dir = find(session, &args.container)?;
    let pids = container::processes(session.store()?, &dir).map_err(response)?;
    let options = if args.options.is_empty() { vec!["-ef".to_owned()] } else { args.options.clone() };
    let words: Vec<&str> = options.iter().flat_map(|option| option.split_whitespace()).collect();
    // Named, all of them are shown, whosever they are; but not every option goes with names.
    let list: Vec<String> = pids.iter().map(i32::to_string).collect();
    let named = format!("-q{}", list.join(","));
    let ps = |more: Option<&str>| {
        let output = Command::new("ps").args(&words).args(more).output();
        output.map_err(|error| response(anyhow!("ps: {error}")))
    };
    let mut output = ps(Some(&named))?;
    if !output.status.success() {
        output = ps(None)?;
    }
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(response(anyhow!(
            "ps: {}",
            why.lines().find(|line| !line.trim().is_empty()).unwrap_or("failed")
        )));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = choose(&text, &pids.into_iter().collect()).map_err(response)?;
    Session::print(&lay_out_wide(&lines))?;
    Ok(0)
}

/// Keeps the lines of some processes, with their columns parted by tabs; the last column may hold spaces.
fn choose(text: &str, pids: &HashSet<i32>) -> Result<String> {
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let at = titles.iter().position(|title| *title == "PID");
    let at = at.ok_or_else(|| anyhow!("Couldn't find PID field in ps output"))?;
    let mut out = titles.join("\t");
    out.push('\n');
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.get(at).and_then(|field| field.parse().ok()).is_none_or(|pid: i32| !pids.contains(&pid)) {
            continue;
        }
        let (columns, last) = fields.split_at(titles.len().min(fields.len()) - 1);
        for column in columns {
            out.push_str(column);
            out.push('\t');
        }
        out.push_str(&last.join(" "));
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_lines_of_the_container() {
        let text =
            "UID        PID  PPID CMD\nroot         1     0 /sbin/init\ndev      77     1 sh -c sleep 9\n";
        assert_eq!(
            choose(text, &HashSet::from([77])).unwrap(),
            "UID\tPID\tPPID\tCMD\ndev\t77\t1\tsh -c sleep 9\n"
        );
        assert_eq!(
            choose("CMD\nx\n", &HashSet::new()).unwrap_err().to_string(),
            "Couldn't find PID field in ps output"
        );
    }
}
