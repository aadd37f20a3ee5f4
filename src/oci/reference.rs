//! What an image is called: Docker's reference, in its normal form.
//!
//! The grammar is the one of `github.com/distribution/reference`, which is written there as regular
//! expressions:
//!
//! ```text
//! reference  = name [":" tag] ["@" digest]
//! name       = domain "/" path
//! domain     = host [":" digits]        host = label *("." label) | "[" (hexadecimal | ":")+ "]"
//! label      = letters, digits and inner "-"
//! path       = component *("/" component)                  at most 255 characters
//! component  = alnum+ *(separator alnum+)                  lower case; separator = "." "_" "__" or "-"+
//! tag        = word character, then up to 127 of word characters, "." and "-"
//! digest     = algorithm ":" 32 or more hexadecimal digits
//! ```
//!
//! A name as people type it may lack the domain, or the `library/` of Docker's own images. The first
//! component is a domain if it has a dot, a colon or an upper-case letter in it, or is `localhost`.
//!
//! Every command that names an image comes through here, so it is a scanner by hand: compiling the regular
//! expressions would cost more than starting the container.

use std::fmt;
use std::str::FromStr;

use super::{Digest, ParseDigestError};

/// The domain that a name without one belongs to.
const DEFAULT_DOMAIN: &str = "docker.io";
/// What the default domain was called once.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The namespace of the default domain that people leave out.
const OFFICIAL: &str = "library/";
/// The longest path of a repository.
const PATH_MAX: usize = 255;

/// A full name of an image: repository with its domain, and perhaps a tag and a digest.
///
/// No component of the repository is empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Domain, slash, path.
    repository: String,
    /// Where the slash after the domain is.
    slash: usize,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// The text does not follow the grammar.
    #[error("invalid reference format")]
    Form,
    /// The repository has an upper-case letter.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The text looks like the full id of an image or container.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Hexadecimal(String),
    /// The path of the repository is too long.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The digest has the wrong number of digits.
    #[error("invalid checksum digest length")]
    DigestLength,
    /// The digest has upper-case digits.
    #[error("invalid checksum digest format")]
    DigestForm,
    /// The digest is of an algorithm that coracle does not speak.
    #[error("unsupported digest algorithm {0}: only sha256 is supported")]
    DigestAlgorithm(String),
}

impl Reference {
    /// Parses a reference as people type it, and gives it its full name.
    pub fn parse(text: &str) -> Result<Self, ParseReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseReferenceError::Hexadecimal(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let official = domain == DEFAULT_DOMAIN && !rest.contains('/');
        let prefix = if official { OFFICIAL } else { "" };

        let remote = rest.split(':').next().unwrap_or(rest);
        if remote.to_lowercase() != remote {
            return Err(ParseReferenceError::Uppercase(format!("{prefix}{remote}")));
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        let right = is_domain(domain)
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !right {
            return Err(ParseReferenceError::Form);
        }
        if prefix.len() + path.len() > PATH_MAX {
            return Err(ParseReferenceError::TooLong);
        }
        Ok(Self {
            repository: format!("{domain}/{prefix}{path}"),
            slash: domain.len(),
            tag: tag.map(str::to_owned),
            digest: digest.map(parse_digest).transpose()?,
        })
    }

    /// Returns the reference with the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// Returns the same repository with `digest` and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { repository: self.repository.clone(), slash: self.slash, tag: None, digest: Some(digest) }
    }

    /// Returns domain and path: `docker.io/library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the domain, with its port if it has one: `docker.io`.
    pub fn domain(&self) -> &str {
        &self.repository[..self.slash]
    }

    /// Returns the repository without its domain: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.repository[self.slash + 1..]
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if there is one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the repository as people type it: `nginx`.
    pub fn familiar_name(&self) -> &str {
        familiar_repository(&self.repository)
    }

    /// Returns the whole reference as people type it: `nginx:latest`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name().to_owned();
        self.selector(&mut text).expect("a String takes every write");
        text
    }

    fn selector(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

/// Returns a full repository name (`docker.io/library/nginx`) as people type it (`nginx`).
pub fn familiar_repository(repository: &str) -> &str {
    let Some(path) = repository.strip_prefix(DEFAULT_DOMAIN).and_then(|path| path.strip_prefix('/')) else {
        return repository;
    };
    match path.strip_prefix(OFFICIAL) {
        Some(name) if !name.contains('/') => name,
        _ => path,
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.selector(f)
    }
}

/// Splits the domain off, or supplies the default one.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    }
}

