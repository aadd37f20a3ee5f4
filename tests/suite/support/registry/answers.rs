//! What the registry of the tests answers when it behaves: manifests, blobs, challenges and tokens.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Auth, Request, Response, State, basic, decode, digest};

impl State {
    pub(super) fn answer(&mut self, request: &Request, address: SocketAddr) -> Response {
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/token" {
            return self.token(request);
        }
        if path == "/v1/search" && !self.found.is_empty() {
            return Response::text(200, &self.found);
        }
        if request.body.len() > self.limit {
            return Response::text(413, "<html>too large</html>");
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Response::text(404, "404 page not found\n");
        };
        if let Some(refusal) = self.refusal(request, address) {
            return refusal;
        }
        if rest.is_empty() {
            return Response::text(200, "{}");
        }
        if rest == "_catalog" || rest.ends_with("/tags/list") {
            return self.list(request, rest);
        }
        if rest.contains("/blobs/uploads/") {
            return self.upload(request, rest);
        }
        if request.method == "PUT" {
            return self.take_manifest(request, rest);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return match self.blob(repository, digest) {
                Some(bytes) => self.bytes(request, "application/octet-stream", digest, &bytes),
                None => Response::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        if let Some((repository, selector)) = rest.split_once("/manifests/") {
            return match self.manifests.get(&format!("{repository}/{selector}")) {
                Some((media_type, bytes)) => {
                    let mut response = self.bytes(request, media_type, &digest(bytes), bytes);
                    response.status = 200;
                    response.from = 0;
                    response
                }
                None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        Response::text(404, "404 page not found\n")
    }

    fn bytes(&self, request: &Request, kind: &str, digest: &str, bytes: &Arc<Vec<u8>>) -> Response {
        let mut headers = vec![
            ("Content-Type".to_owned(), kind.to_owned()),
            ("Docker-Content-Digest".to_owned(), digest.to_owned()),
        ];
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let from =
            range.and_then(|range| range.strip_suffix('-')).and_then(|from| from.parse::<usize>().ok());
        match from {
            Some(from) if self.ranges && from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                headers.push(("Content-Range".to_owned(), range));
                Response { status: 206, headers, body: Arc::clone(bytes), from }
            }
            Some(_) if self.ranges => Response::text(416, ""),
            _ => Response { status: 200, headers, body: Arc::clone(bytes), from: 0 },
        }
    }

    /// Returns the answer to a request that does not say who it is from, or lies.
    fn refusal(&self, request: &Request, address: SocketAddr) -> Option<Response> {
        let sent = request.header("authorization").unwrap_or_default();
        let challenge = match &self.auth {
            Auth::Open => return None,
            Auth::Basic { username, password } => {
                if sent == basic(username, password) {
                    return None;
                }
                "Basic realm=\"test\"".to_owned()
            }
            Auth::Bearer { .. } => {
                let path = request.path.split('?').next().unwrap_or_default().trim_start_matches("/v2/");
                let parts = ["/manifests/", "/blobs/", "/tags/"];
                let repository = parts.iter().find_map(|part| path.split_once(part)).map(|(name, _)| name);
                let writes = !matches!(request.method.as_str(), "GET" | "HEAD") || path.contains("/uploads/");
                let actions = if writes { "pull,push" } else { "pull" };
                let scope = repository.map(|name| format!("repository:{name}:{actions}"));
                // Who may push may pull.
                let enough = |allowed: &str| {
                    let needed = scope.as_deref().unwrap_or_default();
                    allowed.split(' ').any(|allowed| allowed.starts_with(needed))
                };
                let token = sent.strip_prefix("Bearer ").unwrap_or_default();
                if self.tokens.iter().any(|(known, allowed)| known == token && enough(allowed)) {
                    return None;
                }
                let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
                format!("Bearer realm=\"http://{address}/token\",service=\"test\"{scope}")
            }
        };
        let mut response = Response::error(401, "UNAUTHORIZED", "authentication required");
        response.headers.push(("WWW-Authenticate".to_owned(), challenge));
        Some(response)
    }

    fn token(&mut self, request: &Request) -> Response {
        let Auth::Bearer { account, refresh } = &self.auth else {
            return Response::text(404, "404 page not found\n");
        };
        let known = if request.method == "POST" {
            let wanted = refresh.as_ref().map(|token| format!("refresh_token={token}"));
            wanted.is_some_and(|wanted| request.text().split('&').any(|field| field == wanted))
        } else {
            let sent = request.header("authorization").unwrap_or_default();
            account.as_ref().is_none_or(|(username, password)| sent == basic(username, password))
        };
        if !known {
            return Response::text(401, r#"{"details":"incorrect username or password"}"#);
        }
        let refresh = match (refresh, request.field("offline_token")) {
            (Some(refresh), Some(_)) => format!(r#","refresh_token":"{refresh}""#),
            _ => String::new(),
        };
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        let text = request.text();
        let fields = if request.method == "POST" {
            text.as_str()
        } else {
            request.path.split('?').nth(1).unwrap_or_default()
        };
        let scopes: Vec<_> =
            fields.split('&').filter_map(|field| field.strip_prefix("scope=")).map(decode).collect();
        self.tokens.push((token.clone(), scopes.join(" ")));
        Response::text(200, &format!(r#"{{"token":"{token}","expires_in":300{refresh}}}"#))
    }
}

impl Response {
    pub(super) fn text(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: Arc::new(body.as_bytes().to_vec()), from: 0 }
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::text(status, &format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    }
}
