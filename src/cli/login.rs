//! `login` and `logout`.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, FromArgMatches};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::access::{access_with, logins};
use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, Keeper, Login, host_of, is_hub, key_of};
use crate::registry::{Client, Credentials, Error};

/// `login`
pub(super) const LOGIN: Spec = Spec {
    paths: &["login"],
    about: "Authenticate to a registry",
    usage: "[OPTIONS] [SERVER]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: LoginArgs::augment_args,
    run: |matches, session| login(&LoginArgs::from_arg_matches(matches)?, session),
};

/// `logout`
pub(super) const LOGOUT: Spec = Spec {
    paths: &["logout"],
    about: "Log out from a registry",
    usage: "[SERVER]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: LogoutArgs::augment_args,
    run: |matches, session| logout(&LogoutArgs::from_arg_matches(matches)?, session),
};

/// The longest secret that is read, in bytes.
const SECRET_MAX: u64 = 64 << 10;

#[derive(Debug, Args)]
struct LoginArgs {
    /// Password or access token
    #[arg(long, short, value_name = "string")]
    password: Option<String>,
    /// Take the password or access token from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(long, short, value_name = "string")]
    username: Option<String>,
    /// Registry; Docker Hub if there is none
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

#[derive(Debug, Args)]
struct LogoutArgs {
    /// Registry; Docker Hub if there is none
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

/// Returns the domain of the registry that a user names, `docker.io` for Docker Hub.
fn domain(server: Option<&str>) -> Result<&str> {
    let host = server.map_or("docker.io", host_of);
    match host {
        "" if server.is_some_and(|server| !server.is_empty()) => bail!("invalid registry: {server:?}"),
        "" => Ok("docker.io"),
        host if host.contains(|c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c)) => {
            bail!("invalid registry: {host:?}")
        }
        host if is_hub(host) => Ok("docker.io"),
        host => Ok(host),
    }
}

fn login(args: &LoginArgs, session: &Session) -> Result<u8> {
    let username = args.username.as_deref().unwrap_or_default().trim();
    let mut password = args.password.clone().unwrap_or_default();
    if !password.is_empty() {
        Session::note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if args.password_stdin {
            bail!("--password and --password-stdin are mutually exclusive");
        }
    }
    if args.password_stdin {
        if username.is_empty() {
            bail!("Must provide --username with --password-stdin");
        }
        password = secret()?;
    }
    let domain = domain(args.server.as_deref())?;
    let known =
        if username.is_empty() && password.is_empty() { logins(session)?.find(domain, None)? } else { None };
    if let Some(known) = &known
        && again(session, domain, known)?
    {
        return Ok(0);
    }
    if (username.is_empty() || password.is_empty()) && !Session::stdin_is_terminal() {
        bail!("Error: Cannot perform an interactive login from a non TTY device");
    }
    let usual = known.map(|known| known.username).unwrap_or_default();
    let username = if username.is_empty() { ask_name(&usual)? } else { username.to_owned() };
    if password.trim().is_empty() {
        password = ask_secret("Password: ")?;
        if password.is_empty() {
            bail!("password is required");
        }
    }
    let login =
        Login { username: username.clone(), credentials: Credentials::Password { username, password } };
    prove(session, domain, &login)?;
    Session::print("Login Succeeded\n")?;
    Ok(0)
}

/// Logs in with what is kept already; tells whether that worked.
fn again(session: &Session, domain: &str, known: &Login) -> Result<bool> {
    let name = match known.username.as_str() {
        "" => String::new(),
        name => format!(" [Username: {name}]"),
    };
    Session::print(&format!(
        "Authenticating with existing credentials...{name}\n\
         To login with a different account, run 'docker logout' followed by 'docker login'\n\n"
    ))?;
    match client(session, domain, known)?.log_in(domain) {
        Ok(_) => {
            Session::print("Login Succeeded\n")?;
            Ok(true)
        }
        Err(Error::Unauthorized(_) | Error::Denied(_) | Error::LoginFailed(_)) => {
            Session::note("Stored credentials invalid or expired");
            Ok(false)
        }
        Err(error) => {
            Session::note(&format!("Login did not succeed, error: {}", refused(domain, &error)));
            Ok(false)
        }
    }
}

fn client(session: &Session, domain: &str, login: &Login) -> Result<Client> {
    let credentials = BTreeMap::from([(domain.to_owned(), login.credentials.clone())]);
    Ok(Client::new(access_with(session, credentials)?))
}

fn refused(domain: &str, error: &Error) -> anyhow::Error {
    let host = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
    response(match error {
        Error::Unauthorized(answer) | Error::Denied(answer) => {
            anyhow!("Get \"https://{host}/v2/\": {answer}")
        }
        error => anyhow!(error.to_string()),
    })
}

/// Has the registry confirm a login, and keeps it.
fn prove(session: &Session, domain: &str, login: &Login) -> Result<()> {
    let identity = client(session, domain, login)?.log_in(domain).map_err(|error| refused(domain, &error))?;
    let mut login = login.clone();
    let is_password = identity.is_none();
    if let Some(token) = identity {
        login.credentials = Credentials::IdentityToken(token);
    }
    let docker = &session.settings()?.docker_config;
    let keeper = image::remember(docker, key_of(domain), &login).context("Error saving credentials")?;
    if let (Keeper::File(path), true) = (keeper, is_password) {
        Session::note(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        ));
    }
    Ok(())
}

