//! What is unwise in a Dockerfile: the warnings of a build, and all that `--check` shows. Rules, names and texts are
//! BuildKit's.
//!
//! `# check=skip=RuleName,…;error=true` at the head of the file changes which rules hold; before an instruction it
//! holds for that instruction.

use std::cell::RefCell;

use super::dockerfile::Lines;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What it asks for.
    pub description: &'static str,
    /// The last part of the address of its page, if it has one.
    page: &'static str,
    /// Whether it holds only if asked for.
    experimental: bool,
}

impl Rule {
    /// Returns the address of the rule's page.
    pub fn url(&self) -> String {
        if self.page.is_empty() {
            return String::new();
        }
        format!("https://docs.docker.com/go/dockerfile/rule/{}/", self.page)
    }
}

/// All rules.
pub mod rule {
    use super::Rule;

    const fn rule(name: &'static str, page: &'static str, description: &'static str) -> Rule {
        Rule { name, description, page, experimental: false }
    }

    /// Names of stages are in lower case.
    pub const STAGE_NAME_CASING: Rule =
        rule("StageNameCasing", "stage-name-casing", "Stage names should be lowercase");
    /// `AS` is written as `FROM` is.
    pub const FROM_AS_CASING: Rule = rule(
        "FromAsCasing",
        "from-as-casing",
        "The 'as' keyword should match the case of the 'from' keyword",
    );
    /// No empty lines within an instruction.
    pub const NO_EMPTY_CONTINUATION: Rule = rule(
        "NoEmptyContinuation",
        "no-empty-continuation",
        "Empty continuation lines will become errors in a future release",
    );
    /// All keywords are in the same case.
    pub const CONSISTENT_INSTRUCTION_CASING: Rule = rule(
        "ConsistentInstructionCasing",
        "consistent-instruction-casing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    );
    /// No two stages have the same name.
    pub const DUPLICATE_STAGE_NAME: Rule =
        rule("DuplicateStageName", "duplicate-stage-name", "Stage names should be unique");
    /// No stage is called `context` or `scratch`.
    pub const RESERVED_STAGE_NAME: Rule =
        rule("ReservedStageName", "reserved-stage-name", "Reserved words should not be used as stage names");
    /// Commands of containers are lists.
    pub const JSON_ARGS_RECOMMENDED: Rule = rule(
        "JSONArgsRecommended",
        "json-args-recommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    );
    /// `LABEL` instead of `MAINTAINER`.
    pub const MAINTAINER_DEPRECATED: Rule = rule(
        "MaintainerDeprecated",
        "maintainer-deprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    );
    /// `FROM` uses only what `ARG` declares.
    pub const UNDEFINED_ARG_IN_FROM: Rule =
        rule("UndefinedArgInFrom", "undefined-arg-in-from", "FROM command must use declared ARGs");
    /// `WORKDIR` begins with a slash.
    pub const WORKDIR_RELATIVE_PATH: Rule = rule(
        "WorkdirRelativePath",
        "workdir-relative-path",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    );
    /// Variables are set before they are used.
    pub const UNDEFINED_VAR: Rule =
        rule("UndefinedVar", "undefined-var", "Variables should be defined before their use");
    /// Only the last `CMD` counts.
    pub const MULTIPLE_INSTRUCTIONS_DISALLOWED: Rule = rule(
        "MultipleInstructionsDisallowed",
        "multiple-instructions-disallowed",
        "Multiple instructions of the same type should not be used in the same stage",
    );
    /// `ENV name=value`.
    pub const LEGACY_KEY_VALUE_FORMAT: Rule = rule(
        "LegacyKeyValueFormat",
        "legacy-key-value-format",
        "Legacy key/value format with whitespace separator should not be used",
    );
    /// The base is for the machines that are built for.
    pub const INVALID_BASE_IMAGE_PLATFORM: Rule =
        rule("InvalidBaseImagePlatform", "", "Base image platform does not match expected target platform");
    /// `--platform=$TARGETPLATFORM` says nothing.
    pub const REDUNDANT_TARGET_PLATFORM: Rule = rule(
        "RedundantTargetPlatform",
        "redundant-target-platform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    );
    /// Secrets are not variables.
    pub const SECRETS_USED_IN_ARG_OR_ENV: Rule = rule(
        "SecretsUsedInArgOrEnv",
        "secrets-used-in-arg-or-env",
        "Sensitive data should not be used in the ARG or ENV commands",
    );
    /// The defaults of `ARG`s name an image.
    pub const INVALID_DEFAULT_ARG_IN_FROM: Rule = rule(
        "InvalidDefaultArgInFrom",
        "invalid-default-arg-in-from",
        "Default value for global ARG results in an empty or invalid base image name",
    );
    /// `--platform` of `FROM` is no constant.
    pub const FROM_PLATFORM_FLAG_CONST_DISALLOWED: Rule = rule(
        "FromPlatformFlagConstDisallowed",
        "from-platform-flag-const-disallowed",
        "FROM --platform flag should not use a constant value",
    );
    /// What is copied is not ignored.
    pub const COPY_IGNORED_FILE: Rule = rule(
        "CopyIgnoredFile",
        "copy-ignored-file",
        "Attempting to Copy file that is excluded by .dockerignore",
    );
    /// A comment that describes names what it describes.
    pub const INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
        name: "InvalidDefinitionDescription",
        description: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
        page: "invalid-definition-description",
        experimental: true,
    };
    /// Protocols are in lower case.
    pub const EXPOSE_PROTO_CASING: Rule = rule(
        "ExposeProtoCasing",
        "expose-proto-casing",
        "Protocol in EXPOSE instruction should be lowercase",
    );
    /// `EXPOSE` names ports of the container only.
    pub const EXPOSE_INVALID_FORMAT: Rule = rule(
        "ExposeInvalidFormat",
        "expose-invalid-format",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    );
}

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Of which rule.
    pub rule: Rule,
    /// What is unwise.
    pub message: String,
    /// Where.
    pub lines: Lines,
}

/// Which rules hold, and what they have found.
#[derive(Debug, Default)]
pub struct Lint {
    settings: RefCell<Settings>,
    warnings: RefCell<Vec<Warning>>,
}

/// Which rules hold.
#[derive(Debug, Clone, Default)]
struct Settings {
    skip: Rules,
    experimental: Rules,
    error: bool,
}

/// Some rules, or all.
#[derive(Debug, Clone, Default)]
struct Rules {
    all: bool,
    names: Vec<String>,
}

impl Rules {
    fn read(text: &str) -> Self {
        match text.trim() {
            "all" => Self { all: true, names: Vec::new() },
            text => Self { all: false, names: text.split(',').map(|name| name.trim().to_owned()).collect() },
        }
    }

    fn has(&self, name: &str) -> bool {
        self.all || self.names.iter().any(|known| known == name)
    }
}

impl Settings {
    fn read(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        if text.trim().is_empty() {
            return Ok(settings);
        }
        for part in text.trim().splitn(3, ';') {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("invalid check option {part:?}"))?;
            match key.trim() {
                "skip" => settings.skip = Rules::read(value),
                "experimental" => settings.experimental = Rules::read(value),
                "error" => {
                    settings.error = match value.trim() {
                        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                        other => {
                            return Err(format!(
                                "failed to parse check option {part:?}: strconv.ParseBool: parsing {other:?}: invalid syntax"
                            ));
                        }
                    }
                }
                key => return Err(format!("invalid check option {key:?}")),
            }
        }
        Ok(settings)
    }

    fn holds(&self, rule: &Rule) -> bool {
        if rule.experimental { self.experimental.has(rule.name) } else { !self.skip.has(rule.name) }
    }
}

impl Lint {
    /// Takes the value of a `check` directive, or of `BUILDKIT_DOCKERFILE_CHECK`.
    pub fn configure(&self, text: &str) -> Result<(), String> {
        *self.settings.borrow_mut() = Settings::read(text)?;
        Ok(())
    }

