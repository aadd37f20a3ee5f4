//! What a pull or load tells while it is at work.

/// Where one layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerProgress {
    /// Known of.
    PullingFsLayer,
    /// Others come first.
    Waiting,
    /// So many bytes of so many have come; the total is 0 if nobody knows it.
    Downloading(u64, u64),
    /// All bytes have come and are being compared with their digest.
    VerifyingChecksum,
    /// All bytes are there and right.
    DownloadComplete,
    /// So many bytes of so many have been unpacked.
    Extracting(u64, u64),
    /// Done.
    PullComplete,
    /// There was nothing to do.
    AlreadyExists,
}

/// Where a pull or load reports to. Called from several threads.
pub trait Progress: Sync {
    /// Takes a line of text, such as `latest: Pulling from library/nginx`.
    fn message(&self, text: &str);
    /// Takes the state of the layer with this short id.
    fn layer(&self, id: &str, state: LayerProgress);
}

/// Reports to nobody.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {
    fn message(&self, _text: &str) {}
    fn layer(&self, _id: &str, _state: LayerProgress) {}
}
