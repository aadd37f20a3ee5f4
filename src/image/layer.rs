//! One layer on its way from a stream into staging, in one pass.
//!
//! ```text
//! read → hash → save the blob │ decompress → hash │ unpack
//! ```
//!
//! The bars are thread boundaries with a [`pipe`](super::pipe) each. A stream that is not compressed has
//! one hash and two steps. Nothing is believed until the stream has ended: the caller compares the
//! [`Outcome`] with what it expects before it publishes anything.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use super::compression::Compression;
use super::pipe::{Buffer, Reader, Writer, is_abandoned, pipe};
use super::unpack::{Owners, unpack};
use crate::oci::{Digest, Hasher};

/// What of the stream becomes a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Save {
    /// Nothing: the blob is in the store.
    Nothing,
    /// The bytes as they come.
    AsRead(PathBuf),
    /// The tar archive inside.
    Archive(PathBuf),
}

/// What is to be done with a stream.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) save: Save,
    /// The new directory to unpack into, if it is to be unpacked.
    pub(super) unpack: Option<PathBuf>,
    pub(super) owners: Owners,
}

/// What a stream was.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// The digest and number of the bytes as they came.
    pub(super) blob: Digest,
    pub(super) blob_size: u64,
    /// The digest and number of the bytes of the archive inside.
    pub(super) diff_id: Digest,
    pub(super) archive_size: u64,
}

/// Reads `input` to its end and does the work. `heard` is told how many bytes have been read, and finally
/// `None` when all have.
pub(super) fn process(
    mut input: impl Read,
    work: &Work,
    mut heard: impl FnMut(Option<u64>),
) -> Result<Outcome> {
    let (mut writer, raw) = pipe();
    let mut first = writer.buffer().context("read the layer")?;
    first.fill(&mut input).context("read the layer")?;
    let compression = Compression::of(&first);
    let plain = compression == Compression::Nothing;
    let save = match &work.save {
        Save::AsRead(path) => Some(path),
        Save::Archive(path) if plain => Some(path),
        _ => None,
    };
    thread::scope(|scope| {
        let spawn = thread::Builder::new;
        let (decoding, archive) = if plain {
            (None, raw)
        } else {
            let (tar_writer, tar) = pipe();
            let decoding = spawn()
                .spawn_scoped(scope, move || decode(raw, tar_writer, compression, work))
                .context("start a thread")?;
            (Some(decoding), tar)
        };
        let unpacking = spawn()
            .spawn_scoped(scope, move || match &work.unpack {
                Some(dir) => unpack(archive, dir, work.owners).map(drop),
                None => drain(archive),
            })
            .context("start a thread")?;
        let read = read(&mut input, first, writer, save, &mut heard);
        heard(None);
        let decoded =
            decoding.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let unpacked = unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // One of them has failed of itself; the others only saw it go.
        let mut errors = Vec::new();
        let blob = read.map_err(|error| errors.push(error)).ok();
        let tar =
            decoded.map_or(Some(blob), |decoded| Some(decoded.map_err(|error| errors.push(error)).ok()));
        errors.extend(unpacked.err());
        let cause = errors.iter().position(|error| !is_abandoned(error)).unwrap_or(0);
        if !errors.is_empty() {
            return Err(errors.swap_remove(cause));
        }
        let (Some((blob, blob_size)), Some(Some((diff_id, archive_size)))) = (blob, tar) else {
            bail!("read the layer: a step ended without a result");
        };
        Ok(Outcome { blob, blob_size, diff_id, archive_size })
    })
}

/// Reads, hashes and saves the stream.
fn read(
    input: &mut impl Read,
    first: Buffer,
    mut writer: Writer,
    save: Option<&PathBuf>,
    heard: &mut impl FnMut(Option<u64>),
) -> Result<(Digest, u64)> {
    let mut file = save.map(|path| create(path)).transpose()?;
    let mut hasher = Hasher::new();
    let mut size = 0;
    let mut buffer = first;
    while !buffer.is_empty() {
        hasher.update(&buffer);
        size += buffer.len() as u64;
        if let Some(file) = &mut file {
            file.write_all(&buffer).context("save the layer's blob")?;
        }
        writer.send(buffer).context("read the layer")?;
        heard(Some(size));
        buffer = writer.buffer().context("read the layer")?;
        buffer.fill(input).context("read the layer")?;
    }
    writer.finish().context("read the layer")?;
    Ok((hasher.finish(), size))
}

/// Decompresses and hashes the stream.
fn decode(raw: Reader, mut writer: Writer, compression: Compression, work: &Work) -> Result<(Digest, u64)> {
    let mut file = match &work.save {
        Save::Archive(path) => Some(create(path)?),
        _ => None,
    };
    let mut input = compression.decoder(raw)?;
    let mut hasher = Hasher::new();
    let mut size = 0;
    loop {
        let mut buffer = writer.buffer().context("decompress the layer")?;
        buffer.fill(&mut input).context("decompress the layer")?;
        if buffer.is_empty() {
            break;
        }
        hasher.update(&buffer);
        size += buffer.len() as u64;
        if let Some(file) = &mut file {
            file.write_all(&buffer).context("save the layer's archive")?;
        }
        writer.send(buffer).context("decompress the layer")?;
    }
    writer.finish().context("decompress the layer")?;
    Ok((hasher.finish(), size))
}

/// Reads a stream that is only hashed.
fn drain(mut input: Reader) -> Result<()> {
    std::io::copy(&mut input, &mut std::io::sink()).context("read the layer")?;
    Ok(())
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))
}
