//! What a Dockerfile can say. Variables are not replaced yet, except where none can be.

use super::fault::Lines;
use super::line::Document;
use super::words::Pair;

/// A part of a Dockerfile that begins with `FROM`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it begins with.
    pub base: String,
    /// Its name in lower case; empty if it has none.
    pub name: String,
    /// `--platform`; empty if not given.
    pub platform: String,
    /// The keyword as it is written.
    pub keyword: String,
    /// Where `FROM` stands.
    pub lines: Lines,
    /// The comments right before it.
    pub comments: Vec<String>,
    /// What is done.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// The keyword as it is written.
    pub keyword: String,
    /// All of it as it is written, continuations joined.
    pub original: String,
    /// Where it stands.
    pub lines: Lines,
    /// The comments right before it.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `ARG`.
    Arg(Vec<Argument>),
    /// `ENV`.
    Env(Vec<Pair>),
    /// `LABEL`.
    Label(Vec<Pair>),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `ADD` and `COPY`.
    Copy(Box<Copy>),
    /// `RUN`.
    Run(Box<Run>),
    /// `CMD`.
    Cmd(Command),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `HEALTHCHECK`.
    Healthcheck(Health),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `USER`.
    User(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
    /// `ONBUILD`: the instruction for later.
    OnBuild(String),
}

/// What an `ARG` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub key: String,
    /// The default.
    pub value: Option<String>,
}

/// A command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Its words, or one text for the shell.
    pub words: Vec<String>,
    /// Whether it is for the shell.
    pub shell: bool,
}

/// `RUN`.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// The here-documents of the command.
    pub documents: Vec<Document>,
    /// The values of `--mount`.
    pub mounts: Vec<String>,
    /// `--network`: `default`, `none` or `host`.
    pub network: String,
    /// `--security=insecure`.
    pub insecure: bool,
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    /// Whether it is `ADD`.
    pub add: bool,
    /// What is copied.
    pub sources: Vec<String>,
    /// Here-documents that are copied.
    pub documents: Vec<Document>,
    /// Where to.
    pub destination: String,
    /// `--from`.
    pub from: String,
    /// `--chown`.
    pub chown: String,
    /// `--chmod`.
    pub chmod: String,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: String,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`.
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`; times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// `NONE`, `CMD` and words, or `CMD-SHELL` and a text.
    pub test: Vec<String>,
    /// `--interval`.
    pub interval: i64,
    /// `--timeout`.
    pub timeout: i64,
    /// `--start-period`.
    pub start_period: i64,
    /// `--start-interval`.
    pub start_interval: i64,
    /// `--retries`.
    pub retries: i64,
}