fn logout(args: &LogoutArgs, session: &Session) -> Result<u8> {
    let domain = domain(args.server.as_deref())?;
    let key = key_of(domain);
    let mut keys = vec![key.to_owned()];
    if domain != "docker.io" {
        // Older versions kept some of them so.
        keys.extend([format!("http://{domain}"), format!("https://{domain}")]);
    }
    Session::print(&format!("Removing login credentials for {key}\n"))?;
    let failed = image::forget(&session.settings()?.docker_config, &keys)?;
    if failed.len() == keys.len() {
        Session::note("WARNING: could not erase credentials:");
        for (key, error) in failed {
            Session::note(&format!("{key}: {error:#}"));
        }
    }
    Ok(0)
}

/// Reads all of standard input, without the end of its line.
fn secret() -> Result<String> {
    let mut text = String::new();
    io::stdin().take(SECRET_MAX).read_to_string(&mut text).context("read the password")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn ask_name(usual: &str) -> Result<String> {
    let prompt = if usual.is_empty() { "Username: ".to_owned() } else { format!("Username ({usual}): ") };
    let mut name = String::new();
    say(&prompt)?;
    io::stdin().read_line(&mut name).context("read the username")?;
    match (name.trim(), usual) {
        ("", "") => bail!("username is required"),
        ("", usual) => Ok(usual.to_owned()),
        (name, _) => Ok(name.to_owned()),
    }
}

fn say(prompt: &str) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(prompt.as_bytes()).and_then(|()| out.flush()).context("write to standard output")
}

/// Gives the terminal back as it was.
struct Restored(rustix::termios::Termios);

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Reads a line that the terminal does not show. Keys are read one by one, so that an interrupt does not leave the
/// terminal without its echo.
fn ask_secret(prompt: &str) -> Result<String> {
    let stdin = rustix::stdio::stdin();
    let before = tcgetattr(stdin).context("read the terminal's settings")?;
    let mut silent = before.clone();
    silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    tcsetattr(stdin, OptionalActions::Drain, &silent).context("silence the terminal")?;
    let restored = Restored(before);
    say(prompt)?;
    let mut typed: Vec<u8> = Vec::new();
    let ended = loop {
        let mut key = [0];
        match rustix::io::read(stdin, &mut key) {
            Ok(0) => break true,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("read the password"),
            Ok(_) => {}
        }
        match key[0] {
            b'\r' | b'\n' => break true,
            0x03 => break false,
            0x04 if typed.is_empty() => break true,
            0x15 => typed.clear(),
            0x08 | 0x7f => {
                // A whole character goes, of however many bytes.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            key => typed.push(key),
        }
    };
    drop(restored);
    say("\n")?;
    if !ended {
        bail!("interrupted");
    }
    String::from_utf8(typed).context("read the password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_registries_by_many_names() {
        for (typed, expected) in [
            (None, "docker.io"),
            (Some(""), "docker.io"),
            (Some("docker.io"), "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("registry-1.docker.io"), "docker.io"),
            (Some("localhost:5000"), "localhost:5000"),
            (Some("https://reg.example/v2/"), "reg.example"),
            (Some("http://reg.example:80"), "reg.example:80"),
            (Some("quay.io/team"), "quay.io"),
        ] {
            assert_eq!(domain(typed).unwrap(), expected, "{typed:?}");
        }
        for typed in ["https://", "/", "u@h", "a b"] {
            assert!(domain(Some(typed)).is_err(), "{typed}");
        }
    }
}
