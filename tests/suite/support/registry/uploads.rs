//! What is sent to the registry of the tests: blobs, manifests; and its lists.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Request, Response, State, digest};

impl State {
    /// Returns a blob, if a repository has it.
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Arc<Vec<u8>>> {
        let homes = self.homes.get(digest);
        let blob = self.blobs.get(digest)?;
        homes.is_none_or(|homes| homes.contains(repository)).then(|| Arc::clone(blob))
    }

    /// Keeps what has come of an upload whose connection breaks.
    pub(super) fn keep(&mut self, request: &Request) {
        let address = request.path.split('?').next().unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(address) {
            session.extend(&request.body);
        }
    }

    fn session(address: &str, length: usize, status: u16) -> Response {
        let mut response = Response::text(status, "");
        let range = format!("0-{}", length.saturating_sub(1));
        response.headers.push(("Location".to_owned(), format!("{address}?_state={length}")));
        response.headers.push(("Range".to_owned(), range));
        response
    }

    /// Answers what goes to `<repository>/blobs/uploads/<session>`.
    pub(super) fn upload(&mut self, request: &Request, rest: &str) -> Response {
        let (repository, _) = rest.split_once("/blobs/uploads/").unwrap_or_default();
        let mut address = request.path.split('?').next().unwrap_or_default().to_owned();
        if request.method == "POST" {
            if let (Some(wanted), Some(from)) = (request.field("mount"), request.field("from"))
                && self.mounts
                && self.blob(&from, &wanted).is_some()
            {
                if let Some(homes) = self.homes.get_mut(&wanted) {
                    homes.insert(repository.to_owned());
                }
                let mut response = Response::text(201, "");
                response.headers.push(("Docker-Content-Digest".to_owned(), wanted));
                return response;
            }
            self.begun += 1;
            address = format!("{address}{}", self.begun);
            self.sessions.insert(address.clone(), Vec::new());
            return Self::session(&address, 0, 202);
        }
        let Some(session) = self.sessions.get_mut(&address) else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        match request.method.as_str() {
            "GET" => Self::session(&address, session.len(), 204),
            "DELETE" => {
                self.sessions.remove(&address);
                Response::text(204, "")
            }
            "PATCH" => {
                let range = request.header("content-range").and_then(|range| range.split_once('-'));
                if range.is_some_and(|(start, _)| start != session.len().to_string()) {
                    return Self::session(&address, session.len(), 416);
                }
                session.extend(&request.body);
                Self::session(&address, session.len(), 202)
            }
            _ => {
                let wanted = request.field("digest").unwrap_or_default();
                let mut bytes = self.sessions.remove(&address).unwrap_or_default();
                bytes.extend(&request.body);
                if digest(&bytes) != wanted {
                    return Response::error(
                        400,
                        "DIGEST_INVALID",
                        "provided digest did not match uploaded content",
                    );
                }
                let fresh = self.blobs.insert(wanted.clone(), Arc::new(bytes)).is_none();
                if fresh {
                    self.homes.insert(wanted.clone(), HashSet::new());
                }
                if let Some(homes) = self.homes.get_mut(&wanted) {
                    homes.insert(repository.to_owned());
                }
                let mut response = Response::text(201, "");
                response.headers.push(("Docker-Content-Digest".to_owned(), wanted));
                response
            }
        }
    }

    /// Takes a manifest, if everything that it names is there.
    pub(super) fn take_manifest(&mut self, request: &Request, rest: &str) -> Response {
        let Some((repository, selector)) = rest.split_once("/manifests/") else {
            return Response::text(404, "404 page not found\n");
        };
        for (at, _) in request.text().match_indices("\"sha256:") {
            let named = &request.text()[at + 1..at + 72];
            let known = self.blob(repository, named).is_some()
                || self.manifests.contains_key(&format!("{repository}/{named}"));
            if !known {
                return Response::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        let digest = digest(&request.body);
        let media_type = request.header("content-type").unwrap_or_default().to_owned();
        let entry = (media_type, Arc::new(request.body.clone()));
        self.manifests.insert(format!("{repository}/{selector}"), entry.clone());
        self.manifests.insert(format!("{repository}/{digest}"), entry);
        let mut response = Response::text(201, "");
        response.headers.push(("Docker-Content-Digest".to_owned(), digest));
        response
    }

    /// Answers for a list of tags, or of repositories, page by page.
    pub(super) fn list(&self, request: &Request, rest: &str) -> Response {
        let (kind, mut all): (_, Vec<String>) = match rest.strip_suffix("/tags/list") {
            None => (
                "repositories",
                self.manifests.keys().filter_map(|key| Some(key.rsplit_once('/')?.0.to_owned())).collect(),
            ),
            Some(repository) => {
                let tags = self.manifests.keys().filter_map(|key| key.rsplit_once('/'));
                let tags = tags.filter(|(of, tag)| *of == repository && !tag.contains(':'));
                ("tags", tags.map(|(_, tag)| tag.to_owned()).collect())
            }
        };
        if all.is_empty() {
            return Response::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        all.sort();
        all.dedup();
        let last = request.field("last").unwrap_or_default();
        let left: Vec<_> = all.into_iter().filter(|one| *one > last).collect();
        let page = &left[..left.len().min(self.page)];
        let mut response = Response::text(200, &format!(r#"{{"{kind}":{page:?}}}"#));
        if let Some(last) = page.last().filter(|_| left.len() > self.page) {
            let link = format!("</v2/{rest}?n={}&last={last}>; rel=\"next\"", self.page);
            response.headers.push(("Link".to_owned(), link));
        }
        response
    }
}