    /// Notes that a rule is broken, unless it does not hold here; `comments` stand right before the instruction.
    pub fn note(&self, rule: Rule, lines: Lines, comments: &[String], message: impl FnOnce() -> String) {
        if !self.settings.borrow().holds(&rule) {
            return;
        }
        let own = comments.iter().find_map(|comment| comment.trim().strip_prefix("check="));
        if let Some(Ok(own)) = own.map(|text| Settings::read(text.split(' ').next().unwrap_or_default()))
            && !rule.experimental
            && own.skip.has(rule.name)
        {
            return;
        }
        let warning = Warning { rule, message: message(), lines };
        let mut warnings = self.warnings.borrow_mut();
        // With several platforms, the same is found again.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Returns what was found, in the order of the file.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.warnings.borrow().clone();
        warnings.sort_by_key(|warning| warning.lines.0);
        warnings
    }

    /// Returns the error that `error=true` makes of warnings.
    pub fn error(&self) -> Option<String> {
        let warnings = self.warnings.borrow();
        if !self.settings.borrow().error || warnings.is_empty() {
            return None;
        }
        let mut names: Vec<&str> = warnings.iter().map(|warning| warning.rule.name).collect();
        names.sort_unstable();
        names.dedup();
        Some(format!("lint violation found for rules: {}", names.join(", ")))
    }
}