fn is_domain(text: &str) -> bool {
    if let Some(inside) = text.strip_prefix('[') {
        let Some((address, port)) = inside.split_once(']') else { return false };
        return !address.is_empty()
            && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|b| alphanumeric(b)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|b| !alphanumeric(b)).count();
        match &rest[..separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|b| *b == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else { return false };
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(word)
        && digits.len() >= 32
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Parses what [`is_digest`] has let through, with the texts of Docker's errors.
fn parse_digest(text: &str) -> Result<Digest, ParseReferenceError> {
    let (algorithm, digits) = text.split_once(':').unwrap_or((text, ""));
    text.parse().map_err(|error| match error {
        ParseDigestError::Algorithm => ParseReferenceError::DigestAlgorithm(algorithm.to_owned()),
        ParseDigestError::Form if digits.len() != 64 => ParseReferenceError::DigestLength,
        ParseDigestError::Form => ParseReferenceError::DigestForm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn full(text: &str) -> String {
        Reference::parse(text).unwrap().to_string()
    }

    fn error(text: &str) -> ParseReferenceError {
        Reference::parse(text).unwrap_err()
    }

    #[test]
    fn gives_familiar_names_their_full_name() {
        for (typed, name, familiar) in [
            ("nginx", "docker.io/library/nginx", "nginx"),
            ("library/nginx", "docker.io/library/nginx", "nginx"),
            ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
            ("index.docker.io/nginx", "docker.io/library/nginx", "nginx"),
            ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
            ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("store/a/b", "docker.io/store/a/b", "store/a/b"),
            ("other/library", "docker.io/other/library", "other/library"),
            ("test_com", "docker.io/library/test_com", "test_com"),
            ("test_com/foo", "docker.io/test_com/foo", "test_com/foo"),
            ("localhost/foo", "localhost/foo", "localhost/foo"),
            ("Foo/bar", "Foo/bar", "Foo/bar"),
            ("test-com:8080/foo", "test-com:8080/foo", "test-com:8080/foo"),
            ("192.168.1.1", "docker.io/library/192.168.1.1", "192.168.1.1"),
            ("[::1]:5000/repo", "[::1]:5000/repo", "[::1]:5000/repo"),
            ("[2001:db8::]/repo", "[2001:db8::]/repo", "[2001:db8::]/repo"),
            ("xn--n3h.com/foo", "xn--n3h.com/foo", "xn--n3h.com/foo"),
            ("docker---rules/dock__er", "docker.io/docker---rules/dock__er", "docker---rules/dock__er"),
        ] {
            let reference = Reference::parse(typed).unwrap();
            assert_eq!(reference.repository(), name, "{typed}");
            assert_eq!(reference.familiar_name(), familiar, "{typed}");
            assert_eq!(format!("{}/{}", reference.domain(), reference.path()), name, "{typed}");
            assert_eq!((reference.tag(), reference.digest()), (None, None), "{typed}");
        }
    }

    #[test]
    fn keeps_tag_and_digest() {
        let both = Reference::parse(&format!("test:5000/repo:Tag@sha256:{HEX}")).unwrap();
        assert_eq!((both.domain(), both.path(), both.tag()), ("test:5000", "repo", Some("Tag")));
        assert_eq!(both.digest(), Some(Digest::of(b"")));
        assert_eq!(both.familiar(), format!("test:5000/repo:Tag@sha256:{HEX}"));
        assert_eq!(both.clone().with_default_tag(), both);
        assert_eq!(full("test.com:5000"), "docker.io/library/test.com:5000");
        assert_eq!(full("192.168.1.1:5000/repo:5050"), "192.168.1.1:5000/repo:5050");
        assert_eq!(full("xn--n3h.com/myimage:xn--n3h.com"), "xn--n3h.com/myimage:xn--n3h.com");

        let nginx = Reference::parse("nginx").unwrap().with_default_tag();
        assert_eq!(nginx.familiar(), "nginx:latest");
        assert_eq!(nginx.to_string(), "docker.io/library/nginx:latest");
        let pinned = nginx.with_digest(Digest::of(b""));
        assert_eq!(pinned.familiar(), format!("nginx@sha256:{HEX}"));
        assert_eq!(pinned.clone().with_default_tag(), pinned);
    }

    #[test]
    fn refuses_what_breaks_the_grammar() {
        for text in [
            "",
            ":justtag",
            "@sha256:ffff",
            "repo@sha256:ffff",
            "a:",
            "a@",
            "a:b:c",
            "a:-b",
            "aa/asdf$$^/aa",
            "[2001:db8::1]",
            "[2001:db8::1]:5000",
            "[fe80::1%eth0]:5000/repo",
            "[]/repo",
            "fc00::1:5000/debian",
            "[2001:db8:3:4::192.0.2.33]:5000/debian",
            "https://github.com/docker/docker",
            "-docker",
            "-docker.io/docker/docker",
            "docker///docker",
            "docker/",
            "/docker",
            "docker-/docker",
            "____/____",
            "dock..er/docker",
            "dock_.er/docker",
            "dock-.er/docker",
            "dock___er",
            "docker.io/../../etc",
            "test_com.x/foo",
            "a b",
            "a\0",
            "ñ",
        ] {
            assert_eq!(error(text), ParseReferenceError::Form, "{text}");
        }
        assert_eq!(error(&format!("a:{}", "t".repeat(129))), ParseReferenceError::Form);
    }

    #[test]
    fn says_what_is_wrong_in_dockers_words() {
        let text = |text: &str| error(text).to_string();
        assert_eq!(
            text("Foo:tag"),
            "invalid reference format: repository name (library/Foo) must be lowercase"
        );
        assert_eq!(text("a/Foo"), "invalid reference format: repository name (a/Foo) must be lowercase");
        assert_eq!(
            text("test:5000/Foo/b:t"),
            "invalid reference format: repository name (Foo/b) must be lowercase"
        );
        assert_eq!(
            text(HEX),
            format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings")
        );
        assert_eq!(
            text(&format!("example.com/{}", "a".repeat(256))),
            "repository name must not be more than 255 characters"
        );
        assert_eq!(full(&format!("example.com/{}", "a".repeat(255))).len(), 267);
        assert_eq!(error(&"a".repeat(248)), ParseReferenceError::TooLong);
        assert_eq!(text(&format!("a@sha256:{}", &HEX[..34])), "invalid checksum digest length");
        assert_eq!(text(&format!("a@sha256:{}", HEX.to_uppercase())), "invalid checksum digest format");
        assert_eq!(
            text(&format!("a@sha512:{HEX}{HEX}")),
            "unsupported digest algorithm sha512: only sha256 is supported"
        );
    }
}
